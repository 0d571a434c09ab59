"""Which code decides: against Python's own tokenizer, and on a small project of DVC's."""

import ast
import io
import subprocess
import tokenize
from pathlib import Path

import pytest

from benchmarks.scratch import Project
from pipeline.code import DOCUMENTED, ROOT, _imported_names, code_of, digest_of, imported_files, without_comments
from tasks.code import weights

SILENT = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def tokens(text: str, without_rows=()) -> list[str]:
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return [each.string for each in found if each.type not in SILENT and each.start[0] not in without_rows]


def docstring_rows(text: str) -> set[int]:
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    documented = [node for node in nodes if ast.get_docstring(node) is not None]
    return {row for node in documented for row in range(node.body[0].lineno, node.body[0].end_lineno + 1)}


def test_what_is_left_of_a_module_are_the_tokens_of_its_code():
    compared = 0
    for file in ROOT.glob("[bfgipst]*/**/*.py"):
        text = file.read_text(encoding="utf-8")
        assert tokens(without_comments(text)) == tokens(text, docstring_rows(text)), file
        compared += 1
    assert compared > 200


@pytest.mark.parametrize("before, after, is_same", [
    ("x = 1\n", "# why\nx = 1   # so\n\n\n", True),
    ('def f():\n    """A."""\n    return 1\n', 'def f():\n    """B.\n\n    C.\n    """\n\n    return 1\n', True),
    ("x = '# no comment'\n", "x = '# another'\n", False),
    ("x = '''a\n\nb'''\n", "x = '''a\nb'''\n", False),
    ("x = '''a  \nb'''\n", "x = '''a\nb'''\n", False),
    ('x = "\'#"  # "\ny = 1\n', 'x = "\'#"\ny = 1\n', True),
    ('x = 1\n"""no docstring here"""\n', 'x = 1\n"""nor here"""\n', False),
    ("if x:\n    y()\n", "if x:\n    pass\ny()\n", False),
])
def test_comments_docstrings_and_blank_lines_do_not_count_and_all_else_does(before, after, is_same):
    assert (without_comments(before) == without_comments(after)) == is_same


def test_a_stage_depends_on_what_it_imports_and_on_its_templates_and_libraries():
    found = code_of("tasks.evaluate")
    assert {"graft/images.py", "graft/style.css", "matplotlib"} <= found.keys()
    assert not {"pipeline/intake/scan.py", "pipeline/intake/data_report.html", "keras", "tqdm", "os"} & found.keys()
    assert found["numpy"] == __import__("numpy").__version__


def test_training_depends_on_keras_and_its_backend():
    assert {"keras", "tensorflow", "keras backend"} <= set(code_of("tasks.finetune"))
    assert "keras" not in code_of("tasks.validate")


def test_who_does_not_use_dinov2_need_not_know_whether_kerashub_is_installed():
    found = code_of("tasks.extract")
    assert "pipeline/training/dinov2.py" in found and not {"keras_hub", "kagglehub"} & set(found)


def test_a_cache_is_named_by_the_code_that_decides_on_it():
    decisive = {"graft/images.py", "pipeline/training/augmentation.py", "pipeline/training/folding.py"}
    found = {file.as_posix() for file in imported_files(Path("pipeline/training/frozen.py"))}
    assert decisive <= found and "pipeline/training/pace.py" not in found
    assert digest_of("pipeline.training.frozen") != digest_of("pipeline.shards")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project whose stage `sample` has run; committed."""
    project = Project(tmp_path_factory.mktemp("code"), **{"sample.size_px": 8})
    project.run("dvc", "repro", "sample")
    project.run("git", "add", "--all")
    project.run("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "Begin")
    return project


def test_another_file_of_weights_reruns_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for asked, content in (("starter", "a"), ("own.h5", "a"), ("own.h5", "b"), ("preset", "a"), ("preset", "b")):
        file = tmp_path / ("preset/model.weights.h5" if asked == "preset" else "own.h5")
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
        (tmp_path / "params.yaml").write_text(f"extract: {{backbone: {{weights: {asked}}}}}")
        found.append(weights().get("extract.backbone.weights"))
    assert found[0] is None and found[1] == found[3] != found[2] == found[4]


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def test_a_comment_reruns_nothing_and_a_line_reruns_what_imports_it(project):
    lock = (project.folder / "dvc.lock").read_text()
    append(project.folder / "tasks/sample.py", "\n# a comment\n")
    append(project.folder / "tasks/split.py", "\nAGAIN = 1\n")
    assert "Stage 'sample' didn't change" in project.run("dvc", "repro", "sample").stdout
    assert "'sample'" in lock or "sample:" in lock
    append(project.folder / "graft/errors.py", "\nAGAIN = 1\n")
    assert "Running stage 'sample'" in project.run("dvc", "repro", "sample").stdout
    assert "graft/errors.py" in project.run("dvc", "params", "diff", "--targets", "outputs/code/code.json").stdout
    subprocess.run(["git", "checkout", "--quiet", "graft", "tasks"], cwd=project.folder, check=True)
    assert "Running stage 'sample'" not in project.run("dvc", "repro", "sample").stdout     # from the run-cache


def test_another_version_of_a_library_reruns_what_imports_it(project):
    program = ("import sys, pipeline.code as code; real = code.version\n"
               "code.version = lambda name: '99' if name == 'scikit-learn' else real(name)\n"
               "print(code.code_of('tasks.sample')['sklearn'], 'sklearn' in code.code_of('tasks.split'))")
    assert project.run("python", "-c", program).stdout.split() == ["99", "False"]


def test_what_is_imported_relatively_counts_like_what_is_named_in_full():
    def named(text: str, path: str) -> list[str]:
        return _imported_names(ast.parse(text).body[0], Path(path))

    assert named("from . import x", "tasks/split.py") == ["tasks", "tasks.x"]
    assert named("from .shards import y", "pipeline/cluster/batch.py") == ["pipeline.cluster.shards",
                                                                           "pipeline.cluster.shards.y"]
    assert named("from ..code import z", "pipeline/cluster/__init__.py") == ["pipeline.code", "pipeline.code.z"]
    assert named("from pipeline import code", "tasks/split.py") == ["pipeline", "pipeline.code"]
