import os
import shutil
import signal
from functools import partial

import pytest
import s3_server

from benchmarks.processes import wait_for
from flows.dvc import Dvc, outcome
from graft.errors import GraftError

PIPELINE = """
stages:
  first: {cmd: echo one > one.txt, outs: [one.txt]}
  second: {cmd: cp one.txt two.txt, deps: [one.txt], outs: [two.txt]}
  other: {cmd: "echo other > other.txt; echo 'error: only a warning'; echo more", outs: [other.txt]}
  broken:
    cmd: "echo working; echo 'error: params.yaml: x is wrong' >&2; echo '       and y' >&2; exit 2"
    outs: [z.txt]
  slow: {cmd: "echo $$ > pid.txt; trap 'echo saved > saved.txt; exit 1' TERM; sleep 60 & wait", outs: [slow.txt]}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    with Dvc() as dvc:
        dvc.run("init", "--no-scm", "--quiet")
    return tmp_path


def quiet(line):
    pass


def test_the_plan_is_what_the_target_needs_in_the_order_of_the_graph(repository):
    with Dvc() as dvc:
        assert dvc.plan("second") == ["first", "second"]
        assert dvc.plan() == ["first", "second"]        # nothing depends on the others


def test_a_stage_runs_then_is_unchanged_then_comes_from_the_run_cache(repository):
    lines = []
    with Dvc() as dvc:
        dvc.run("repro", "--single-item", "first", on_line=quiet)
        assert outcome(dvc.run("repro", "--single-item", "second", on_line=lines.append)) == "ran"
        assert outcome(dvc.run("repro", "--single-item", "second", on_line=lines.append)) == "unchanged"
        (repository / "two.txt").unlink()
        (repository / "dvc.lock").unlink()
        assert outcome(dvc.run("repro", "--single-item", "second", on_line=lines.append)) == "restored"
    assert (repository / "two.txt").read_text() == "one\n"
    assert "Running stage 'second':" in lines
    assert not [line for line in lines if "git add" in line]


def test_a_failure_gives_the_reason_of_the_stage_and_the_worker_lives_on(repository):
    shown: list[str] = []
    with Dvc() as dvc:
        with pytest.raises(GraftError) as caught:
            dvc.run("repro", "broken", on_line=shown.append)
        assert shown[-1] == "working"
        assert str(caught.value) == "the stage broken failed: params.yaml: x is wrong\n       and y"
        (repository / "dvc.yaml").write_text(PIPELINE.replace("broken:\n", "broken:\n    always_changed: true\n"))
        with pytest.raises(GraftError, match="the stage broken failed: params.yaml: x is wrong"):
            dvc.plan("broken")
        with pytest.raises(GraftError, match="'nowhere' not found"):
            dvc.run("repro", "nowhere", on_line=quiet)
        assert outcome(dvc.run("repro", "other", on_line=shown.append)) == "ran"
        warning = ["error: only a warning", "more"]
        assert [line for line in shown if line in warning] == warning


def has_text(path) -> bool:
    return path.exists() and path.read_text() != ""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return b") Z " not in open(f"/proc/{pid}/stat", "rb").read()
    except (ProcessLookupError, FileNotFoundError):     # it ends between the two, or while it is read
        return False


def test_leaving_ends_a_running_stage_which_may_save_first(repository):
    import threading

    runs = partial(has_text, repository / "pid.txt")
    with pytest.raises(GraftError), Dvc() as dvc:
        threading.Thread(target=lambda: (wait_for(runs), dvc._worker.stdin.close())).start()
        dvc.run("repro", "slow", on_line=quiet)
    assert (repository / "saved.txt").read_text() == "saved\n"
    assert not is_alive(int((repository / "pid.txt").read_text()))


def test_a_killed_flow_leaves_no_stage_behind(repository):
    """The worker sees the end of its orders when the flow's process is gone, however that came about."""
    import subprocess
    import sys

    program = "from flows.dvc import Dvc\nwith Dvc() as dvc:\n    dvc.run('repro', 'slow')"
    flow = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    wait_for(partial(has_text, repository / "pid.txt"))
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    wait_for(partial(has_text, repository / "saved.txt"))
    wait_for(lambda: not is_alive(int((repository / "pid.txt").read_text())))


def test_of_an_import_from_s3_the_listing_tells_each_change_and_no_file_is_fetched(repository, ceph, monkeypatch):
    """Overwriting a file by others of the same size changes its tag."""
    monkeypatch.delenv("AWS_CONFIG_FILE")       # DVC takes no device for it
    bucket, key = ceph.removeprefix("s3://").partition("/")[::2]

    def put(name: str, data: bytes) -> None:
        s3_server.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=data)

    put("cat/1.jpg", b"one")
    put("dog/1.jpg", b"two")
    with Dvc() as dvc:
        dvc.run("import-url", ceph, "pets", on_line=quiet)
        shutil.rmtree("pets")
        shutil.rmtree(".dvc/cache")
        found = [dvc.sources(["pets.dvc"])[ceph] for _ in range(2)]
        put("dog/1.jpg", b"six")
        put("cat/2.jpg", b"two")
        found.append(dvc.sources(["pets.dvc"])[ceph])
    assert found[0] == found[1] and {folder: files for folder, (files, _) in found[2].items()} == {"cat": 2, "dog": 1}
    assert all(found[0][folder] != found[2][folder] for folder in ("cat", "dog"))
    assert not (repository / ".dvc/cache").exists() and not (repository / "pets").exists()


def test_what_keeps_the_worker_from_answering_is_told_and_it_lives_on(repository):
    (repository / ".dvc/config").write_text("[core]\n    remote = store\n    no_scm = True\n")
    with Dvc() as dvc:
        with pytest.raises(GraftError, match="core.remote is 'store', but there is no such remote here. Run `dvc rem"):
            dvc.remote()
        shutil.rmtree(".dvc/tmp")
        (repository / ".dvc/tmp").touch()               # as if this user might not write there
        with pytest.raises(GraftError, match="`dvc plan` failed:\nERROR: FileExistsError.*tmp"):
            dvc.plan()
        (repository / ".dvc/tmp").unlink()
        assert dvc.plan() == ["first", "second"]
