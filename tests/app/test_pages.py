from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_pages_load_only_from_this_server(anonymous, address):
    page = anonymous.get(address)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"].split("script-src")[1].split(";")[0]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/"), link
        assert anonymous.get(link).status_code in {200, 503}, link


def test_only_listed_files_are_handed_out(anonymous):
    assert anonymous.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    for name in ("index.html", "..%2fapi.py", "swagger-ui.js.map"):
        assert anonymous.get(f"/docs/assets/{name}").status_code == 404
