"""compose.yaml and the Dockerfile. test_gpu_scaling.py starts what stands in compose.yaml."""

import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


# ------------------------------------------------------------------------------------------------------- compose.yaml


def test_compose_is_valid(tmp_path):
    """By Docker's own reading; no engine is needed."""
    file = tmp_path / "compose.yaml"
    command = compose_command()
    # the older program, which Debian has, knows all of it but the project's name
    drop = "name: graft\n" if command == ["docker-compose"] else ""
    file.write_text((INFRA / "compose.yaml").read_text().replace(drop, "", 1))
    command += ["--env-file", INFRA / ".env.example", "-f", file]
    profiles = ["--profile", "local", "--profile", "gpu", "--profile", "aws"]
    command += [*profiles, "config", "--quiet"]
    passwords = {"POSTGRES_PASSWORD": "x", "PREFECT_PASSWORD": "x"}
    done = subprocess.run(command, env=os.environ | passwords, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def compose_command() -> list[str]:
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    return pytest.skip("docker compose is not installed: apt-get install docker-compose")


def test_services_name_only_what_is_there():
    used_volumes = {volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())}
    used_configs = {config["source"] for one in SERVICES.values() for config in one.get("configs", ())}
    assert used_volumes == set(COMPOSE["volumes"]) and used_configs == set(COMPOSE["configs"])
    assert all((INFRA / config["file"]).is_file() for config in COMPOSE["configs"].values())
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)
            assert set(SERVICES[other].get("profiles", ())) <= set(service.get("profiles", ())), (name, other)


def test_each_image_is_pinned_or_built_here():
    for name, service in SERVICES.items():
        tag = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"]).rpartition(":")[2]
        assert re.fullmatch(r"cpu|gpu|v?\d+(\.\d+)+[\w.-]*", tag), name
    build = SERVICES["server"]["build"]
    assert (INFRA / build["context"] / build["dockerfile"]).is_file()


def test_each_setting_has_a_default_or_stands_in_the_example():
    text = (INFRA / "compose.yaml").read_text()
    named = set(re.findall(r"\$\{(\w+)", text))
    optional = set(re.findall(r"\$\{(\w+):-", text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (INFRA / ".env.example").read_text(), re.M))
    assert named - optional <= set(example)
    assert set(example) <= named | {"COMPOSE_PROFILES"}
    assert not any(value for key, value in example.items() if "PASSWORD" in key or "KEY" in key), "a default password"


def test_nothing_is_open_to_the_network_by_default():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports and all(re.sub(r"\$\{\w+:-([\d.]+)\}", r"\1", port).startswith("127.0.0.1:") for port in ports)


# --------------------------------------------------------------------------------------------------------- Dockerfile


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", (INFRA / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_dockerfile_by_hadolint():
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed")
    done = subprocess.run(["hadolint", INFRA / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_image_is_locked_and_not_root():
    steps = instructions()
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", next(value for name, value in steps if name == "FROM"))
    assert [value for name, value in steps if name == "USER"][-1] == "1000:1000"
    installs = [value for name, value in steps if name == "RUN" and "pip install" in value]
    assert installs and all("--require-hashes" in value and "--no-deps" in value for value in installs)
    assert not any(re.search(r"PASSWORD|SECRET|TOKEN", value) for name, value in steps if name in ("ENV", "ARG"))


def test_the_build_is_given_the_lock_files_and_nothing_else():
    ignored, *kept = re.findall(r"^[^#\n].*$", (INFRA / "Dockerfile.dockerignore").read_text(), re.M)
    assert ignored == "*"
    for name, value in instructions():
        if name == "COPY":
            for kind in ("cpu", "gpu"):
                source = value.split()[0].replace("${REQUIREMENTS}", kind)
                assert any(fnmatch(source, pattern.removeprefix("!")) for pattern in kept), source
                assert "--hash=sha256:" in (ROOT / source).read_text(), source
