"""Photographs that ship inside the scikit-image package, and generated music beds.

What     14 pictures of scikit-image's data folder (PyPI wheel 0.26), read on 2026-11
Licence  CC0 or public domain, per file, as stated in the docstrings of `skimage/data/_fetchers.py`;
         files without such a statement there (moon, coins, page, ihc, logo ...) are left out
Network  none; no key, no limit
Note     The rocket's docstring relies on SpaceX's public statement of March 2015; its Flickr page has
         shown a non-commercial licence since (scikit-image issue 5095). The statement is what is recorded.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from core.errors import NotFound, Permanent
from core.licences import CC0, PUBLIC_DOMAIN, Licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source, check_kind, refuse_generated
from scrapers.kinds import Kind
from scrapers.words import word_score


@dataclass(frozen=True)
class Sample:
    file: str
    width: int
    height: int
    title: str
    creator: str | None
    page: str
    licence: Licence
    tags: str


_DOCS = "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data."

SAMPLES: dict[str, Sample] = {
    "astronaut": Sample(
        "astronaut.png", 512, 512, "Astronaut Eileen Collins", "NASA",
        "https://flic.kr/p/r9qvLn", PUBLIC_DOMAIN,
        "astronaut space shuttle nasa woman pilot portrait person face suit orange smile human crew courage "
        "explorer mission flag",
    ),
    "rocket": Sample(
        "rocket.jpg", 640, 427, "Launch of DSCOVR on a Falcon 9", "SpaceX",
        "https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/", PUBLIC_DOMAIN,
        "rocket launch falcon spacex space night pad fire flame smoke engine lift liftoff sky leave earth "
        "journey power tower start countdown",
    ),
    "hubble_deep_field": Sample(
        "hubble_deep_field.jpg", 1000, 872, "Hubble eXtreme Deep Field", "NASA",
        "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/", PUBLIC_DOMAIN,
        "hubble galaxy star deep field universe space telescope cosmos sky night dark light "
        "infinity astronomy distant past look",
    ),
    "camera": Sample(
        "camera.png", 512, 512, "Photographer with a camera on a tripod", "Lav Varshney",
        f"{_DOCS}camera", CC0,
        "camera photographer tripod man person field watch look film picture observe skyline city",
    ),
    "chelsea": Sample(
        "chelsea.png", 451, 300, "Chelsea the cat", "Stefan van der Walt", f"{_DOCS}chelsea", CC0,
        "cat pet animal face eyes fur whiskers tabby kitten nose close look home",
    ),
    "coffee": Sample(
        "coffee.png", 600, 400, "Cup of coffee at Pikolo Espresso Bar", "Rachel Michetti",
        f"{_DOCS}coffee", CC0,
        "coffee cup espresso drink cafe table wood spoon morning breakfast warm break saucer pause",
    ),
    "retina": Sample(
        "retina.jpg", 1411, 1411, "Fundus photograph of a normal left eye", "Mikael Häggström",
        "https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg", CC0,
        "retina eye human medicine blood vessels vision sight see look light red orange planet circle round "
        "body science",
    ),
    "cell": Sample(
        "cell.png", 550, 660, "Cell floating in saline", "Paul Müller and others", f"{_DOCS}cell", CC0,
        "cell biology microscope life science water round phase hologram laboratory small",
    ),
    "clock_motion": Sample(
        "clock_motion.png", 400, 300, "Motion-blurred wall clock", "Stefan van der Walt",
        f"{_DOCS}clock", PUBLIC_DOMAIN,
        "clock time hour minute wall blur motion fast wait past future hands",
    ),
    "text": Sample(
        "text.png", 448, 172, "Handwritten formulas", None, "https://en.wikipedia.org/wiki/File:Corner.png",
        PUBLIC_DOMAIN, "text writing formula mathematics equation handwriting notes paper science words",
    ),
    "brick": Sample(
        "brick.png", 512, 512, "Brick wall", "CC0Textures", "https://cc0textures.com/view.php?tex=Bricks25",
        CC0, "brick wall stone texture building house mortar pattern architecture",
    ),
    "grass": Sample(
        "grass.png", 512, 512, "Grass", "linolafett",
        "https://www.deviantart.com/linolafett/art/Grass-01-434853879", CC0,
        "grass lawn meadow nature ground plant texture garden field earth",
    ),
    "gravel": Sample(
        "gravel.png", 512, 512, "Gravel", "CC0Textures", "https://cc0textures.com/view.php?tex=Gravel04",
        CC0, "gravel stones pebbles ground texture path rock earth road",
    ),
    "horse": Sample(
        "horse.png", 400, 328, "Silhouette of a horse", "Andreas Preuss (marauder)",
        "http://openclipart.org/detail/158377/horse-by-marauder", CC0,
        "horse silhouette animal shape black white run",
    ),
}  # fmt: skip

MOODS: dict[str, str] = {
    "wonder": "wonder awe space stars sky hope bright curious discovery open dream ambient music bed",
    "calm": "calm quiet soft gentle slow peace nature water morning warm ambient music bed",
    "tense": "tense dark suspense danger storm night pulse drama serious ambient music bed",
}


class Samples(Source):
    slug: ClassVar[str] = "samples"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "audio")
    needs_network: ClassVar[bool] = False

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        if not settings.samples_enabled:
            return "SAMPLES_ENABLED is false"
        if data_folder() is None:
            return "the package scikit-image is not installed"
        return None

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        everything = {f"ambient-{mood}": (mood, tags) for mood, tags in MOODS.items()} | {
            name: (sample.title, sample.tags) for name, sample in SAMPLES.items()
        }
        scored = [
            (word_score(query.words, title, tags.split()), number, name)
            for number, (name, (title, tags)) in enumerate(everything.items())
        ]
        yield [name for score, _, name in sorted(scored, key=lambda s: (-s[0], s[1])) if score > 0]

    def parse(self, item: Any) -> Candidate | None:
        """Describe the sample called `item`; None for a name we do not offer."""
        if item.startswith("ambient-"):
            return _music_bed(item.removeprefix("ambient-"))
        sample, folder = SAMPLES.get(item), data_folder()
        if sample is None or folder is None or not (folder / sample.file).is_file():
            return None
        path = folder / sample.file
        return Candidate(
            source=self.slug,
            foreign_id=item,
            kind="image",
            title=sample.title,
            landing_url=sample.page,
            media_url=str(path),
            creator=sample.creator,
            creator_url=None,
            licence=sample.licence,
            raw_licence=sample.licence.name,
            width=sample.width,
            height=sample.height,
            size=path.stat().st_size,
            mime="image/png" if path.suffix == ".png" else "image/jpeg",
            tags=tuple(sample.tags.split()),
        )

    def get(self, foreign_id: str) -> Candidate:
        self.require_enabled()
        candidate = self.parse(foreign_id)
        if candidate is None:
            offered = ", ".join([*SAMPLES, *(f"ambient-{mood}" for mood in MOODS)])
            raise NotFound(f"samples has no {foreign_id!r}; it has {offered}")
        return candidate

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        """Copy the picture; the path is looked up anew by name, so a candidate cannot name another file."""
        self.require_enabled()
        refuse_generated(candidate)
        known = self.get(candidate.foreign_id)
        if (known.size or 0) > max_bytes:
            raise Permanent(f"{known.title!r} is larger than {max_bytes} bytes", code="too_large")
        path = Path(known.media_url)
        check_kind(path, known)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out)


@lru_cache(maxsize=1)
def data_folder() -> Path | None:
    """Find scikit-image's data folder without importing the package (which takes a second)."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "data"
    return folder if folder.is_dir() else None


def _music_bed(mood: str) -> Candidate | None:
    if mood not in MOODS:
        return None
    return Candidate(
        source="samples",
        foreign_id=f"ambient-{mood}",
        kind="audio",
        title=f"Ambient bed: {mood}",
        landing_url=None,
        media_url=f"ambient:{mood}",
        creator="Callsheet",
        creator_url=None,
        licence=CC0,
        raw_licence=CC0.name,
        tags=tuple(MOODS[mood].split()),
        generated=mood,
    )


ADAPTER = Samples
