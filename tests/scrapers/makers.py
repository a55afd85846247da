"""What the tests of sources share: settings, a client that never sleeps, tiny real pictures."""

from __future__ import annotations

import io

from PIL import Image

from core.http import HttpClient
from core.settings import Settings


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
