"""Which code and which libraries decide on what a module makes: one answer, for DVC's stages and for every cache.

The answer is a map: each file of this project that the module comes to import, with a digest of its text, and each
library that those files import, with its version. Comments, docstrings and blank lines do not count, so that editing
them reruns nothing. The text is digested, not the syntax tree, which differs between versions of Python.
"""

import ast
import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graft", "pipeline", "tasks", "flows", "starter")
DISTRIBUTIONS = {       # where the package that is installed has another name than the module that is imported
    "cv2": ("opencv-python-headless",), "PIL": ("pillow",), "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
}
WITHOUT_EFFECT = {"botocore", "boto3", "kagglehub", "pydantic", "ray", "ruamel", "tqdm",     # read, show, distribute
                  "keras_hub"}      # pipeline/training/dinov2.py names its version, for those alone who use it
TEMPLATES = (".css", ".html", ".js")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
STRING_OR_COMMENT = re.compile(     # as Python 3.11 reads them; a prefix such as r or f makes no difference here
    r'"""(?:[^\\]|\\.)*?"""' r"|'''(?:[^\\]|\\.)*?'''" r'|"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)*'|#[^\n]*",
    re.DOTALL)


def code_of(module: str) -> dict[str, str]:
    """What decides on the results of a module, apart from its data and parameters.

    Args:
        module: its dotted name, such as `tasks.finetune`.

    Returns:
        file relative to the project -> the first 16 hexadecimal digits of its SHA-256; library -> its version.
    """
    files = imported_files(Path(*module.split(".")).with_suffix(".py"))
    files |= _templates(files)
    libraries = {name for file in files if file.suffix == ".py" for name in _imports(file)[1]}
    return {file.as_posix(): _digest(file) for file in sorted(files)} | _versions(libraries - WITHOUT_EFFECT)


def digest_of(*modules: str) -> str:
    """`code_of` some modules together, in 16 hexadecimal digits, to name a cache by."""
    text = "\n".join(f"{name} {value}" for module in modules for name, value in code_of(module).items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def imported_files(path: Path) -> set[Path]:
    """A module and every file of this project that it can come to import, at its top or inside a function.

    An `__init__.py` counts for what it does when its package is imported, and not at all when that is nothing.
    """
    found, waiting = set(), {path}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= _imports(file)[0] - found
    return {file for file in found if file == path or file.name != "__init__.py" or _at_import(file)}


@cache
def _imports(path: Path) -> tuple[frozenset[Path], frozenset[str]]:
    """The files of this project and the libraries that a module names in its import statements."""
    body = _at_import(path) if path.name == "__init__.py" else _tree(path).body
    files, libraries = set(), set()
    for name in (name for node in _statements(body) for name in _imported_names(node, path)):
        if name.split(".")[0] in PACKAGES:
            files.update(_files(name))
        else:
            libraries.add(name.split(".")[0])
    return frozenset(files), frozenset(libraries)


def _imported_names(node: ast.AST, path: Path) -> list[str]:
    """The dotted names in a statement of the module at `path`, after which `from . import x` is named."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = path.parents[node.level - 1].parts if node.level else ()
        module = ".".join([*package, *filter(None, [node.module])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []


def _files(module: str) -> list[Path]:
    parts = module.split(".")
    packages = [Path(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [file for file in [*packages, Path(*parts).with_suffix(".py")] if (ROOT / file).is_file()]


def _at_import(path: Path) -> list[ast.stmt]:
    """The statements of a module that do something when it is imported."""
    idle = (ast.FunctionDef, ast.ClassDef)
    return [node for node in _tree(path).body if not isinstance(node, idle) and not _is_docstring(node)]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, those inside others too; expressions contain none and are not searched, which takes longest."""
    for node in body:
        yield node
        for inner in (getattr(node, name, ()) for name in ("body", "orelse", "finalbody", "handlers", "cases")):
            yield from _statements(inner)


def _tree(path: Path) -> ast.Module:
    return _parsed((ROOT / path).read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _templates(modules: set[Path]) -> set[Path]:
    """The templates that these modules name, and those that a template names: each below the folder of who names it."""
    found: set[Path] = set()
    while fresh := {each for file in modules | found for each in _named_below(file)} - found:
        found |= fresh
    return found


@cache
def _named_below(file: Path) -> frozenset[Path]:
    text = _decisive(file)
    below = (each for each in (ROOT / file).parent.rglob("*") if each.suffix in TEMPLATES)
    return frozenset(each.relative_to(ROOT) for each in below if each.name in text)


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(_decisive(path).encode()).hexdigest()[:16]


@cache
def _decisive(path: Path) -> str:
    """The text of a template, or of a module without comments, docstrings and blank lines."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return without_comments(text) if path.suffix == ".py" else text


def without_comments(text: str) -> str:
    """The text of a module without comments, docstrings, blank lines and spaces at the end of a line."""
    lines = STRING_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else found[0], text).splitlines()
    left_out = {row for first, last in _docstrings(_parsed(text)) for row in range(first, last + 1)}
    open_ended = {row for found in STRING_OR_COMMENT.finditer(text)         # a string goes on in the next row
                  for row in range(text.count("\n", 0, found.start()), text.count("\n", 0, found.end()))}
    kept = {row: line if row in open_ended else line.rstrip() for row, line in enumerate(lines) if row not in left_out}
    return "\n".join(line for row, line in kept.items() if line or row in open_ended)


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last row, from 0, of each docstring."""
    for node in (tree, *_statements(tree.body)):
        if isinstance(node, DOCUMENTED) and node.body and _is_docstring(node.body[0]):
            yield node.body[0].lineno - 1, node.body[0].end_lineno - 1


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _versions(libraries: set[str]) -> dict[str, str]:
    """Library -> its version, for those that are installed; part of Python itself or not installed: left out."""
    found = {name: installed for name in sorted(libraries) if (installed := _version(name))}
    if "keras" in found:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        found["keras backend"] = f"{backend} {_version(backend)}"
    return found


def _version(library: str) -> str | None:
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
