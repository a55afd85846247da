"""Fonts for captions and cards: packaged ones first, then the operator's, then the system's.

The package `pymupdf-fonts` (SIL Open Font License 1.1) carries FiraGO (Latin, Cyrillic, Greek,
Arabic, Hebrew, Thai, Georgian, Devanagari) and the Noto symbol fonts as Python data. None draws
Chinese, Japanese or Korean: for those a font in FONTS_DIR or of the system is needed.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from media.ffmpeg import replacing

FAMILY = "FiraGO"
_PACKAGED = {  # file name -> code in the package, in order of preference
    "FiraGO-Regular.ttf": "figo",
    "FiraGO-Bold.ttf": "figbo",
    "NotoSans-Regular.ttf": "notos",
    "NotoSans-Bold.ttf": "notosbo",
    "NotoSansSymbols2-Regular.ttf": "symbol2",
    "NotoSansSymbols-Regular.ttf": "symbol1",
    "NotoSansMath-Regular.ttf": "math",
    "NotoMusic-Regular.ttf": "music",
}
_SYSTEM = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
_SUFFIXES = {".ttf", ".otf", ".ttc"}
# Joiners, marks of direction and variation selectors draw nothing by themselves.
_INVISIBLE = {0x00AD, 0x061C, 0x180E, 0x2060, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)}
_INVISIBLE |= {*range(0x2066, 0x206A), *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), 0xE0001}


@dataclass(frozen=True)
class Face:
    path: Path
    family: str
    glyphs: frozenset[int]


def install_fonts(folder: Path, extra: Path | None = None) -> Path:
    """Write the packaged fonts (and copies of those in `extra`) into `folder` once; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in _PACKAGED if not (folder / name).exists()]
    if missing:
        import pymupdf_fonts

        for name in missing:
            _write(folder / name, pymupdf_fonts.fontbuffers[_PACKAGED[name]]())
    for font in sorted(extra.rglob("*")) if extra else []:
        target = folder / font.name
        if font.suffix.lower() in _SUFFIXES and not target.exists():
            _write(target, font.read_bytes())
    return folder


def _write(target: Path, data: bytes) -> None:
    with replacing(target) as scratch:
        scratch.write_bytes(data)


def face_of(character: str, folder: Path, *, bold: bool = False) -> Face | None:
    """Find the face that draws a character: the folder's in order of preference, then the system's."""
    code = ord(character)
    faces = _faces(folder)
    if bold:
        faces = tuple(sorted(faces, key=lambda f: "Bold" not in f.path.name))
    else:
        faces = tuple(f for f in faces if "Bold" not in f.path.name)
    for face in faces:
        if code in face.glyphs:
            return face
    return next((f for f in _system_faces() if code in f.glyphs), None)


def runs(text: str, folder: Path, *, bold: bool = False) -> list[tuple[str, Face]]:
    """Split text into pieces of one face each; what nothing draws is left out.

    Spaces, marks and punctuation stay with the run before them, so that shaping is not cut.
    """
    placed: list[tuple[str, Face]] = []
    last: Face | None = None
    for c in text:
        if _invisible(c) and c not in "\u200c\u200d":
            continue
        neutral = c.isspace() or unicodedata.combining(c) or c in "\u200c\u200d"
        if not (last and (neutral or (ord(c) in last.glyphs and _is_home(last)))):
            face = face_of(c, folder, bold=bold)
            if face is None:
                continue
            last = face
        placed.append((c, last))
    return [("".join(c for c, _ in g), face) for face, g in groupby(placed, key=lambda p: p[1])]


def missing_glyphs(text: str, folder: Path) -> set[str]:
    """Name the characters no font here can draw, for a warning to the person who wrote them."""
    wanted = {c for c in text if not (c.isspace() or _invisible(c) or unicodedata.category(c)[0] == "C")}
    return {c for c in wanted if face_of(c, folder) is None}


def _invisible(character: str) -> bool:
    return ord(character) in _INVISIBLE


def _is_home(face: Face) -> bool:
    return face.family == FAMILY


@lru_cache(maxsize=8)
def _faces(folder: Path) -> tuple[Face, ...]:
    order = {name: i for i, name in enumerate(_PACKAGED)}
    files = (f for f in folder.iterdir() if f.suffix.lower() in _SUFFIXES and not f.name.startswith("."))
    ranked = sorted(files, key=lambda f: (order.get(f.name, len(order)), f.name))
    return tuple(face for f in ranked if (face := read_face(f)) is not None)


@lru_cache(maxsize=1)
def _system_faces() -> tuple[Face, ...]:
    """Read the system's regular upright faces, the wide ones first; only asked when ours fail."""
    found: list[Face] = []
    for root in (Path(r) for r in _SYSTEM):
        for file in sorted(root.rglob("*")) if root.is_dir() else []:
            light = any(w in file.stem for w in ("Bold", "Oblique", "Italic", "Light", "Mono", "Condensed"))
            if file.suffix.lower() in _SUFFIXES and not light and (face := read_face(file)):
                found.append(face)
    return tuple(sorted(found, key=lambda f: -len(f.glyphs)))


def read_face(path: Path) -> Face | None:
    """Read family and coverage from a font file; None when it is broken or draws coloured bitmaps."""
    try:
        data = path.read_bytes()
        start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
        count = struct.unpack_from(">H", data, start + 4)[0]
        tables: dict[bytes, int] = {}
        for i in range(count):
            tag, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * i)
            tables[tag] = offset
        if not tables.keys() & {b"glyf", b"CFF ", b"CFF2"}:
            return None
        return Face(path, _family(data, tables[b"name"]), _coverage(data, tables[b"cmap"]))
    except (OSError, struct.error, KeyError, IndexError):
        return None


def _family(data: bytes, base: int) -> str:
    """Read the family name (OpenType `name` table, id 1, Windows Unicode)."""
    _, count, strings = struct.unpack_from(">HHH", data, base)
    for i in range(count):
        platform, _, _, name, length, offset = struct.unpack_from(">6H", data, base + 6 + 12 * i)
        if platform == 3 and name == 1:
            at = base + strings + offset
            return data[at : at + length].decode("utf-16-be", "replace")
    return ""


def _coverage(data: bytes, base: int) -> frozenset[int]:
    """Read which code points have a glyph (OpenType `cmap`, formats 4 and 12)."""
    covered: set[int] = set()
    for i in range(struct.unpack_from(">H", data, base + 2)[0]):
        platform, _, offset = struct.unpack_from(">HHI", data, base + 4 + 8 * i)
        if platform not in (0, 3):
            continue
        at = base + offset
        form = struct.unpack_from(">H", data, at)[0]
        if form == 12:
            for g in range(struct.unpack_from(">I", data, at + 12)[0]):
                first, last, _ = struct.unpack_from(">III", data, at + 16 + 12 * g)
                covered.update(range(first, last + 1))
        elif form == 4:
            n = struct.unpack_from(">H", data, at + 6)[0] // 2
            ends = struct.unpack_from(f">{n}H", data, at + 14)
            starts = struct.unpack_from(f">{n}H", data, at + 16 + 2 * n)
            for first, last in zip(starts, ends, strict=True):
                covered.update(range(first, min(last, 0xFFFE) + 1))
    return frozenset(covered)
