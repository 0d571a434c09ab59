"""dvc.yaml against the code: stages, their code, params = the sections read, outs = the artifacts."""

import ast
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.code import ROOT
from tasks import artifacts
from tasks.params import read_sections

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = DVC["stages"]
CODE = artifacts.CODE.as_posix()
NAMES = ("sample", "validate", "split", "extract", "transfer", "choose", "finetune", "export", "evaluate")


def outs(stage: dict) -> list[str]:
    listed = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [each if isinstance(each, str) else next(iter(each)) for each in listed]


def test_the_stages_are_these_in_the_order_in_which_they_run():
    assert tuple(STAGES) == ("code", *NAMES)
    made = set()
    for name in NAMES:
        needed = {each for each in STAGES[name].get("deps", ()) if each.startswith("outputs/")}
        assert needed <= made, name
        made |= set(outs(STAGES[name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_is_its_module(name):
    assert STAGES[name]["cmd"] == f"python -m tasks.{name}"
    assert (ROOT / f"tasks/{name}.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_depends_on_its_code_and_some_on_engine_and_precision_or_on_decisions(name):
    code = [each[CODE] for each in STAGES[name]["params"] if isinstance(each, dict)]
    assert code == [{"extract": ["engine", "extract", "precision"], "validate": ["decisions", "validate"],
                     "evaluate": ["decisions", "evaluate"]}.get(name, [name])]
    assert STAGES["code"]["always_changed"]


@pytest.mark.parametrize("name", NAMES)
def test_deps_are_made_by_a_stage_or_are_the_images(name):
    made = {each for stage in STAGES.values() for each in outs(stage)}
    assert set(STAGES[name].get("deps", ())) <= made | {"${data.images}"}


@pytest.mark.parametrize("name", NAMES)
def test_params_are_the_sections_that_the_stage_reads(name):
    tree = ast.parse((ROOT / f"tasks/{name}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    reads = [call for call in calls if getattr(call.func, "id", "") == "read_params"]
    sections = {each for each in STAGES[name]["params"] if isinstance(each, str) and "." not in each}
    assert {call.args[0].value for call in reads} == sections
    dataclass = getattr(import_module(f"tasks.{name}"), f"{name.capitalize()}Params")
    assert {each.name for each in fields(dataclass)} == set(read_sections()[name])


def test_each_output_of_a_stage_is_an_artifact_of_its_folder():
    paths = [value for value in vars(artifacts).values() if isinstance(value, Path)]
    known = {each.as_posix() for path in paths for each in (path, path.parent)}     # or the folder of all of them
    for name in NAMES[1:]:
        for each in outs(STAGES[name]):
            assert each in known, each
            assert each.split("/")[:2] == ["outputs", name]


def test_every_output_is_cached_by_dvc():
    """An output that is not cached is not pushed: its stage would run again on the next machine."""
    for stage in STAGES.values():
        for kind in ("outs", "metrics", "plots"):
            for each in stage.get(kind, []):
                options = {} if isinstance(each, str) else next(iter(each.values()))
                assert options.get("cache", True)
                assert not options.get("persist", False)


def test_what_is_plotted_is_made():
    made = {each for stage in STAGES.values() for each in outs(stage)}
    plotted = [path for plot in DVC["plots"] for settings in plot.values() for path in settings["y"]]
    assert len(plotted) >= 4
    for path in plotted:
        assert any(path == each or path.startswith(f"{each}/") for each in made), path


def test_the_stages_that_train_are_marked_for_the_gpu():
    assert [name for name in NAMES if STAGES[name].get("meta")] == ["extract", "transfer", "choose", "finetune"]
    assert all(STAGES[name]["meta"] == {"gpu": True} for name in ("extract", "transfer", "choose", "finetune"))
