"""The table of decisions: what is read and refused, what it does to a folder of images, and that nothing is lost."""

import csv
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from intake_images import jpeg, picture, write_classes
from test_validate import message, set_params

from graft.errors import GraftError
from pipeline.intake.decisions import COLUMNS, Decision, change, read_decisions
from tasks import artifacts, code, split, validate

HEADER = ",".join(COLUMNS)
TABLE = Path("images.decisions.csv")


def sha256(path) -> str:
    return hashlib.sha256(Path("images", path).read_bytes()).hexdigest()


def decide(**decisions: str) -> None:
    """Write the table by hand: path -> decision."""
    with open(TABLE, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows([sha256(path), path, each, "", "me", ""] for path, each in decisions.items())


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two classes, with a conflict, two near-duplicates under different labels, and a broken file."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "images", {"cat": 12, "dog": 10})
    (tmp_path / "images/cat/same.jpg").write_bytes((tmp_path / "images/dog/3.jpg").read_bytes())
    for number in range(2):
        (tmp_path / f"images/dog/near{number}.jpg").write_bytes(jpeg(picture(number + 1), quality=40))
    (tmp_path / "images/dog/cut.jpg").write_bytes(jpeg(picture(99))[:1500])
    set_params()
    return tmp_path


ALL = {"dog/3.jpg": "label=dog", "cat/0.jpg": "keep", "dog/near0.jpg": "keep", "dog/near1.jpg": "label=cat",
       "dog/cut.jpg": "drop"}


def test_what_was_decided_lets_the_run_pass_and_is_counted(project, capsys):
    assert "python -m tasks.review" in message()
    decide(**ALL)
    validate.main()
    assert "decisions applied: 2 keep, 1 drop, 2 label; 1 copy of these left out" in capsys.readouterr().out
    findings = artifacts.read_json(artifacts.DATA_FINDINGS)
    assert findings["decisions"] == {"keep": 2, "drop": 1, "label": 2, "copies": 1, "gone": []}
    assert findings["files"] == 24 and not findings["unreadable"]
    table = artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS).set_index("path")["label"]
    assert "cat/same.jpg" not in table.index
    assert table["dog/3.jpg"] == "dog" and table["dog/near1.jpg"] == "cat" and table["dog/near0.jpg"] == "dog"
    assert "Decisions applied: 2 keep, 1 drop, 2 label" in artifacts.DATA_REPORT.read_text()
    split.main()
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS).set_index("path")["split"]
    assert splits["cat/0.jpg"] == splits["dog/near0.jpg"]       # both are used, in one split


def test_a_decision_follows_the_bytes_when_files_are_renamed(project):
    decide(**ALL)
    (project / "images/dog/near0.jpg").rename(project / "images/dog/else.jpg")
    (project / "images/cat/0.jpg").rename(project / "images/cat/moved.jpg")
    validate.main()


def test_a_near_copy_that_comes_later_is_a_question_again(project):
    decide(**ALL)
    (project / "images/dog/third.jpg").write_bytes(jpeg(picture(1), quality=60))
    assert "1 picture under different labels, in near-duplicates" in message()


def test_keep_does_not_settle_the_same_bytes_under_two_labels(project):
    decide(**ALL | {"dog/3.jpg": "keep"})
    assert "1 picture under different labels, in exact copies" in message()


def test_a_decision_without_an_image_is_named_and_stops_nothing(project, capsys):
    decide(**ALL)
    (project / "images/dog/cut.jpg").unlink()
    validate.main()
    assert "decision without an image: dog/cut.jpg" in capsys.readouterr().out
    assert "Decisions without an image: dog/cut.jpg" in artifacts.DATA_REPORT.read_text()


def test_the_stage_code_writes_another_digest_when_the_table_changes(project):
    Path("params.yaml").write_text('{"data": {"images": "images"}}')
    digests = [code.decisions()]
    for decision in ("keep", "drop"):
        decide(**{"cat/0.jpg": decision})
        digests.append(code.decisions())
    assert digests[0] == "" and len(set(digests)) == 3


ONE, TWO = "a" * 64, "b" * 64


