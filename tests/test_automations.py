"""The automations on a real server: applied once and again, and fired by real events."""

import http.server
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from prefect_server import wait_for
from watched import draw, log, publish

from benchmarks.scratch import Project
from flows.automations import HEARTBEAT, automations
from pipeline.code import ROOT

NAMES = ["graft: failed run", "graft: stuck run", "graft: stale champion", "graft: verdict",
         "graft: drift"]


@pytest.fixture(scope="module")
def prefect_server(own_prefect_server):
    """What is applied here would end silent runs of other tests."""
    return own_prefect_server


@pytest.fixture(scope="module")
def webhook():
    """A receiver of notifications; `texts` are what they say."""
    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.texts.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.texts = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(server, *command: str, **environment: str) -> subprocess.CompletedProcess:
    everything = {**server.environment, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=everything, capture_output=True, text=True)


def applied(server, **environment: str) -> dict[str, str]:
    done = run(server, "-m", "flows.automations", **environment)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return {name: what for what, name in lines if name in NAMES}


def on_server(server) -> dict[str, dict]:
    return {each["name"]: each for each in server.ask("automations/filter", {}) if each["name"].startswith("graft: ")}


def test_applying_again_changes_nothing_and_what_was_changed_or_lost_comes_back(prefect_server, webhook):
    there = {"GRAFT_WEBHOOK": f"http://127.0.0.1:{webhook.server_port}/hook"}
    assert set(applied(prefect_server, **there).values()) == {"created"}
    before = on_server(prefect_server)
    assert set(applied(prefect_server, **there).values()) == {"unchanged"}
    assert on_server(prefect_server) == before
    code = f"""
from prefect import get_client
with get_client(sync_client=True) as client:
    client.delete_automation({before[NAMES[0]]["id"]!r})
    client.pause_automation({before[NAMES[1]]["id"]!r})
"""
    assert run(prefect_server, "-c", code).returncode == 0
    assert applied(prefect_server, **there) == dict(
        zip(NAMES, ("created", "updated", "unchanged", "unchanged", "unchanged")))
    assert all(each["enabled"] for each in on_server(prefect_server).values())


def test_an_address_that_is_none_is_refused(prefect_server):
    done = run(prefect_server, "-m", "flows.automations", GRAFT_WEBHOOK="hooks.example.org")
    assert done.returncode == 2 and done.stderr.startswith("error: GRAFT_WEBHOOK: expected")


PROGRAM = """
import sys, time
from datetime import timedelta
from prefect import flow, runtime
from flows.automations import BLOCK, apply, automations
from flows.outcome import emit
from prefect.blocks.webhook import Webhook
from prefect.states import Completed

identity = Webhook.load(BLOCK)._block_document_id
apply(automations(identity, stuck_after=timedelta(seconds=10), stale_after=timedelta(seconds=10)))
emit("model.promoted", "tiny", {})
emit("model.judged", "tiny", {"run": "tiny 2: HOLD 93.2%", "reasons": 'a "close" race'})

@flow(name="new-data")
def look():
    time.sleep(2)       # a heartbeat of a shorter run may be told after its end
    return Completed(name="Nothing new")

@flow(name="training")
def training(kill: bool):
    if kill:
        print(runtime.flow_run.id, flush=True)
        time.sleep(600)
    raise ValueError('a "quoted" mistake\\nof two lines')

if sys.argv[1] == "fail":
    look()
training(kill=sys.argv[1] == "kill")
"""


def heartbeats(server, run: str) -> int:
    wanted = {"event": {"name": [HEARTBEAT]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
    return server.ask("events/filter", {"filter": wanted})["total"]


def test_a_failed_a_killed_and_a_stale_one_and_a_verdict_are_reported(prefect_server, webhook):
    """With ten seconds in place of ten minutes and of a month: the shortest that Prefect takes."""
    assert {each.trigger.within for each in automations()} >= {timedelta(minutes=10), timedelta(days=31)}
    assert run(prefect_server, "-c", PROGRAM, "fail").returncode == 1
    killed = subprocess.Popen([sys.executable, "-c", PROGRAM, "kill"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, env={**prefect_server.environment, "PYTHONPATH": str(ROOT)})
    identity = killed.stdout.readline().strip()
    wait_for(lambda: heartbeats(prefect_server, identity))
    killed.kill()
    killed.communicate()
    for words in ('a "quoted" mistake', "sent no heartbeat", "tiny: no version was promoted",
                  'tiny 2: HOLD 93.2%: a "close" race'):
        wait_for(lambda words=words: any(words in text for text in webhook.texts))
    killed = prefect_server.ask("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}}})
    assert any(run["state"]["message"].startswith("no heartbeat") for run in killed)
    [looked] = prefect_server.ask("flow_runs/filter", {"flows": {"name": {"any_": ["new-data"]}}})
    assert looked["state_name"] == "Nothing new", "that it ended, under whatever name, is a sign of life"


WATCH = """
import sys
from flows.watch import watch
for place, retrain in ((sys.argv[1], False), (sys.argv[1], True), (sys.argv[2], False), ("", False)):
    state = watch(place, retrain=retrain, return_state=True)
    print(state.name, "|", state.message)
"""


def test_a_drift_is_shown_told_and_answered(prefect_server, webhook, tmp_path, monkeypatch):
    """The automations are those of the tests before."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    classifier = publish(tmp_path, str(tmp_path / "registry"))
    project = Project(tmp_path / "project", **{"publish.name": "colours"})
    pictures = draw(600, seed=3, shift=(60, 0, 0))[0]
    log(tmp_path / "log", classifier.predict_batch(pictures), classifier, ended=datetime.now(UTC))
    environment = prefect_server.environment | {"GRAFT_REGISTRY": str(tmp_path / "registry")}
    done = project.run("python", "-c", WATCH, str(tmp_path / "log"), str(tmp_path / "empty"), **environment)
    drifted, retrained, quiet, nowhere = done.stdout.splitlines()
    assert drifted.startswith("Drifted | ") and "less like the training images" in drifted
    assert retrained.startswith("Failed | ") and "training/retraining" in retrained          # nobody has deployed it
    assert quiet.startswith("Quiet | ") and nowhere.startswith("Failed | place: expected the folder")
    wait_for(lambda: any(text.startswith("colours@1: ") and "less like" in text for text in webhook.texts))
    shown = prefect_server.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["colours-watch"]}}})
    assert any("# colours@1: drifted" in each["data"] and "accuracy to expect" in each["data"] for each in shown)
    assert "colours@1 in use" in (tmp_path / "log/colours/watch.html").read_text()
