"""What `import graft` offers: light to import, typed, documented."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import make_bundle, make_images

import graft

ROOT = Path(graft.__file__).parent
PROBE = "import sys; {}; print(*{{name.partition('.')[0] for name in sys.modules}})"


def loaded(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter loads for a statement."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(statement)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_graft_loads_no_other_package():
    assert loaded("import graft") - loaded("import importlib") == {"graft"}
    assert "numpy" not in loaded("import graft; graft.GraftError")


def test_every_name_is_what_its_module_defines_and_has_a_docstring():
    assert len(graft.__all__) == 10 and set(graft.__all__) <= set(dir(graft))
    for name in graft.__all__:
        public = getattr(graft, name)
        assert public.__name__ == name and public.__module__.startswith("graft.") and inspect.getdoc(public), name
    with pytest.raises(AttributeError, match="module 'graft' has no attribute 'lod'"):
        _ = graft.lod


def test_the_stub_declares_the_same_names_from_the_same_modules():
    declared, exported = {}, None
    for node in ast.parse((ROOT / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            declared |= {alias.name: node.module for alias in node.names}
        else:
            exported = ast.literal_eval(node.value)
    assert declared == graft._MODULES and exported == graft.__all__


def test_load_spells_out_its_arguments(tmp_path):
    signature = inspect.signature(graft.load)
    assert str(signature).partition(" -> ")[0] == (
        "(model: str | pathlib.Path, format: str = 'onnx', *, registry: str | None = None, "
        "offline: bool = False, threads: int | None = None)")
    image = make_images(tmp_path / "images", images=1) / "red" / "00.png"
    model = graft.load(make_bundle(tmp_path / "bundle"), threads=2)
    assert isinstance(model, graft.Classifier)
    prediction = model.predict(image)
    assert isinstance(prediction, graft.Prediction) and prediction.label == "red"
    assert prediction == graft.load(str(tmp_path / "bundle"), "onnx").predict(image)
    with pytest.raises(graft.UnreadableImage):
        model.predict(b"")


def test_a_model_goes_through_a_registry_by_the_public_names_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where = str(tmp_path / "registry")
    first = graft.publish(make_bundle(tmp_path / "one", seed=1), "colours", where)
    second = graft.publish(make_bundle(tmp_path / "two", seed=2), "colours", where)
    graft.promote(first.address)
    graft.promote(second.address)
    graft.rollback("colours", registry=where)
    assert [entry.action for entry in graft.history("colours", where)] == ["promote", "promote", "rollback"]
    assert graft.pull("colours", registry=where).version == 1
    with pytest.raises(graft.GraftError, match="no version 0"):
        graft.pull("colours@0", registry=where)


def test_every_public_function_method_and_class_has_a_docstring():
    checked = 0
    for path in set(ROOT.rglob("*.py")) - {ROOT / "cli" / "__main__.py"}:       # which runs the command
        module = importlib.import_module(".".join(["graft", *path.relative_to(ROOT).with_suffix("").parts]))
        public = [each for name, each in vars(module).items() if not name.startswith("_") and defined_in(each, module)]
        members = [each for parent in public if inspect.isclass(parent) for name, each in inspect.getmembers(parent)
                   if not name.startswith("_") and defined_in(each, module)]
        undocumented = [each for each in public + members if not inspect.getdoc(each)]
        assert undocumented == [], path
        checked += len(public + members)
    assert checked > 200


def defined_in(each: object, module) -> bool:
    if isinstance(each, property):
        each = each.fget
    return (inspect.isclass(each) or inspect.isfunction(each)) and each.__module__ == module.__name__


def test_the_package_is_marked_as_typed():
    assert (ROOT / "py.typed").read_text() == ""
