"""Dockerfile, compose.yaml and the Kubernetes manifest: right by their published schemas, and of one mind.

The image itself needs Docker; `make image-test` does what the Dockerfile says without it.
"""

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pigeonhole.web import gateway

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text("utf-8")))
KUBERNETES = ("1.30", "1.37")


def instruction(name: str) -> str:
    """What follows an instruction that the Dockerfile has once."""
    (found,) = re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)
    return found


def of_kind(kind: str) -> dict:
    (found,) = (each for each in MANIFEST if each["kind"] == kind)
    return found


def container() -> dict:
    (found,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def check_compose(path: Path) -> subprocess.CompletedProcess:
    """By the schema of the Compose specification, which comes with check-jsonschema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_compose_follows_the_specification(tmp_path):
    done = check_compose(ROOT / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = deepcopy(COMPOSE)
    wrong["services"]["pigeonhole"]["readonly"] = wrong["services"]["pigeonhole"].pop("read_only")
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    done = check_compose(tmp_path / "compose.yaml")
    assert done.returncode == 1 and "readonly" in done.stdout


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("part", MANIFEST, ids=lambda part: part["kind"])
def test_the_manifest_follows_the_api(part, version):
    kubernetes_validate.validate(part, version, strict=True)


@pytest.mark.parametrize("wrong", [{"readinesProbe": {}}, {"ports": [{"containerPort": "8000"}]}])
def test_a_wrong_manifest_is_found(wrong):
    part = deepcopy(of_kind("Deployment"))
    part["spec"]["template"]["spec"]["containers"][0].update(wrong)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(part, KUBERNETES[-1], strict=True)


def test_all_probes_ask_what_the_server_answers_under_load():
    port = int(instruction("EXPOSE"))
    assert json.loads(instruction("ENTRYPOINT"))[-2:] == ["--port", str(port)]
    (probe,) = gateway.PROBES
    assert f"http://127.0.0.1:{port}{probe}" in instruction("HEALTHCHECK")
    (listening,) = container()["ports"]
    assert listening["containerPort"] == port
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[kind]["httpGet"] == {"path": probe, "port": listening["name"]}
    (exposed,) = of_kind("Service")["spec"]["ports"]
    assert exposed["targetPort"] == listening["name"]
    (published,) = COMPOSE["services"]["pigeonhole"]["ports"]
    assert published == f"127.0.0.1:{port}:{port}"


def test_it_runs_as_no_root_user_with_a_root_that_is_read_only():
    user, group = map(int, instruction("USER").split(":"))
    pod = of_kind("Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert user > 0 and group > 0 and pod["runAsNonRoot"]
    assert (pod["runAsUser"], pod["runAsGroup"]) == (user, group)
    own = container()["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    service = COMPOSE["services"]["pigeonhole"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert {"cpu", "memory"} == container()["resources"]["limits"].keys()


def test_the_service_finds_the_pods_and_the_pods_the_runs():
    deployment = of_kind("Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == of_kind("Service")["spec"]["selector"]
    (volume,) = deployment["template"]["spec"]["volumes"]
    assert (
        volume["persistentVolumeClaim"]["claimName"] == of_kind("PersistentVolumeClaim")["metadata"]["name"]
    )
    (mount,) = container()["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": f"{instruction('WORKDIR')}/runs", "readOnly": True}
    assert COMPOSE["services"]["pigeonhole"]["volumes"] == [f"./runs:{mount['mountPath']}:ro"]
