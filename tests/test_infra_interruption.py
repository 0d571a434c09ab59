"""A GPU host that goes away: the notice is seen, and the worker's run can save."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.processes import wait_for

INFRA = Path(__file__).parent.parent / "infra"
LIMIT_S = 120       # for whatever must come to pass; only one that hangs takes so long



class Metadata(http.server.BaseHTTPRequestHandler):
    """The instance metadata of EC2 as its second version answers: a token first, 404 for what is not there."""

    def answer(self, code: int, text: str = "") -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        right = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200, "token") if right else self.answer(400)

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            return self.answer(401)
        self.server.asked += 1
        entry = self.server.entries.get(self.path.removeprefix("/latest/meta-data/"))
        return self.answer(200, entry) if entry else self.answer(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def metadata():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.entries, server.asked = {}, 0
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def watch(metadata, marker: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", f"open({str(marker)!r}, 'a').write('x')"]
    options = ["--metadata", metadata.address, "--poll", "0.05", "--", *command]
    return subprocess.Popen([sys.executable, INFRA / "host/spot_watch.py", *options], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("entry, value", [
    ("spot/instance-action", '{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'),
    ("autoscaling/target-lifecycle-state", "Terminated"),
])
def test_a_notice_runs_the_command_once(metadata, tmp_path, entry, value):
    metadata.entries["autoscaling/target-lifecycle-state"] = "InService"
    watcher = watch(metadata, tmp_path / "ran")
    wait_for(lambda: metadata.asked > 6)
    assert watcher.poll() is None and not (tmp_path / "ran").exists()
    metadata.entries[entry] = value
    said = watcher.communicate(timeout=LIMIT_S)[1]
    assert watcher.returncode == 0 and (tmp_path / "ran").read_text() == "x"
    assert "instance-action" not in entry or value in said


def test_metadata_out_of_reach_is_no_notice(metadata, tmp_path):
    metadata.RequestHandlerClass = type("Broken", (Metadata,), {"do_PUT": lambda self: self.answer(500)})
    watcher = watch(metadata, tmp_path / "ran")
    assert "500" in watcher.stderr.readline()
    assert watcher.poll() is None and not (tmp_path / "ran").exists()
    metadata.entries["spot/instance-action"] = '{"action": "stop"}'
    metadata.RequestHandlerClass = Metadata
    assert watcher.wait(LIMIT_S) == 0 and (tmp_path / "ran").read_text() == "x"


# A worker as Prefect's behaves (test_gpu_scaling.py has the real one): SIGTERM ends it at once and kills its run. It
# tells how the run ended, if it has lived to see that.
WORKER = """
import pathlib, signal, subprocess, sys, time
run = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], start_new_session=True)
def stop(*_):
    run.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
code = run.wait()
pathlib.Path(sys.argv[2], "reported").write_text(str(code))
while True: time.sleep(0.05)
"""
RUN = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def save(*_):
    (folder / "told").open("a").write("x")
    {then}
signal.signal(signal.SIGTERM, save)
(folder / "pid").write_text(str(os.getpid()))
(folder / "pid").rename(folder / "started")
while True: time.sleep(0.05)
"""


def drain_worker(folder: Path, then: str, patience: float):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, RUN.replace("{then}", then), folder])
    wait_for((folder / "started").exists)
    command = [sys.executable, INFRA / "host/drain.py", "--pid", str(worker.pid), "--patience", str(patience)]
    return worker, subprocess.run(command, capture_output=True, text=True)


def test_draining_lets_the_run_save_and_tells_it_once(tmp_path):
    worker, drained = drain_worker(tmp_path, "time.sleep(0.6); sys.exit(0)", LIMIT_S)
    assert drained.returncode == 0, drained.stderr
    assert (tmp_path / "told").read_text() == "x" and worker.wait(LIMIT_S) == 0
    assert (tmp_path / "reported").read_text() == "0"


def test_draining_says_when_a_run_does_not_end(tmp_path):
    worker, drained = drain_worker(tmp_path, "pass", 0.5)
    try:
        assert drained.returncode == 1 and "has not ended within 0.5 s" in drained.stderr
    finally:
        subprocess.run(["kill", "-9", (tmp_path / "started").read_text()])
        worker.kill()
        worker.wait(LIMIT_S)


def test_spot_watch_and_drain_need_nothing_but_python():
    """They run on the host, where no package of this project is installed."""
    for name in ("spot_watch.py", "drain.py"):
        command = [sys.executable, "-I", "-S", INFRA / "host" / name, "--help"]
        assert subprocess.run(command, capture_output=True).returncode == 0
