"""Every module that a user runs ends a user's mistake in one message."""

import ast

import pytest

from pipeline.code import ROOT

FOLDERS = ("graft", "pipeline", "tasks", "flows", "starter", "benchmarks", "docs")
NOT_RUN_BY_USERS = ("dvc_worker.py", "embedded_server.py")
MODULES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
                 if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path.name not in NOT_RUN_BY_USERS)


def test_there_are_many():
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_what_is_run_is_reported(module):
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    reported = [item.context_expr.func.id for node in ast.walk(tree) if isinstance(node, ast.With)
                for item in node.items if isinstance(item.context_expr, ast.Call)
                and isinstance(item.context_expr.func, ast.Name)]
    assert "reported" in reported
