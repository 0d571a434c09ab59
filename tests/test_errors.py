import errno
import os
import subprocess
import sys

import pytest

from graft.errors import GraftError, did_you_mean, reported

PROGRAM = "import sys\nfrom graft.errors import reported\nwith reported():\n    {}"


@pytest.mark.parametrize("raised, exit_code, said", [
    (GraftError("params.yaml: no such key"), 2, "error: params.yaml: no such key\n"),
    (KeyboardInterrupt(), 130, "interrupted\n"),
    (OSError(errno.EROFS, "Read-only file system", "a/b"), 2,
     "error: a/b: Read-only file system. This disk is read-only: work in another folder.\n"),
    (RuntimeError("Problems closing file (errno = 30, error message = 'Read-only file system')"), 2,
     "error: a file or standard output: Read-only file system. This disk is read-only: work in another folder.\n"),
])
def test_what_a_person_did_is_told_in_a_line(capsys, raised, exit_code, said):
    with pytest.raises(SystemExit) as left_with, reported():
        raise raised
    assert left_with.value.code == exit_code
    assert capsys.readouterr().err == said


def test_what_is_wrong_in_the_code_keeps_its_traceback():
    with pytest.raises(AttributeError), reported():
        raise AttributeError


def test_the_nearest_word_is_offered():
    assert did_you_mean("epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert did_you_mean("xyz", ["epochs", "seed"]) == ""


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), OSError(errno.ENOENT, "No such file")])
def test_what_no_disk_has_refused_keeps_its_traceback(error):
    with pytest.raises(type(error)), reported():
        raise error


def run(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(code)], capture_output=True, **options)


def test_a_full_disk_is_one_message(tmp_path):
    code = ("from graft.machine.files import whole\n"
            "    with whole('new'), open('/dev/full', 'wb', buffering=0) as full: full.write(b'x')")
    done = run(code, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(b"error: new: No space left on device (")
    assert f" MB are free in {tmp_path}). Make room on this disk".encode() in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_that_takes_no_more_is_one_message():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM.format("print('x' * 99999)")], stdout=full,
                              stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        2, b"error: a file or standard output: No space left on device. Make room on this disk, and run it again.\n")


def test_a_closed_output_is_no_mistake():
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "$0" >&-', PROGRAM.format("print('x')")],
                          capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_terminal_that_is_not_utf8_gets_every_text():
    done = run(r"print('a\u2026 b\udcff')", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\\u2026 b\xff\n", b"")


def test_a_closed_pipe_ends_in_silence():
    program = "from graft.errors import reported\nwith reported():\n for i in range(99999): print(i)"
    command = f"{sys.executable} -c '{program}' | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n0\n", "")
