"""The deployment for one machine: checked as far as it can be without a container engine."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from ruamel.yaml import YAML

from web.files import OF_THE_MAP, OF_THE_SCAN

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker-compose.yml"
OURS = ("migrate", "api", "worker", "api-scale", "worker-scale")
SCALE = ("logins", "pgbouncer", "api-scale", "worker-scale", "replica")

Section = Mapping[str, object]


def compose() -> dict[str, dict[str, Section]]:
    return cast("dict[str, dict[str, Section]]", YAML(typ="safe").load(FILE.read_text()))


SERVICES = compose()["services"]


def each_service(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(name, sorted(SERVICES))


def items(service: str, key: str) -> list[str]:
    return cast("list[str]", SERVICES[service].get(key, []))


def words(service: str, key: str) -> dict[str, str]:
    return cast("dict[str, str]", SERVICES[service].get(key, {}))


def test_the_file_is_a_compose_file() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_everything_that_one_machine_needs_is_a_service() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {"postgis", "redis", "migrate", "api", "worker"}


def test_what_grows_comes_with_its_profile_alone() -> None:
    assert {name for name in SERVICES if items(name, "profiles") == ["scale"]} == set(SCALE)
    assert set(SERVICES) == {"postgis", "redis", *OURS, *SCALE}


@pytest.mark.parametrize(("service", "user"), [("api-scale", "api"), ("worker-scale", "worker")])
def test_processes_go_through_the_pooler_as_a_user_with_its_role_and_listen_past_it(service: str, user: str) -> None:
    told = words(service, "environment")
    assert told["RELAIS_DATABASE_URL"] == f"postgresql+asyncpg://{user}@pgbouncer:6432/relais"
    assert told["RELAIS_LISTEN_URL"] == f"postgresql+asyncpg://{user}@postgis:5432/relais"
    assert "database_password" not in items(service, "secrets")
    assert cast("dict[str, int]", SERVICES[service]["deploy"])["replicas"] > 1


def test_configurations_that_are_named_exist() -> None:
    defined = cast("dict[str, dict[str, str]]", compose()["configs"])
    named = {cast("dict[str, str]", config)["source"] for each in SERVICES for config in items(each, "configs")}
    assert named == set(defined)
    assert all((CHECKOUT / config["file"]).is_file() for config in defined.values())


@each_service("service")
def test_a_service_waits_only_for_what_can_be_known(service: str) -> None:
    waits = cast("dict[str, dict[str, str]]", SERVICES[service].get("depends_on", {}))
    for other, how in waits.items():
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"
        else:
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"migrate", "logins"}))
def test_what_stays_running_tells_its_health(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"
    assert cast("dict[str, list[str]]", SERVICES[service]["healthcheck"])["test"][0] == "CMD"


@each_service("service")
def test_secrets_come_by_file_and_each_is_defined(service: str) -> None:
    defined = compose()["secrets"]
    named = items(service, "secrets")
    assert set(named) <= set(defined)
    told = words(service, "environment")
    for name, value in told.items():
        if name.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in named
    assert not re.search(r"://[^/@]*:[^/@]*@", json.dumps(told)), "a password stands in an address"


def test_each_secret_is_a_file_that_the_image_never_sees() -> None:
    assert {cast("str", secret["file"]).split("/")[1] for secret in compose()["secrets"].values()} == {"secrets"}
    allowed = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "*" in (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert not any("secret" in line or line == "!." for line in allowed)


@each_service("service")
def test_no_service_runs_as_root_or_writes_its_own_files(service: str) -> None:
    uid = int(str(SERVICES[service]["user"]).split(":")[0])
    assert uid > 0
    assert SERVICES[service]["read_only"] is True
    assert items(service, "cap_drop") == ["ALL"]
    assert "no-new-privileges:true" in items(service, "security_opt")
    assert items(service, "tmpfs")


@each_service("service")
def test_every_image_is_pinned_to_a_version_or_built_here(service: str) -> None:
    tag = str(SERVICES[service]["image"]).rpartition(":")[2]
    if tag == "local" and service == "pgbouncer":
        assert SERVICES[service]["build"] == {"context": ".", "target": "pooler"}
    elif service in OURS:
        assert SERVICES[service]["build"] == "."
    else:
        assert re.match(r"\d+[.-]\d", tag)


def test_the_database_and_the_doorbell_are_reached_from_inside_only() -> None:
    assert compose()["networks"]["inside"]["internal"] is True
    for service in ("postgis", "redis", "pgbouncer", "replica", "logins"):
        assert items(service, "networks") == ["inside"]
        assert items(service, "ports") == []
    assert items("api", "ports") == ["127.0.0.1:${RELAIS_PORT:-8000}:8000"]


@each_service("service")
def test_networks_and_volumes_that_are_named_exist(service: str) -> None:
    whole = compose()
    assert set(items(service, "networks")) <= set(whole["networks"])
    assert {volume.split(":")[0] for volume in items(service, "volumes")} <= set(whole["volumes"])


def test_the_image_holds_every_package_that_runs_and_ends_unprivileged() -> None:
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    copied = {
        line.split()[1] for line in lines if line.startswith("COPY ") and " /app/" in line and "--from" not in line
    }
    assert copied == {"api", "db", "evidence", "geo", "identity", "importing", "matching", "relais", "web", "worker"}
    brought = {Path(each).name for line in lines if line.startswith("COPY --from=map ") for each in line.split()[2:-1]}
    assert brought - {"LICENSE.txt", "LICENSE-MIT"} == {*OF_THE_MAP, *OF_THE_SCAN}
    allowed = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert allowed == copied | {"requirements.txt"}
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    assert any("--require-hashes" in line for line in lines)
