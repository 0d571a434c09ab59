"""The image and the manifests with which a cluster serves a model; no engine and no cluster are needed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
import yaml
from tiny_bundle import make_bundle

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "infra"
DOCKERFILE = (INFRA / "serve.Dockerfile").read_text()
DEPLOYMENT, SERVICE = yaml.safe_load_all((INFRA / "kubernetes.yaml").read_text())
KSERVE = yaml.safe_load((INFRA / "kserve.yaml").read_text())
PODS = [DEPLOYMENT["spec"]["template"]["spec"], KSERVE["spec"]["predictor"]]
SCALING = {"minReplicas", "maxReplicas"}        # what KServe adds to a pod's own fields


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """What the image runs, with the arguments of its manifest and a free port."""
    folder = make_bundle(tmp_path_factory.mktemp("served") / "colours")
    own = {"GRAFT_MODEL": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
           "PYTHONPATH": str(ROOT)}
    command = [INFRA / "serve", *PODS[0]["containers"][0]["command"][1:], "--port", "0"]
    process = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)
    port = re.search(r"http://0\.0\.0\.0:(\d+)", process.stdout.readline())[1]
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM      # uvicorn ends what is under way, then passes the signal on


@pytest.mark.parametrize("pod", PODS)
def test_probes_and_names_of_a_manifest_are_the_servers(address, pod):
    [container] = pod["containers"]
    probes = [value["httpGet"]["path"] for key, value in container.items() if key.endswith("Probe")]
    assert len(probes) >= 2
    for path in probes:
        assert httpx.get(address + path).status_code == 200
    names = [word for word in PODS[0]["containers"][0]["command"] if "." in word]
    assert len(names) == 2
    for name in (*names, SERVICE["metadata"]["name"]):
        assert httpx.get(address + "/readyz", headers={"Host": name}).status_code == 200
    assert httpx.get(address + "/readyz", headers={"Host": "evil.example.com"}).status_code == 421


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_not_root_and_its_root_is_read_only(pod):
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    home = re.search(r"GRAFT_HOME=(\S+)", DOCKERFILE)[1]
    assert {each["mountPath"] for each in container["volumeMounts"]} == {home, "/tmp"}


def test_the_manifests_by_kubernetes_own_schemas():
    validator = pytest.importorskip("kubernetes_validate")
    pod = {key: value for key, value in KSERVE["spec"]["predictor"].items() if key not in SCALING}
    as_pod = {"apiVersion": "v1", "kind": "Pod", "metadata": KSERVE["metadata"], "spec": pod}
    for manifest in (DEPLOYMENT, SERVICE, as_pod):
        validator.validate(manifest, validator.latest_version(), strict=True)
    with pytest.raises(validator.ValidationError):
        validator.validate(SERVICE | {"spec": {"ports": "http"}}, validator.latest_version(), strict=True)
    assert (KSERVE["apiVersion"], KSERVE["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")


def test_the_image_holds_the_wheel_and_what_it_needs_and_no_root():
    steps = [tuple(line.split(maxsplit=1)) for line in re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M)
             .replace("\\\n", " ").splitlines() if line.strip()]
    assert [value for name, value in steps if name == "USER"] == ["1000:1000"]
    assert "--no-deps --require-hashes" in DOCKERFILE
    sources = [source for name, value in steps if name == "COPY" for source in value.split()[:-1]]
    ignored, *kept = re.findall(r"^[^#\n].*$", (INFRA / "serve.Dockerfile.dockerignore").read_text(), re.M)
    assert ignored == "*" and sorted(each.removeprefix("!") for each in kept) == sorted(sources)
    locked = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/serve.txt").read_text(), re.M))
    assert {"onnxruntime", "fastapi", "boto3", "model-signing"} <= locked
    assert not locked & {"tensorflow", "keras", "prefect", "dvc", "pandas"}
    assert os.access(INFRA / "serve", os.X_OK)
    assert any(fnmatch("dist/graft-0.1.0-py3-none-any.whl", each) for each in sources)


def test_the_dockerfile_by_hadolint():
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed")
    done = subprocess.run(["hadolint", INFRA / "serve.Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
