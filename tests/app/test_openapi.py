"""The OpenAPI document is valid, and the API does what it says: generated requests, every operation."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from app import create_app
from core.settings import Settings
from tests.app.conftest import make_house
from tests.app.seed import seed_house
from tests.conftest import _create_database, _fresh_caches, _on_database, drop_database

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


# Built once for the list of operations; its database is each test's own, through the environment.
APP = create_app(Settings(var_dir=Path(tempfile.mkdtemp(prefix="callsheet-api-")), secret_key="s" * 32))
APP.config.update(STREAM_SECONDS=0.1, STREAM_POLL_SECONDS=0.02)
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", APP)

NUMBERS = itertools.count(1)


@dataclass
class World:
    key: str
    ids: dict


@pytest.fixture(scope="module")
def api_database(servers, template_database):
    """One database for every operation; each test seeds a workspace of its own in it."""
    name = "callsheet_openapi"
    _create_database(servers.database_url, name, template=template_database)
    with pytest.MonkeyPatch.context() as patch, _fresh_caches():
        patch.setenv("DATABASE_URL", _on_database(servers.database_url, name))
        patch.setenv("REDIS_URL", servers.redis_url)
        patch.setenv("BROKER_URL", servers.broker_url)
        patch.setenv("VAR_DIR", str(APP.config["SETTINGS"].var_dir))
        yield
    drop_database(servers.database_url, name)


@pytest.fixture
def world(api_database):
    house = make_house(APP, f"House{next(NUMBERS)}")
    return World(house.key, seed_house(house))


@schema.parametrize()
@hypothesis.settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_generated_requests_get_documented_answers(case, world):
    case.headers = {**(case.headers or {}), "X-API-Key": world.key}
    if case.path_parameters and len(repr(case.body) + repr(case.query)) % 4:
        case.path_parameters = {name: str(world.ids[name]) for name in case.path_parameters}
    if isinstance(case.query, dict) and "wait" in case.query:
        case.query["wait"] = 0
    case.call_and_validate(checks=CHECKS)


def test_the_document_is_valid_openapi(anonymous):
    document = anonymous.get("/api/v1/openapi.json").json
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_job_params_are_a_union_told_apart_by_kind(anonymous):
    schemas = anonymous.get("/api/v1/openapi.json").json["components"]["schemas"]
    assert schemas["JobIn"]["discriminator"]["propertyName"] == "kind"
    assert set(schemas["JobIn"]["discriminator"]["mapping"]) == {"film", "text_removal", "scrape"}
    assert schemas["FilmJobIn"]["additionalProperties"] is False


def test_errors_are_documented_as_problems_and_every_operation_has_a_summary(anonymous):
    document = anonymous.get("/api/v1/openapi.json").json
    content = document["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert list(content) == ["application/problem+json"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            assert operation.get("summary"), (method, path)
            assert "default" in operation["responses"], (method, path)


def test_open_operations_say_so_and_all_others_need_a_key(app, anonymous):
    document = anonymous.get("/api/v1/openapi.json").json
    assert document["security"] == [{"apiKey": []}, {"bearerKey": []}]
    opened = {
        path
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters" and operation.get("security") == []
    }
    assert opened == {
        "/api/v1/health",
        "/api/v1/health/services",
        "/api/v1/files/{key}",
        "/api/v1/callbacks/{provider}",
    }
