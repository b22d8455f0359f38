"""The manifests for Kubernetes: checked against its schemas and for what they promise; no cluster runs them here."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from api.settings import ApiSettings
from db.settings import Settings
from tests.conftest import ROOT
from worker.settings import WorkerSettings

_VERSION = "1.33"
_FOLDER = ROOT / "deploy" / "kubernetes"

Manifest = dict[str, Any]


def _documents() -> Iterator[Manifest]:
    for file in sorted(_FOLDER.glob("*.yaml")):
        yield from YAML(typ="safe").load_all(file.read_text())


MANIFESTS = {f"{each['kind']} {each['metadata']['name']}": each for each in _documents()}
PODS = {name: each["spec"]["template"] for name, each in MANIFESTS.items() if "template" in each.get("spec", {})}


@pytest.mark.parametrize("name", sorted(MANIFESTS))
def test_a_manifest_is_what_kubernetes_knows_and_nothing_else(name: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], _VERSION, strict=True)


def test_a_misspelt_manifest_is_refused() -> None:
    """The negative control."""
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**MANIFESTS["Deployment relais-api"], "spek": {}}, _VERSION, strict=True)


def test_everything_that_is_needed_is_there() -> None:
    assert set(MANIFESTS) == {
        *("ConfigMap relais-api", "ConfigMap relais-worker", "ConfigMap relais-operator"),
        *("Deployment relais-api", "Deployment relais-worker", "Job relais-migrate-pre", "Service relais-api"),
        *("PodDisruptionBudget relais-api", "PodDisruptionBudget relais-worker"),
        *("NetworkPolicy relais", "NetworkPolicy relais-api"),
    }


@pytest.mark.parametrize("name", sorted(PODS))
def test_no_pod_runs_as_root_or_writes_its_own_files(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    for container in spec["containers"]:
        context = container["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", sorted(PODS))
def test_settings_are_known_and_secrets_come_by_file(name: str) -> None:
    (container,) = PODS[name]["spec"]["containers"]
    (source,) = container["envFrom"]
    told = MANIFESTS[f"ConfigMap {source['configMapRef']['name']}"]["data"]
    known = {
        f"RELAIS_{field.upper()}" for each in (Settings, ApiSettings, WorkerSettings) for field in each.model_fields
    }
    assert set(told) <= known
    assert not any(re.search(r"://[^/@]*:[^/@]*@", value) for value in told.values()), "a password stands in an address"
    assert all(value.startswith("/run/secrets/") for setting, value in told.items() if setting.endswith("_FILE"))


def test_the_api_is_asked_whether_it_is_ready_and_drained_before_it_ends() -> None:
    spec = PODS["Deployment relais-api"]["spec"]
    (container,) = spec["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # The database's going is no reason to start the API again.
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["lifecycle"]["preStop"]
    assert spec["terminationGracePeriodSeconds"] > 30


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy", "Service"])
def test_what_chooses_pods_chooses_some(kind: str) -> None:
    labels = [each["metadata"]["labels"] for each in PODS.values()]
    for name, each in MANIFESTS.items():
        if name.startswith(f"{kind} "):
            spec = each["spec"]
            chosen = spec.get("podSelector", spec.get("selector"))
            wanted = chosen.get("matchLabels", chosen)
            assert any(wanted.items() <= given.items() for given in labels), name