@pytest.mark.parametrize("text, wrong", [
    (f"{HEADER},extra\n", "line 1: column 'extra' is unknown. Expected sha256,path,decision,reason,by,at"),
    ("sha256,path,choice,reason,by,at\n", "line 1: column 'choice' is unknown, decision is missing"),
    ("sha256;path;decision;reason;by;at\n", "is unknown, sha256 is missing"),
    (f"{HEADER}\n{ONE},a,keep,,,\n{TWO},b,no,,,\n", "line 3: decision 'no'; expected keep, drop or label=CLASS"),
    (f"{HEADER}\n{ONE},a,label=,,,\n", "line 2: decision 'label='; expected"),
    (f"{HEADER}\nabc,a,keep,,,\n", "line 2: sha256 'abc'; expected 64 hexadecimal digits"),
    (f"{HEADER}\n{ONE},a,label=dgo,,,\n",
     "line 2: 'dgo' is no class (a). Did you mean 'dog'? Expected one of cat, dog"),
    (f"{HEADER}\n{ONE},a,keep,,,\n{TWO},b,keep,,,\n{ONE},c,drop,,,\n",
     "line 4: 'drop' for the image that has 'keep' on line 2 (a)"),
    (f'{HEADER}\n{ONE},"a,keep,,,\n', "line 2: unexpected end of data"),
])
def test_a_table_with_a_mistake_is_refused_with_line_and_value(tmp_path, text, wrong):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(GraftError) as raised:
        read_decisions(tmp_path / "t.csv", {"cat", "dog"})
    assert str(raised.value).startswith(f"{tmp_path}/t.csv: line ") and wrong in str(raised.value)


def test_a_table_that_is_not_utf8_is_refused_with_the_line(tmp_path):
    (tmp_path / "t.csv").write_bytes(f"{HEADER}\n{ONE},caf".encode() + b"\xe9,keep,,,\n")
    with pytest.raises(GraftError, match="line 2: byte 0xe9 is not UTF-8"):
        read_decisions(tmp_path / "t.csv")


def test_all_mistakes_are_named_at_once_before_a_run(project):
    decide(**{"cat/0.jpg": "label=lion", "cat/1.jpg": "perhaps"})
    with pytest.raises(GraftError) as raised:
        validate.preflight()
    assert "line 2: 'lion' is no class" in str(raised.value) and "line 3: decision 'perhaps'" in str(raised.value)


def test_what_is_written_is_read_back_and_no_spreadsheet_obeys_it(tmp_path):
    table = tmp_path / "t.csv"
    row = Decision(ONE, "=cmd/ä,\"1\".jpg", "label=a, b", "why; and how", "me", "2026-01-01T00:00:00Z")
    assert change(table, {ONE: row, TWO: Decision(TWO, "b", "drop")}, {}) == {}
    assert read_decisions(table) == {ONE: replace(row, path="'=cmd/ä,\"1\".jpg"), TWO: Decision(TWO, "b", "drop")}
    assert change(table, {ONE: None}, {ONE: "label=a, b"}) == {}
    assert list(read_decisions(table)) == [TWO]


def test_what_somebody_else_has_decided_is_not_overwritten(tmp_path):
    table = tmp_path / "t.csv"
    change(table, {ONE: Decision(ONE, "a", "keep")}, {})
    wanted = {key: Decision(key, "a", "drop") for key in (ONE, TWO)}
    assert change(table, wanted, {}) == {ONE: "keep"}
    assert {key: each.decision for key, each in read_decisions(table).items()} == {ONE: "keep"}


def write_many(table: Path, first: int) -> None:
    for number in range(first, first + 40):
        key = f"{number:064x}"
        assert change(table, {key: Decision(key, str(number), "keep")}, {}) == {}


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    table, context = tmp_path / "t.csv", multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(table, first)) for first in (0, 100)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
        assert each.exitcode == 0
    assert sorted(int(each.path) for each in read_decisions(table).values()) == [*range(40), *range(100, 140)]


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    table = tmp_path / "t.csv"
    program = """
import sys
from pathlib import Path
from pipeline.intake.decisions import Decision, change
for number in range(10**6):
    key = f"{number:064x}"
    change(Path(sys.argv[1]), {key: Decision(key, str(number), "keep")}, {})
    print(number, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", program, table], stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": str(Path(artifacts.__file__).parents[1])})
    for _ in range(20):
        writer.stdout.readline()
    time.sleep(0.003)
    writer.send_signal(signal.SIGKILL)
    acknowledged = 20 + len(writer.stdout.read().splitlines())
    writer.wait()
    assert len(read_decisions(table)) in (acknowledged, acknowledged + 1)
    assert change(table, {ONE: Decision(ONE, "a", "keep")}, {}) == {}


def test_folders_that_are_no_classes_are_named_with_their_setting(tmp_path, monkeypatch):
    """`orig` and `rotated` below two of three classes: no variants of all classes, which the listing would refuse."""
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "images", {"cat/orig": 6, "dog": 6, "cow": 6, "pig": 6})
    (tmp_path / "images/cat/rotated").mkdir()
    for number in range(6):
        (tmp_path / f"images/cat/rotated/{number}.jpg").write_bytes(jpeg(picture(number + 1).rotate(90, expand=True)))
    set_params()
    text = message()
    assert ("6 of these 6 pictures are in folders that differ in orig, rotated only: if these are no classes, set "
            "params.yaml: validate.labels_from: first instead") in text
    set_params(labels_from="first")
    validate.main()
