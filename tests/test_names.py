"""Names that others chose lead nowhere but into their folder; every place that joins a name to a path is listed."""

import ast
from pathlib import Path

import pytest

from graft.errors import GraftError
from graft.machine.names import inside, is_plain

OURS = "a name, number or digest that the code itself makes"
CHECKED = "checked before: a model's name by `address`, a sha256 and a file's name by `manifest.decode`"
LOCAL = "a file of this machine, listed by the system or named by its user"
ARITHMETIC = ("graft/model/unknown.py", "graft/model/heatmaps.py", "graft/model/classifier.py",
              "graft/machine/cores.py", "graft/machine/progress.py", "graft/server/uploads.py", "flows/show.py",
              "graft/predict/ranking.py",
              *(f"graft/watch/{each}.py" for each in ("accuracy", "comparison", "figures", "statistics")))
JOINS = {
    "flows/demo.py": {"images / test_images['path'].iloc[len(test_images) // 2]": LOCAL},
    "flows/model_folder.py": {
        "folder / file": OURS, "project / file": OURS, "project_folder() / folder": "checked there: inside the project",
        "project_folder() / MODELS / check_name(name)": CHECKED},
    "flows/preflight.py": {"folder / name": LOCAL, "folder.with_name(folder.name + '.dvc')": LOCAL},
    "flows/workspace.py": {
        "CACHE / name": OURS, "shared / CACHE / name": OURS, "shared / Path(registry).expanduser()": LOCAL},
    "graft/browser/folder.py": {"folder / name": OURS, "here / script": OURS},
    "graft/browser/runtime.py": {"Path(package, name)": OURS},
    "graft/machine/files.py": {"folder / f'.{os.getpid()}-{secrets.token_hex(6)}.tmp'": OURS},
    "graft/machine/names.py": {"folder.joinpath(*name.split('/'))": "the one parser"},
    "graft/model/inference.py": {"folder / files[0]": OURS, "folder / bundle.FORMATS[format][0]": OURS},
    "graft/predict/find.py": {"home() / 'imagenet' / network": "checked before: an identifier",
                              "Path(temporary, network)": "checked before: an identifier"},
    "graft/predict/sources.py": {"Path(folder, name)": LOCAL, "Path(parent, each)": LOCAL},
    "graft/registry/cache.py": {
        "home() / hashlib.sha256(where.encode()).hexdigest()[:16]": OURS,
        "home() / hashlib.sha256(where.encode()).hexdigest()[:16] / address.name": CHECKED,
        "self.folder / 'versions' / str(number)": OURS},
    "graft/registry/copies.py": {"to / name": CHECKED, "source / name": CHECKED, "fresh / name": CHECKED,
                                 "to.with_name(f'.{to.name}.new')": LOCAL, "to.with_name(f'.{to.name}.old')": LOCAL},
    "graft/registry/folder.py": {"folder.with_name(f'.{folder.name}.new')": OURS, "target / name": OURS,
                                 "incoming / file.sha256": CHECKED},
    "graft/registry/publication.py": {"folder / name": OURS, "Path(folder, files[0])": OURS},
    "graft/registry/reports.py": {"folder / page": LOCAL},
    "graft/registry/signing.py": {"Path(temporary, f'{version.name}@{version.number}')": CHECKED},
    "graft/registry/transfer.py": {"folder / file.sha256": CHECKED},
    "graft/watch/collected.py": {"folder / f'{sha256}.json'": CHECKED, "folder / answer": CHECKED},
    "graft/store/folder.py": {"self._root / key": "keys are made of checked names by `registry` and `watch`",
                              "Path(folder, name)": LOCAL},
}


def is_fixed(node: ast.expr) -> bool:
    """Whether a part of a path is written in the code: a literal or a constant."""
    name = getattr(node, "attr", None) or getattr(node, "id", "a")
    return isinstance(node, ast.Constant) or name.isupper()


def joined(node: ast.AST) -> list[ast.expr]:
    """The parts that an expression joins to a path; empty if it joins none."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return [node.right]
    called = node.func if isinstance(node, ast.Call) else None
    name = getattr(called, "attr", None) or getattr(called, "id", None)
    if name in ("joinpath", "with_name") or (name == "join" and ast.unparse(called) == "os.path.join"):
        return node.args
    return node.args[1:] if name == "Path" else []


def joins(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {ast.unparse(node) for node in nodes if not all(map(is_fixed, joined(node)))}


def test_every_place_that_joins_a_name_to_a_path_is_known():
    """A new place is either given `inside`, or listed above with the reason why its name is harmless."""
    files = [path for root in ("graft", "flows") for path in Path(root).rglob("*.py")]
    found = {path.as_posix(): joins(path) for path in files if path.as_posix() not in ARITHMETIC}
    assert {name: each for name, each in found.items() if each} == {name: set(each) for name, each in JOINS.items()}


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/../x", "a//x", "a/", ".x", "x.", "a\\x", "c:x", "nul",
                                  "COM1.txt", "x\0", "x\n", "x y", "é", "x" * 129, "a/./x", "~", "link/x", "link/a/x"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path)
    with pytest.raises(GraftError, match="is not a file name that .* may hold"):
        inside(tmp_path / "folder", name)


@pytest.mark.parametrize("name", ["x", "model.onnx", "attachments/a.html", "a_b-c.1.npz", "x" * 128])
def test_a_plain_name_is_kept(tmp_path, name):
    (tmp_path / "linked").symlink_to(tmp_path, target_is_directory=True)
    assert inside(tmp_path / "linked", name) == tmp_path / "linked" / name
    assert is_plain(name) == ("/" not in name)
