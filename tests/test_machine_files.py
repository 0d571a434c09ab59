"""Files that are written whole: after an error, or a kill at any moment, the old one is there or the new one."""

import os
import signal
import threading
from pathlib import Path

import fresh
import pytest

from graft.errors import GraftError
from graft.machine.files import expanded, unfinished, whole


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


def test_a_disk_that_takes_no_more_is_said_of_the_file_that_the_user_knows(tmp_path):
    with pytest.raises(OSError) as caught, whole(tmp_path / "file"), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    assert (caught.value.filename, list(tmp_path.iterdir())) == (str(tmp_path / "file"), [])


def test_a_user_without_a_home_folder_is_one_message():
    assert expanded("~") == Path.home()
    with pytest.raises(GraftError, match="^~nobody-here/models: this machine knows no home folder"):
        expanded("~nobody-here/models")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_and_home_is_one_message_too():
    program = """
import os
from graft.errors import reported
from graft.registry.cache import home
del os.environ["HOME"]
os.setuid(54321)
try:
    with reported():
        home()
except SystemExit as end:
    print(end.code)
"""
    assert fresh.run(program, GRAFT_HOME="", XDG_CACHE_HOME="") == "2\n"
