"""How text is burnt in by the benchmark and by tests: one table of styles, written as ASS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.burning import Line
    from bench.footage import Clip

SPANS = ((0.06, 0.36), (0.37, 0.66), (0.72, 0.94))
"""Two lines that follow each other closely, a pause, a third one."""
WHOLE = ((0.0, 1.0),)
LINES = ("The tide was out before we came", "and nobody had counted the boats.", "Will you look again?")
CHINESE = ("这世上本没有路", "走的人多了也便成了路", "春眠不觉晓 处处闻啼鸟。")


@dataclass(frozen=True)
class Style:
    """Colours are ASS's: AABBGGRR, where AA 00 is opaque. `size` is a share of the frame's shorter side."""

    name: str
    kind: Literal["subtitle", "watermark", "ticker"] = "subtitle"
    words: tuple[str, ...] = LINES
    spans: tuple[tuple[float, float], ...] = SPANS
    font: str = "FiraGO"
    size: float = 0.07
    bold: bool = True
    fill: str = "00FFFFFF"
    fill_before: str = "00FFFFFF"
    """Before karaoke has reached a word."""
    edge: str = "00101010"
    """The outline's colour, or that of the box."""
    back: str = "00000000"
    outline: float = 0.05
    """A share of the size, as `shadow` is."""
    shadow: float = 0.0
    box: bool = False
    tags: str = ""
    effect: Literal["", "karaoke", "ticker"] = ""
    alignment: int = 2
    logo: bool = False
    opacity: float = 1.0


def _subtitle(name: str, **how: object) -> Style:
    return replace(Style(name), **how)  # type: ignore[arg-type]


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        _subtitle("outline"),
        _subtitle("yellow", fill="0000E6FF", font="Ubuntu", size=0.065, outline=0.035),
        _subtitle("box", edge="00783214", box=True, outline=0.12),
        _subtitle("translucent", edge="78000000", box=True, outline=0.14, bold=False),
        _subtitle("shadow", outline=0, shadow=0.06, back="30000000", font="Noto Sans", tags=r"\blur1.2"),
        _subtitle("karaoke", effect="karaoke", fill="0020D0FF", fill_before="00F0F0F0"),
        _subtitle("fade", tags=r"\fad(500,500)"),
        _subtitle(
            "two_lines",
            words=tuple(rf"{a}\N{b}" for a, b in zip(LINES, LINES[::-1], strict=True)),
            size=0.055,
        ),
        _subtitle("cjk", words=CHINESE, font="Noto Sans SC", bold=False, size=0.085),
        _subtitle(
            "two_languages",
            words=tuple(
                rf"{{\fnNoto Sans SC}}{c}\N{{\fnUbuntu}}{a}" for a, c in zip(LINES, CHINESE, strict=True)
            ),
            size=0.06,
            bold=False,
        ),
        _subtitle("mono", font="Space Mono", size=0.045, outline=0.06),
        _subtitle("thin", font="Cascadia Mono", bold=False, size=0.05, outline=0.04, fill="00E8E8E8"),
        _subtitle("title", size=0.13, alignment=5, outline=0.03, words=("North Pier", "Two years on", "Fin")),
        _subtitle(
            "ticker", kind="ticker", effect="ticker", spans=((0.04, 0.97),), words=("   +++   ".join(LINES),)
        ),
        _subtitle("whole", spans=WHOLE, words=LINES[:1]),
        _subtitle(
            "stock_name",
            kind="watermark",
            spans=WHOLE,
            words=("Sample Pictures",),
            size=0.075,
            fill="99FFFFFF",
            outline=0,
            alignment=5,
        ),
        Style("logo", kind="watermark", spans=WHOLE, words=("KINO 7",), logo=True),
        Style("logo40", kind="watermark", spans=WHOLE, words=("KINO 7",), logo=True, opacity=0.4),
    )
}


def letters_of(style: Style) -> Style:
    """The same without box and shadow: what a reader reads."""
    if style.box:
        return replace(style, box=False, outline=0, edge="FF000000")
    return replace(style, shadow=0, back="FF000000") if style.shadow else style


def to_ass(style: Style, lines: Sequence[Line], clip: Clip) -> str:
    """Write a style's lines as a script for a clip's size and rate."""
    size = max(10, round(style.size * min(clip.width, clip.height)))
    look = (
        f"S,{style.font},{size},&H{style.fill},&H{style.fill_before},&H{style.edge},&H{style.back},"
        f"{-1 if style.bold else 0},0,0,0,100,100,0,0,{3 if style.box else 1},"
        f"{style.outline * size:.1f},{style.shadow * size:.1f},{style.alignment},10,10,"
        f"{round(0.06 * clip.height)},1"
    )
    names = (
        "Name,Fontname,Fontsize,PrimaryColour,SecondaryColour,OutlineColour,BackColour,Bold,Italic,Underline,"
        "StrikeOut,ScaleX,ScaleY,Spacing,Angle,BorderStyle,Outline,Shadow,Alignment,MarginL,MarginR,MarginV,"
        "Encoding"
    )
    events = [
        f"Dialogue: 0,{_time(line.first, clip)},{_time(line.last + 1, clip)},S,,0,0,0,,"
        f"{_text(style, line, clip, size)}"
        for line in lines
    ]
    return "\n".join(
        (
            "[Script Info]",
            "ScriptType: v4.00+",
            f"PlayResX: {clip.width}",
            f"PlayResY: {clip.height}",
            "ScaledBorderAndShadow: yes",
            "WrapStyle: 0",
            "[V4+ Styles]",
            f"Format: {names}",
            f"Style: {look}",
            "[Events]",
            "Format: Layer,Start,End,Style,Name,MarginL,MarginR,MarginV,Effect,Text",
            *events,
            "",
        )
    )


def _time(frame: int, clip: Clip) -> str:
    """Half a frame early: the hundredths of ASS may not cross a frame's own time."""
    hundredths = max(0, round((frame - 0.5) / float(clip.rate) * 100))
    minutes, rest = divmod(hundredths, 6000)
    return f"0:{minutes:02}:{rest // 100:02}.{rest % 100:02}"


def _text(style: Style, line: Line, clip: Clip, size: int) -> str:
    tags, words = style.tags, line.words
    if style.effect == "karaoke":
        pieces = words.split(" ")
        each = round((line.last - line.first + 1) / float(clip.rate) * 100 / len(pieces))
        words = " ".join(rf"{{\kf{each}}}{piece}" for piece in pieces)
    if style.effect == "ticker":
        baseline = round(clip.height * 0.96)
        # Letters are about 0.45 of the size wide: it is most of the way through at the end.
        travel = round(len(words) * size * 0.45)
        tags += rf"\q2\an1\move({round(clip.width * 0.8)},{baseline},{clip.width - travel},{baseline})"
    return f"{{{tags}}}{words}" if tags else words
