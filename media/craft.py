"""The craft that local providers are given: pictures, clips and words made into takes on this machine."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from media import cards, clips, motion


class Craft:
    """Renders takes; `fonts` is the folder that `install_fonts` filled.

    `on_progress` hears the seconds rendered; once `should_stop` says so, ffmpeg is killed (Retryable
    `stopped`).
    """

    def __init__(
        self,
        fonts: Path,
        *,
        on_progress: Callable[[float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.fonts = fonts
        self._on_progress = on_progress
        self._should_stop = should_stop

    def render_still(
        self,
        image: Path,
        out: Path,
        *,
        width: int,
        height: int,
        fps: float | Fraction,
        frames: int,
        move: str,
        seed: int,
    ) -> None:
        """Film a still picture; moves are `media.motion.MOVES` and "auto"."""
        motion.render_still(
            image,
            out,
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            move=move,
            seed=seed,
            on_progress=self._on_progress,
            should_stop=self._should_stop,
        )

    def trim_clip(
        self,
        clip: Path,
        out: Path,
        *,
        width: int,
        height: int,
        fps: float | Fraction,
        frames: int,
        start: float,
        audio: bool = False,
    ) -> None:
        """Cut a take out of a clip."""
        clips.trim_clip(
            clip,
            out,
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            start=start,
            audio=audio,
            on_progress=self._on_progress,
            should_stop=self._should_stop,
        )

    def render_card(
        self,
        text: str,
        out: Path,
        *,
        width: int,
        height: int,
        fps: float | Fraction,
        frames: int,
        seed: int,
        subtitle: str | None = None,
        backdrop: Path | None = None,
    ) -> None:
        """Film a title or credits card."""
        cards.render_card(
            text,
            out,
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            seed=seed,
            fonts=self.fonts,
            subtitle=subtitle,
            backdrop=backdrop,
            on_progress=self._on_progress,
            should_stop=self._should_stop,
        )
