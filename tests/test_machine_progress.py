"""A loop shows how far it is: lines in a log, a bar in a terminal."""

import re

import pytest

from flows.waiting import Waiting
from graft.machine import progress


def test_a_log_gets_lines_with_what_is_left_and_the_items_stay(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    assert list(progress.shown(iter("abc"), 3, "reading images", "image")) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, "the last item needs no line"
    assert re.fullmatch(r"reading images: 1 of 3 images, about \d+ s left", lines[0])


def test_what_is_done_at_once_says_nothing(capsys):
    assert sum(progress.shown(range(1000), 1000, "counting", "number")) == 499500
    assert capsys.readouterr() == ("", "")


def test_the_time_left_is_that_of_the_items_so_far(monkeypatch, capsys):
    clock = iter([100.0, 110.0, 112.0, 140.0])        # the start, then after each item
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(progress.shown("abc", 8, "reading", "image"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading: 1 of 8 images, about 70 s left", "reading: 3 of 8 images, about 67 s left"]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress.shown("ab", 2, "reading", "image")) == ["a", "b"]
    assert "reading" in capsys.readouterr().err


@pytest.mark.parametrize("speaks", [True, False])
def test_only_what_says_nothing_is_said_to_run(monkeypatch, speaks):
    import time

    from flows import waiting

    monkeypatch.setattr(waiting, "EVERY_S", 0.1 if not speaks else 60.0)
    said = []
    with Waiting("export", said.append) as wait:
        wait.heard("begun")
        deadline = time.monotonic() + 10
        while not speaks and len(said) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert said[0] == "begun" and (len(said) == 1) is speaks
    assert all(re.fullmatch(r"export: running for \d+ s", line) for line in said[1:])
