"""Read Fountain, the plain-text format of screenwriters, into shots.

Rules from the public syntax page (fountain.io/syntax, version 1.1). In a scene with dialogue each speech
is a shot and the action before it says what is seen; in a scene without, each action paragraph is told.
Centred text becomes a card. Transitions, sections, synopses, page breaks and the boneyard are not filmed.
Notes `[[name: value]]` are directives; a free note is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.directives import DIRECTIVE, ShotDraft, resembles_directive
from core.wording import clean

_TITLE_KEYS = {"title", "credit", "author", "authors", "source", "notes", "draft date", "date", "contact"}
_TITLE_KEYS |= {"copyright", "revision", "format"}
_KEY = re.compile(r"([A-Za-z][A-Za-z ]{0,30}):(.*)")
_HEADING = re.compile(r"\s*(?:INT|EXT|EST|INT\.?/EXT|EXT\.?/INT|I/E)(?:\.|\s)\s*\S.*", re.IGNORECASE)
_FORCED_HEADING = re.compile(r"\s*\.[^.\s].*")
_SCENE_NUMBER = re.compile(r"\s*#[^#\n]+#\s*$")
_TRANSITION = re.compile(r"[^a-z]*\bTO:|FADE (?:IN|OUT|TO BLACK)[.:]?")
_BONEYARD = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
# A note ends where the next begins: else a row of open brackets costs quadratic time.
_NOTE = re.compile(r"\[\[((?:(?!\[\[).)*?)\]\]", re.DOTALL)
_EMPHASIS = re.compile(r"(?<!\\)\*+(?=\S)|(?<=\S)(?<!\\)\*+|(?<![\w\\])_+(?=\S)|(?<=[^\s\\])_+(?!\w)")
_ESCAPED = re.compile(r"\\([*_])")

Parts = list[tuple[str, list[ShotDraft]]]


@dataclass
class _Block:
    """Lines between two blank lines, with the notes that stood in them."""

    line: int
    lines: list[str] = field(default_factory=list)
    notes: ShotDraft = field(default_factory=lambda: ShotDraft(0))


def is_heading(line: str) -> bool:
    """Tell a scene heading that needs no force: INT., EXT., EST., INT./EXT., I/E, in capitals or not."""
    return bool(_HEADING.fullmatch(line)) and ("." in line[:12] or line == line.upper())


def looks_like_fountain(lines: list[str]) -> bool:
    first = next((line for line in lines if line.strip()), "")
    key = _KEY.fullmatch(first)
    if key and key[1].lower() == "title":
        return True
    return any(
        is_heading(line)
        and (i == 0 or not lines[i - 1].strip())
        and (i + 1 == len(lines) or not lines[i + 1].strip())
        for i, line in enumerate(lines)
    )


def read_fountain(lines: list[str]) -> tuple[str | None, Parts]:
    """Return the title and, scene by scene, heading and shot drafts."""
    blocks = _blocks(lines)
    title = _take_title_page(blocks)
    parts: list[tuple[str, list[_Block]]] = [("", [])]
    for block in blocks:
        first = block.lines[0].strip() if block.lines else ""
        if is_heading(first) or _FORCED_HEADING.fullmatch(first):
            parts.append((_SCENE_NUMBER.sub("", _plain(first.lstrip("."))), []))
            # Some writers leave out the blank line after a heading.
            block = _Block(block.line + 1, block.lines[1:], block.notes)  # noqa: PLW2901
        if block.lines or block.notes.values:
            parts[-1][1].append(block)
    return title, [(heading, _shots(scene)) for heading, scene in parts]


def _blocks(lines: list[str]) -> list[_Block]:
    text = _BONEYARD.sub(lambda match: "\n" * match[0].count("\n"), "\n".join(lines))
    notes: list[tuple[int, str]] = []

    def note(match: re.Match[str]) -> str:
        # A note may span lines; what stays behind keeps the count of lines and joins no paragraphs.
        notes.append((text.count("\n", 0, match.start()) + 1, match[1]))
        return " " + "\n" * match[0].count("\n")

    blocks: list[_Block] = []
    open_block: _Block | None = None
    rest = _NOTE.sub(note, text).split("\n")
    pending = iter([*notes, (len(rest) + 1, "")])
    at, words = next(pending)
    for number, line in enumerate(rest, start=1):
        has_note = at == number
        # Two blanks on an otherwise empty line keep a speech together.
        if not line.strip() and not has_note and not (line == "  " and open_block):
            open_block = None
            continue
        if open_block is None:
            open_block = _Block(number, notes=ShotDraft(number))
            blocks.append(open_block)
        while at == number:
            _put_note(open_block.notes, words, number)
            at, words = next(pending)
        if line.strip():
            open_block.lines.append(line)
    return blocks


def _put_note(draft: ShotDraft, words: str, line: int) -> None:
    match = DIRECTIVE.fullmatch(f"[{words}]")
    if match and resembles_directive(match[1]):
        draft.put(match[1], match[2], line)


def _take_title_page(blocks: list[_Block]) -> str | None:
    """Remove the title page, if the text opens with one, and return its title."""
    if not blocks or not blocks[0].lines:
        return None
    first = _KEY.fullmatch(blocks[0].lines[0].strip())
    if first is None or first[1].lower() not in _TITLE_KEYS:
        return None
    values: dict[str, list[str]] = {}
    key = ""
    for line in blocks.pop(0).lines:
        match = _KEY.fullmatch(line.strip())
        if match and not line[:1].isspace():
            key = match[1].lower()
            values[key] = [match[2]]
        else:
            values.setdefault(key, []).append(line)
    return clean(_plain(" ".join(values.get("title", [])))) or None


def _shots(blocks: list[_Block]) -> list[ShotDraft]:
    has_speech = any(_is_speech(block) for block in blocks)
    shots: list[ShotDraft] = []
    waiting = ShotDraft(0)
    for block in blocks:
        first = block.lines[0].strip() if block.lines else ""
        waiting.line = waiting.line or block.line
        waiting.merge(block.notes)
        if not first or _is_unfilmed(first, block):
            continue
        card = first.startswith(">") and first.endswith("<") and len(first) > 2
        if _is_speech(block):
            waiting.text = [_plain(line) for line in _spoken(block)]
        elif card:
            words = clean(" ".join(_plain(line.strip().strip("<>")) for line in block.lines))
            if words and "title" not in waiting.values:
                waiting.put("title", words, block.line)
        elif has_speech:
            waiting.visual += [_plain(_unforced(line)) for line in block.lines]
            continue
        else:
            waiting.text = [_plain(_unforced(line)) for line in block.lines]
        shots.append(waiting)
        waiting = ShotDraft(0)
    if (
        shots
        and (waiting.visual or waiting.values)
        and not {"image", "clip", "reference", "title"} & waiting.values.keys()
    ):
        # What is seen or noted after the last speech still belongs to it.
        shots[-1].visual += waiting.visual
        shots[-1].merge(waiting)
    elif waiting.visual or waiting.values:
        shots.append(waiting)
    return shots


def _is_speech(block: _Block) -> bool:
    if len(block.lines) < 2:
        return False
    name = re.sub(r"\([^)]*\)", "", block.lines[0]).strip().rstrip("^").strip()
    if name.startswith("@"):
        return len(name) > 1
    forced = name.startswith(("!", ">", "~", ".", "#", "="))
    return not forced and any(c.isalpha() for c in name) and name == name.upper() and name != name.lower()


def _spoken(block: _Block) -> list[str]:
    """The words of a speech: parentheticals are for the actor."""
    words = []
    inside = False
    for line in (line.strip() for line in block.lines[1:]):
        inside = inside or line.startswith("(")
        if not inside:
            words.append(line.lstrip("~"))
        elif line.endswith(")"):
            inside = False
    return words


def _is_unfilmed(first: str, block: _Block) -> bool:
    if first.startswith(("#", "=")):
        return True
    if first.startswith(">"):
        return not first.endswith("<")
    return len(block.lines) == 1 and bool(_TRANSITION.fullmatch(first))


def _unforced(line: str) -> str:
    return line.strip().removeprefix("!").removeprefix("~")


def _plain(line: str) -> str:
    return _ESCAPED.sub(r"\1", _EMPHASIS.sub("", line))
