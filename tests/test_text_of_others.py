"""What others wrote, such as names, reasons and facts, is shown: no terminal, spreadsheet, log or page obeys it."""

import csv
import io
import json
import socket
import threading

import pytest
from tiny_bundle import make_bundle, make_images

from graft import registry
from graft.cli import main as cli
from graft.errors import LINES, GraftError, UnreadableImage, printable, reported
from graft.model import bundle
from graft.predict.urls import fetch
from graft.predict.writers import csv_writer
from pipeline.pages import quoted

ATTACKS = ["\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "a\rb", "a\nb", "a\bb", "\u202eexe.gnp", "\x00", "a\u2028b", "\x7f"]
BAD = set("\x1b\x07\x9b\r\b\u202e\x00\u2028\x7f")


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_terminal_would_obey_is_escaped(attack):
    assert printable(attack).isprintable() and "\\" in printable(attack)
    assert not BAD & set(printable(attack, LINES))


@pytest.mark.parametrize("good", ["über 图 (1).jpg", "می‌خواهم", "👩‍👧 x", "a　b", "50 % – “ok”", ""])
def test_any_script_stays_as_it_is(good):
    assert printable(good) == good


def test_an_error_with_text_of_others_is_shown(capsys):
    with pytest.raises(SystemExit), reported():
        raise GraftError("model '\x1b[2J\x1b]0;x\x07': unknown\nsecond line")
    assert capsys.readouterr().err == "error: model '\\x1b[2J\\x1b]0;x\\x07': unknown\nsecond line\n"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A registry whose publisher put an attack wherever a text fits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    for seed in (1, 2):
        folder = make_bundle(tmp_path / f"bundle{seed}", seed=seed)
        path = folder / bundle.DESCRIPTION
        names = ["\x1b[2J", "=cmd|' /C calc'!A0", f"a\r\x9b{seed}"]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"class_names": names}))
        verdict = "HOLD" + "\nforged line" * (seed == 2)
        facts = {"commit": "\x1b[31m", "gate": {"verdict": verdict, "reasons": ["\x1b[2J"]},
                 "params": {"\x1b": f"\r{seed}"}, "backbone": {"licence": {"name": "\x1b"}},
                 "metrics": {"\x1b": {"value": 1.0, "low": 1.0, "high": 1.0}},
                 "data": {"images": {"\x1b": {"train": 1}}, "sha256": "\x1b"}}
        registry.publish(folder, "colours", "registry", facts=facts)
        registry.promote(f"colours@{seed}", reason="\x1b]0;x\x07\nforged line", by="\x1b[2J")
    (tmp_path / "registry/stray\x1b[2J").write_text("x")
    return tmp_path


@pytest.mark.parametrize("command", [
    "list", "history colours", "history colours --at 2999-01-01", "compare colours@1 @2", "verify", "promote colours@1",
    "predict images --model colours", "predict images --model colours --csv", "predict images --model colours --json",
    "promote colours@1 --expect 1", "gc --keep 1 --days 0",
])
def test_no_command_lets_it_out(hostile, command, capsys):
    make_images(hostile / "images", images=1)
    (hostile / "images/\x1b[2J.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit):
        cli.main(command.split())
    said = capsys.readouterr()
    assert not BAD & set(said.out + said.err)
    assert "\nforged line" not in said.out


@pytest.mark.parametrize(("text", "cell"), [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), (" =1", " '=1"), ("＝1", "'＝1"), ("a;=1", "a;'=1"),
    ("\t=1", "\\x09=1"), ("\x1b[2J", "\\x1b[2J"), ("-", "-"), ("a=1", "a=1"), ("red-1;2", "red-1;2"), ("a\nb", "a\nb"),
    ("b\udcff.png", "b\udcff.png"),
])
def test_no_cell_of_a_csv_file_is_a_formula(text, cell):
    """Numbers stay numbers, also those below zero."""
    stream = io.StringIO()
    csv_writer(stream, (text,))({"source": text, "label": text, "probability": -0.5, "probabilities": {text: 0.25}})
    stream.seek(0)
    header, row = csv.reader(stream)
    assert (row[:3], row[-1]) == ([cell, cell, "-0.5"], "0.25")
    assert not header[-1].startswith(("=", "+", "-", "@"))


def test_a_strangers_status_line_is_shown():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            with server.accept()[0] as connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 404 \x1b[2J\x9b" + b"x" * 5000 + b"\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreadableImage) as refused:
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", allow_private=True)
        thread.join()
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200


@pytest.mark.parametrize(("text", "markdown"), [
    ("![x](http://a/b.png)", "\\!\\[x\\](http\\://a/b.png)"), ("<img src=x>", "\\<img src=x\\>"), ("a|b", "a\\|b"),
    ("`a`\x1b", "\\`a\\`\\\\x1b"), ("t-shirt 5 %: ok", "t-shirt 5 %: ok"),
])
def test_markdown_shows_it(text, markdown):
    assert quoted(text) == markdown
