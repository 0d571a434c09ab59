"""Who may import whom within pipeline/: the rooms have an order, and no file comes to import itself."""

import ast
import pickle
from pathlib import Path

import pytest

from pipeline.arguments import WrongArgument
from pipeline.code import ROOT, imported_files

ROOMS = {                   # room -> the rooms it may know; all may know graft/ and the loose files of pipeline/
    "cluster": set(),
    "intake": {"cluster"},
    "probing": set(),
    "training": {"cluster", "probing"},
    "evaluation": set(),
    "review": {"cluster", "intake", "evaluation"},
}
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*.py"))


def room(file: Path) -> str:
    """The room of a file of pipeline/; empty for a loose one."""
    return file.parts[1] if len(file.parts) > 2 else ""


def known_rooms(file: Path) -> set[str]:
    """The rooms that a file comes to import, directly or through others."""
    return {room(other) for other in imported_files(file) if other.parts[0] == "pipeline"}


def test_every_room_is_listed():
    assert {room(file) for file in FILES} - {""} == set(ROOMS)
    assert len(FILES) > 40


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_knows_the_rooms_below_it_and_no_others(name):
    for file in FILES:
        if room(file) == name:
            assert known_rooms(file) <= {"", name, *ROOMS[name]}, file


def test_a_loose_file_knows_no_room():
    for file in FILES:
        if not room(file):
            assert known_rooms(file) == {""}, file


def test_no_two_files_import_each_other():
    imported = {file: imported_files(file) - {file} for file in FILES}
    circles = {(one, other) for one in FILES for other in imported[one] if one in imported.get(other, ())}
    assert not circles, sorted(circles)





def test_a_wrong_argument_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(WrongArgument({"alpha": "expected 1", "cut": "expected 2"})))
    assert str(error) == "alpha: expected 1\n       cut: expected 2"


def test_no_message_of_the_pipeline_names_the_file_of_its_caller():
    """It names its own argument; `tasks.params.named` adds where the user set it."""
    for file in FILES:
        used = [node.value for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not [text for text in used if text.lstrip().startswith("params.yaml")], file
