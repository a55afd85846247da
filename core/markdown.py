"""Read and write scripts in Markdown: `# Title`, `## Scene`, a paragraph or list item = a shot."""

from __future__ import annotations

import re

from core.directives import DIRECTIVE, ShotDraft
from core.fountain import is_heading as is_fountain_heading

_HEADING = re.compile(r"\s{0,3}(#{1,6})(?:\s+(.*))?")
_RULE = re.compile(
    r"\s{0,3}(?:-\s*){3,}|\s{0,3}(?:\*\s*){3,}|\s{0,3}(?:_\s*){3,}|\s{0,3}={3,}\s*|\s*(?:```|~~~).*"
)
_ITEM = re.compile(r"\s*(?:[-+*]|\d{1,3}[.)])\s+(.*)")
_QUOTE = re.compile(r"\s{0,3}>\s?(.*)")
_PICTURE = re.compile(r"\s*!\[[^\]]*\]\(\s*([^)\s]+)[^)]*\)\s*")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_EMPHASIS = re.compile(r"\*+(?=\S)|(?<=\S)\*+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)|`+")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)

# An escaped mark stands aside as a noncharacter while the line is read: Unicode has exactly 32 of them in
# a row (U+FDD0..U+FDEF), ASCII exactly 32 marks, and `clean` keeps noncharacters out of every text.
_MARKS = r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
_ASIDE = {mark: chr(0xFDD0 + i) for i, mark in enumerate(_MARKS)}
_BACK = str.maketrans({aside: mark for mark, aside in _ASIDE.items()})
_ESCAPED = re.compile(r"\\([" + re.escape(_MARKS) + "])")
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")

Parts = list[tuple[str, list[ShotDraft]]]


def looks_like_markdown(lines: list[str]) -> bool:
    """Tell Markdown by a `#` heading, unless a Fountain heading comes before any `##` one."""
    seen = False
    for line in lines:
        if is_fountain_heading(line):
            return False
        if match := _HEADING.fullmatch(line):
            seen = True
            if len(match[1]) == 2:
                return True
    return seen


def read_markdown(lines: list[str]) -> tuple[str | None, Parts]:
    """Return the title and, scene by scene, heading and shot drafts."""
    text = _NONCHARACTERS.sub("", "\n".join(lines))
    text = _ESCAPED.sub(lambda match: _ASIDE[match[1]], text)
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    title: str | None = None
    parts: Parts = [("", [])]
    draft: ShotDraft | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = match[1] if (match := _QUOTE.fullmatch(raw)) else raw
        if match := _HEADING.fullmatch(line):
            heading = _plain(match[2] or "")
            if len(match[1]) == 1 and title is None and len(parts) == 1 and not parts[0][1]:
                title = heading or None
            else:
                parts.append((heading, []))
            draft = None
        elif not line.strip() or _RULE.fullmatch(line):
            draft = None
        else:
            item = _ITEM.fullmatch(line)
            if draft is None or item:
                draft = ShotDraft(number)
                parts[-1][1].append(draft)
            _read_line(draft, item[1] if item else line, number)
    return title, parts


def escape_line(text: str) -> str:
    """Write one line of words so that Markdown reads exactly these words."""
    text = re.sub(r"[\\*_`\[\]]|<(?=!--)", lambda match: "\\" + match[0], text)
    return re.sub(r"^(\d{0,3})([#>+\-=~|.)])", r"\1\\\2", text)


def escape_value(text: str) -> str:
    """Write a directive's value; only backslashes and comments mean something there."""
    return re.sub(r"\\|<(?=!--)", lambda match: "\\" + match[0], text)


def _read_line(draft: ShotDraft, line: str, number: int) -> None:
    if match := DIRECTIVE.fullmatch(line):
        draft.put(match[1], match[2].translate(_BACK), number)
    elif match := _PICTURE.fullmatch(line):
        draft.put("image", match[1].translate(_BACK), number)
    else:
        draft.text.append(_plain(line))


def _plain(line: str) -> str:
    """Take emphasis, code marks and link addresses off; put escaped marks back."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", line)).translate(_BACK)
