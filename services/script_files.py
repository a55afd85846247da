"""Script files as people have them: text, Markdown, Fountain, Word."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from core.briefs import MAX_SCRIPT
from core.errors import Invalid
from core.scripts import Dialect

DIALECTS: dict[str, Dialect] = {
    ".txt": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".fountain": "fountain",
    ".docx": "plain",
}
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MAX_XML = 20 * 1024 * 1024


def read_script_file(filename: str, content: bytes) -> tuple[str, Dialect]:
    """Return a file's text and its dialect; raises Invalid (field `file`) saying what is wrong with it."""
    suffix = PurePosixPath(filename.lower()).suffix
    if suffix not in DIALECTS:
        raise Invalid(f"{suffix or 'No suffix'}: send one of {', '.join(DIALECTS)}.", field="file")
    text = _read_docx(content) if suffix == ".docx" else _decode(content)
    text = text.strip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\x00" in text:
        raise Invalid("The file is not text: it contains NUL characters.", field="file")
    if not text.strip():
        raise Invalid("The file has no words in it.", field="file")
    if len(text) > MAX_SCRIPT:
        raise Invalid(f"The script has {len(text)} characters; at most {MAX_SCRIPT}.", field="file")
    return text, DIALECTS[suffix]


def _decode(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Invalid("The file is not UTF-8 text: save it as UTF-8.", field="file") from error


def _read_docx(content: bytes) -> str:
    """Paragraphs of a Word document, headings as Markdown-free lines of their own."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            part = archive.getinfo("word/document.xml")
            if part.file_size > _MAX_XML:
                raise Invalid("The Word document is too large.", field="file")
            with archive.open(part) as stream:
                raw = stream.read(_MAX_XML + 1)
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError) as error:
        raise Invalid("The file is not a Word document (.docx).", field="file") from error
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or len(raw) > _MAX_XML:
        raise Invalid("The Word document contains what no Word document does.", field="file")
    try:
        root = ET.fromstring(raw)  # noqa: S314 - documents with a DTD were refused above
    except ET.ParseError as error:
        raise Invalid("The Word document is damaged.", field="file") from error
    paragraphs = (
        "".join(node.text or "" for node in paragraph.iter(f"{_WORD}t")).strip()
        for paragraph in root.iter(f"{_WORD}p")
    )
    return "\n\n".join(p for p in paragraphs if p)
