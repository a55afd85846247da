import sys
import textwrap

import pytest

from core.errors import Invalid
from core.registry import PROVIDERS, Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    def make(name: str, **modules: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    yield make
    for name in [name for name in sys.modules if name.startswith("vendors_")]:
        del sys.modules[name]


ADAPTER = "class A:\n    slug = {slug!r}\n    kind = {kind!r}\nADAPTER = A\n"


def test_one_new_file_is_one_new_adapter(package):
    name = package("vendors_one", b=ADAPTER.format(slug="beta", kind="script"), plain="X = 1\n")
    registry = Registry(name)
    assert registry.slugs() == ("beta",)
    assert registry.get("beta").__module__ == "vendors_one.b"


def test_an_unknown_slug_is_refused_with_the_slugs_that_exist(package):
    name = package(
        "vendors_two",
        a=ADAPTER.format(slug="alpha", kind="script"),
        b=ADAPTER.format(slug="beta", kind="speech"),
    )
    with pytest.raises(Invalid, match="alpha, beta") as caught:
        Registry(name, field="source").get("gamma")
    assert caught.value.field == "source"
    with pytest.raises(Invalid, match="Use one of: alpha"):
        Registry(name).get("beta", "script")


def test_two_adapters_with_one_slug_are_a_bug(package):
    twin = ADAPTER.format(slug="alpha", kind="script")
    with pytest.raises(TypeError, match="share 'alpha'"):
        Registry(package("vendors_three", a=twin, b=twin)).all()


def test_the_project_offers_its_providers_by_kind():
    assert {"outline", "ollama", "openai_compatible"} <= set(PROVIDERS.slugs("script"))
    assert "espeak" in PROVIDERS.slugs("speech")
    assert "local" in PROVIDERS.slugs("video")
