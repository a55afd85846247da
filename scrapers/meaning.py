"""How near texts are in meaning, where the package wordllama is installed: static word vectors, MIT.

Its wheel has the 256-dimensional vectors (16 MB) and the tokenizer in it, so nothing is downloaded: that is
switched off, and the package's own folder is given as the cache, where both lie. Vectors are means of
looked-up rows: the same text has the same vector each time. Read in version 0.4.0, 2026-11.
"""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

UNLIKE, ALIKE = 0.05, 0.5
"""Cosines of texts that have nothing to do with one another, and of such that say the same."""
_lock = threading.Lock()


def nearness(words: Sequence[str], texts: Sequence[str]) -> list[float] | None:
    """Mark every text 0..1 by how near it is to the words; None where no model is installed."""
    with _lock:
        model = _model()
    if model is None or not texts:
        return None
    asked, *told = model.embed([" ".join(words), *texts])
    return [max(0.0, min((_cosine(asked, one) - UNLIKE) / (ALIKE - UNLIKE), 1.0)) for one in told]


def _cosine(one: Any, other: Any) -> float:
    """Of two vectors; that of a text without a known word is nothing, and near nothing."""
    length = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / length if length else 0.0


@cache
def _model() -> Any:
    try:
        package = importlib.import_module("wordllama")
        folder = Path(str(package.__file__)).parent
        return package.WordLlama.load(cache_dir=folder, disable_download=True)
    except ImportError:
        return None
    except (OSError, ValueError) as error:  # another version that keeps its vectors elsewhere
        log.warning("wordllama is installed and has no vectors; words alone decide", error=str(error))
        return None
