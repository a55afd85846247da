"""Speak through the espeak-ng library, in a process of its own.

eSpeak NG is GPL-3.0-or-later: this file runs as `python -I -S espeak_child.py <library> <data folder>` and
is never called inside ours; it uses the standard library alone. Standard input is one JSON object (`text`,
`voice`, `rate`, `pitch`, `range`); standard output is one line of JSON (`sample_rate`, `words` as
[character position from 0, sample]) and then 16-bit mono samples.

Interface: `speak_lib.h` of eSpeak NG 1.52.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any, ClassVar

_SYNCHRONOUS_OUTPUT = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_BY_CHARACTER = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_EVENT_END_OF_LIST, _EVENT_WORD = 0, 1


class _Id(ctypes.Union):
    _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def speak(library: str, data_folder: str, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    # The library copies the data path into 160 bytes; a relative one fits wherever the package lies.
    os.chdir(os.path.dirname(data_folder))  # noqa: PTH120 - the child starts faster without pathlib
    espeak = ctypes.CDLL(library)
    samples = bytearray()
    words: list[tuple[int, int]] = []

    def receive(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, count * 2))
        i = 0
        while events[i].type != _EVENT_END_OF_LIST:
            if events[i].type == _EVENT_WORD:
                words.append((events[i].text_position - 1, events[i].sample))
            i += 1
        return 0

    callback = _CALLBACK(receive)
    sample_rate = espeak.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, b".", _DONT_EXIT)
    if sample_rate <= 0:
        raise SystemExit("espeak-ng found no data")
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice {request['voice']!r}")
    for parameter, name in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "range")):
        espeak.espeak_SetParameter(parameter, request[name], 0)
    text = request["text"].encode()
    if espeak.espeak_Synth(text, len(text) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None) != 0:
        raise SystemExit("espeak-ng refused the text")
    espeak.espeak_Synchronize()
    return {"sample_rate": sample_rate, "words": words}, bytes(samples)


def main() -> None:
    head, samples = speak(sys.argv[1], sys.argv[2], json.load(sys.stdin.buffer))
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + samples)


if __name__ == "__main__":
    main()
