"""docker-compose.yml, which cannot be started here, held against its schema and against the code.

`data/compose-spec.json` is the Compose Specification's own schema (Apache-2.0,
https://github.com/compose-spec/compose-spec, schema/compose-spec.json).
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from core.settings import ROOT, Settings

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
THEIRS = sorted(set(SERVICES) - set(OURS))
LASTING = sorted(name for name, service in SERVICES.items() if service["restart"] == "unless-stopped")
PROCESSES = ("api", "worker-io", "worker-media", "beat", "flower")
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|_AUTH|_PASS$")


def _procfile() -> dict[str, list[str]]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: shlex.split(command) for name, command in (line.split(": ", 1) for line in lines)}


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_the_file_fulfils_the_compose_schema():
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())

    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_schema_refuses_a_broken_file():
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())
    broken = COMPOSE | {"services": {"api": {"comand": ["gunicorn"]}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_every_process_of_the_procfile_is_a_service():
    assert set(_procfile()) == set(PROCESSES)
    assert set(PROCESSES) <= set(SERVICES)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_service_runs_the_procfile_s_command(name):
    asked = [re.sub(r"\$\{(\w+):-[^}]*\}", r"$\1", word) for word in SERVICES[name]["command"]]

    assert asked == _procfile()[name]


@pytest.mark.parametrize("name", ["worker-io", "worker-media", "beat", "flower"])
def test_a_celery_command_names_the_application(name):
    command = SERVICES[name]["command"]
    module = importlib.import_module(command[command.index("-A") + 1])

    assert module.app.main == "callsheet"


def test_every_queue_that_tasks_are_routed_to_has_a_worker(settings):
    import celeryconfig

    served = {
        queue
        for name in ("worker-io", "worker-media")
        for queue in SERVICES[name]["command"][SERVICES[name]["command"].index("-Q") + 1].split(",")
    }
    routed = {route["queue"] for route in celeryconfig.task_routes.values()}

    assert routed | {celeryconfig.task_default_queue} <= served


@pytest.mark.parametrize("name", OURS)
def test_every_environment_name_is_a_setting(name):
    known = {field.upper() for field in Settings.model_fields}

    assert set(SERVICES[name]["environment"]) <= known


def test_the_image_s_own_environment_is_known_too():
    known = {field.upper() for field in Settings.model_fields}
    block = re.search(r"ENV (.*?)\n[A-Z]", _dockerfile(), re.DOTALL)
    names = set(re.findall(r"(\w+)=", block[1]))

    assert names - {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "REMAP_SIGTERM"} <= known


@pytest.mark.parametrize(("name", "field"), [("api", "api_port"), ("flower", "flower_port")])
def test_a_published_port_is_the_one_the_process_listens_on(name, field):
    port = Settings.model_fields[field].default
    inside = {published.rsplit(":", 1)[1] for published in SERVICES[name]["ports"]}

    assert inside == {str(port)}
    assert f":{port}/" in " ".join(SERVICES[name]["healthcheck"]["test"])
    assert str(port) in re.search(r"EXPOSE (.*)", _dockerfile())[1].split()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_published_ports_are_closed_to_other_machines_unless_asked(name):
    for published in SERVICES[name].get("ports", []):
        assert re.match(r"\$\{\w+_PUBLISH:-127\.0\.0\.1:\d+\}:\d+$", published)


def test_the_health_check_asks_a_path_that_the_api_has(settings):
    from app import create_app

    path = re.search(r"8080(/[\w/]+)", " ".join(SERVICES["api"]["healthcheck"]["test"]))[1]

    assert path in {rule.rule for rule in create_app(settings).url_map.iter_rules()}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_secret_comes_from_the_environment_and_has_no_default(name):
    for key, value in SERVICES[name].get("environment", {}).items():
        if not SECRET.search(key):
            continue
        assert re.match(r"\$\{\w+:\?[^}]+\}$", value) or _guarded(name, key, value), (key, value)


def _guarded(name: str, key: str, value: str) -> bool:
    """A profile's own secret: it may be absent while the profile is off, so the start itself asks for it."""
    return bool(re.match(r"\$\{\w+:-\}$", value)) and f'test -n "$${key}"' in " ".join(
        SERVICES[name].get("entrypoint", [])
    )


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_limited_unprivileged_and_kept_small(name):
    service = SERVICES[name]

    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert not service["user"].startswith(("0", "root"))
    assert service["init"] is True
    assert service["restart"] in {"unless-stopped", "on-failure"}
    assert service.get("privileged") is None
    assert service.get("read_only") is True or name == "rabbitmq"


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_service_is_watched_and_stopped_gently(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["stop_grace_period"]


def test_a_worker_is_given_longer_to_stop_than_it_asks_for(settings):
    import celeryconfig

    for name in ("worker-io", "worker-media"):
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > celeryconfig.worker_soft_shutdown_timeout + 5
    assert "REMAP_SIGTERM=SIGQUIT" in _dockerfile()


def test_what_a_service_waits_for_exists_and_can_become_so():
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in SERVICES, (name, other)
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (name, other)
            else:
                assert SERVICES[other]["restart"] == "on-failure", (name, other)


def test_every_volume_and_config_is_declared_and_used():
    volumes = {mount.split(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])}
    configs = {config["source"] for s in SERVICES.values() for config in s.get("configs", [])}

    assert volumes == set(COMPOSE["volumes"])
    assert configs == set(COMPOSE["configs"])


@pytest.mark.parametrize("name", OURS)
def test_our_services_keep_their_data_where_the_image_has_a_folder_of_theirs(name):
    for mount in SERVICES[name]["volumes"]:
        assert mount.split(":")[1] in _dockerfile()
    assert SERVICES[name]["user"] == re.search(r"USER (\S+)", _dockerfile())[1]


@pytest.mark.parametrize("name", THEIRS)
def test_a_foreign_image_is_pinned_to_a_version(name):
    tag = SERVICES[name]["image"].rpartition(":")[2]

    assert re.search(r"\d", tag)
    assert tag != "latest"


def test_the_profiles_are_those_the_documents_name():
    profiles = {
        p: sorted(n for n, s in SERVICES.items() if p in s.get("profiles", []))
        for p in ("rabbitmq", "monitoring")
    }

    assert profiles == {"rabbitmq": ["rabbitmq"], "monitoring": ["grafana", "prometheus"]}


def test_prometheus_asks_services_that_are_there():
    scrape = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    targets = {t for job in scrape["scrape_configs"] for c in job["static_configs"] for t in c["targets"]}

    assert {target.split(":")[0] for target in targets} <= set(SERVICES)


def test_prometheus_reads_our_metrics_with_a_token_that_stands_in_no_file(settings):
    from app import create_app

    scrape = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    (job,) = [job for job in scrape["scrape_configs"] if job["job_name"] == "callsheet-api"]
    secret = job["authorization"]["credentials_file"].removeprefix("/run/secrets/")

    assert job["metrics_path"] in {rule.rule for rule in create_app(settings).url_map.iter_rules()}
    assert secret in SERVICES["prometheus"]["secrets"]
    assert COMPOSE["secrets"][secret] == {"environment": "METRICS_TOKEN"}
    assert SERVICES["api"]["environment"]["METRICS_TOKEN"] == "${METRICS_TOKEN:-}"


def test_every_setting_is_in_the_example_file_in_order_and_without_secrets():
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = [match for line in lines if (match := re.match(r"#([A-Z0-9_]+)=(.*)$", line))]

    assert [match[1].lower() for match in shown] == list(Settings.model_fields)
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert all(match[2] == "" for match in shown if match[1].lower() in secret)
