"""What the tests of sources share: settings, a client that never sleeps, tiny real pictures."""

from __future__ import annotations

import io
import json

from hypothesis import strategies as st
from PIL import Image

from core.http import HttpClient
from core.settings import Settings
from scrapers.base import Candidate
from tests.loopback import Reply


def settings(**kw):
    return Settings(_env_file=None, **kw)


def client(*servers, waits=None, **kw):
    return HttpClient(
        allow=[s.host for s in servers], sleep=(waits.append if waits is not None else lambda s: None), **kw
    )


def picture(fmt="JPEG", size=(64, 48), colour=(200, 30, 30)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, fmt)
    return out.getvalue()


def reply(data, status=200, **kw):
    return Reply(status, json.dumps(data).encode(), **kw)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from(["", "0", "12", "1:02", "//x.example/a.jpg", "http://[", "https://x.example/a.mp3", "<![x y[", "\0", "\ud800", "NaN", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def mangled(item):
    """Strategy: `item` with any of its values, at any depth, gone or replaced by something odd."""
    if isinstance(item, dict):
        kept = st.fixed_dictionaries({}, optional={key: mangled(value) for key, value in item.items()})
    elif isinstance(item, list):
        kept = st.tuples(*(mangled(one) for one in item)).map(list) | st.lists(ODD, max_size=2)
    else:
        kept = st.just(item)
    return st.one_of(kept, kept, kept, ODD)


def readable(found):
    """Assert that a candidate, or None, is one that can be stored, shown and compared."""
    assert found is None or isinstance(found, Candidate)
    if found is not None:
        assert Candidate.from_json(json.loads(json.dumps(found.to_json()))) == found
        assert "" not in (found.foreign_id, found.title, found.media_url)
        assert found.credit.encode()
        assert found.canonical_url is None or found.landing_url
        assert found.popularity is None or found.popularity >= 0
        for count in (found.width, found.height, found.size, found.duration, found.fps):
            assert count is None or 0 < count < 2**60
