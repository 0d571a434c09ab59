"""Files that are written whole: after an error, or a kill at any moment, the old one is there or the new one."""

import signal
import threading

import fresh
import pytest

from graft.machine.files import unfinished, whole


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_when_its_block_ends(tmp_path, durable):
    path = tmp_path / "new" / "file.json"
    with whole(path, durable) as temporary:
        temporary.write_text("one")
        assert temporary.parent == path.parent and not path.exists()
    assert path.read_text() == "one"
    with whole(str(path), durable) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
    assert [(each.name, each.read_text()) for each in path.parent.iterdir()] == [("file.json", "two")]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_alone(tmp_path, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(error), whole(tmp_path / "file") as temporary:
        temporary.write_text("half of")
        raise error
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "file"):
        pass


def test_it_may_be_written_in_another_folder(tmp_path):
    with whole(tmp_path / "a" / "file", folder=tmp_path / "b") as temporary:
        assert temporary.parent == tmp_path / "b"
        temporary.write_text("x")
    assert sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*")) == ["a", "a/file", "b"]


def test_two_that_write_the_same_file_do_not_disturb_each_other(tmp_path):
    start, path = threading.Barrier(4), tmp_path / "file"

    def write(text):
        start.wait()
        for _ in range(50):
            with whole(path) as temporary:
                temporary.write_text(text * 1000)

    threads = [threading.Thread(target=write, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in {text * 1000 for text in "abcd"}
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_never_given_twice(tmp_path):
    with unfinished(tmp_path) as one, unfinished(tmp_path) as other:
        assert one != other


def test_a_kill_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    program = """
import os, signal, sys
from graft.machine.files import whole
with whole(sys.argv[1]) as temporary:
    temporary.write_text("half of")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = fresh.start(program, tmp_path / "file")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
