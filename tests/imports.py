"""Which files of this project a module imports, directly or through others, at its top or inside a function."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graft", "pipeline", "tasks", "flows", "starter")


def imported_files(path: Path) -> set[Path]:
    """The module itself and all that it can come to import, relative to the project's folder.

    An `__init__.py` counts for what it does when its package is imported, and is left out when that is nothing.
    """
    found, waiting = set(), {path}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= _imports(file) - found
    return {file for file in found if file == path or file.name != "__init__.py" or _at_import(file)}


@cache
def _imports(path: Path) -> frozenset[Path]:
    files = set()
    nodes = _at_import(path) if path.name == "__init__.py" else [ast.parse((ROOT / path).read_text(encoding="utf-8"))]
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        files.update(file for name in names if name.split(".")[0] in PACKAGES for file in _files(name))
    return frozenset(files)


def _files(module: str) -> list[Path]:
    parts = module.split(".")
    packages = [Path(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [file for file in [*packages, Path(*parts).with_suffix(".py")] if (ROOT / file).is_file()]


def _at_import(path: Path) -> list[ast.stmt]:
    """The statements of a module that do something when it is imported."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    idle = (ast.FunctionDef, ast.ClassDef)
    return [node for node in body if not isinstance(node, idle) and not _is_docstring(node)]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
