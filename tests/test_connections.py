"""Nothing leaves the machine that the user did not ask for: no library reports to its makers."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import httpx
import pytest
from connections import foreign, needs_strace, traced
from tiny_bundle import make_bundle, make_images

from pipeline.code import ROOT

pytestmark = needs_strace


@pytest.fixture
def model(tmp_path):
    return make_bundle(tmp_path / "model")


def test_a_connection_is_seen(tmp_path):
    """TEST-NET-1 of RFC 5737: UDP, to which `connect` sends nothing."""
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    subprocess.run([*traced(tmp_path / "log"), sys.executable, "-c", code], check=True)
    assert foreign(tmp_path / "log") == {"192.0.2.1"}


def test_the_whole_flow_speaks_to_this_machine_alone(project):
    assert "127.0.0.1" in project.connections.read_text(errors="replace")      # Prefect's server
    assert foreign(project.connections) == set()


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
@pytest.mark.parametrize(("program", "environment"), [
    ("from graft.model.openvino import load; load()", {}),
    ("import pipeline.training, openvino", {"KERAS_BACKEND": "openvino"})])
def test_openvino_does_not_report_that_it_was_imported(tmp_path, program, environment):
    """Its reporter sends from a forked process, at once."""
    command = [*traced(tmp_path / "log"), sys.executable, "-c", program]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | environment)
    assert foreign(tmp_path / "log") == set()


def test_predict_speaks_to_nobody(model, tmp_path):
    image = make_images(tmp_path / "images", images=1) / "red/00.png"
    command = [*traced(tmp_path / "log"), sys.executable, "-m", "graft.cli", "predict", image, "--model", model]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert foreign(tmp_path / "log") == set()


def test_serve_speaks_to_its_clients_alone(model, tmp_path):
    image = (make_images(tmp_path / "images", images=1) / "red/00.png").read_bytes()
    command = [*traced(tmp_path / "log"), sys.executable, "-m", "graft.cli", "serve", model, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        address = re.search(r"http://[0-9.]+:[0-9]+", server.stdout.readline())[0]
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.post(f"{address}/v1/predict", content=image, headers={"Content-Type": "image/png"})
        time.sleep(3)           # telemetry is sent by and by
        os.killpg(server.pid, signal.SIGTERM)       # strace does not pass it on
    assert answer.status_code == 200
    assert foreign(tmp_path / "log") == set()
