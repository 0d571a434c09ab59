"""Write the folder of a page: its files, the published model.onnx, and all else that an answer needs."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.browser.runtime import FILES as RUNTIME
from graft.browser.runtime import read_runtime
from graft.errors import GraftError
from graft.machine.files import expanded, whole
from graft.model import bundle, unknown
from graft.model.classifier import Classifier
from graft.pages import frame
from graft.predict.find import find_model

INDEX, FACTS, REFERENCE = "index.html", "page.json", "unknown.f32"
SHARED = Path(__file__).with_name("answers.js")     # what the page of `graft serve` has, too
SCRIPTS = (SHARED.name, "page.js", "pixels.js", "classifier.js", "offline.js")
FILES = (FACTS, *SCRIPTS, bundle.MODEL, REFERENCE, *RUNTIME, INDEX)     # in the order in which they are written
POLICY = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; "
          "img-src blob: data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
NEVER_UNKNOWN = "This model never answers “unknown”: it was published without a threshold for that."
NEVER_UNSURE = "This model never answers “unsure”: it was published without a wanted precision."


@dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes:
        folder: the absolute path of its folder.
        model: the model's name, such as `digits@3`.
        notes: what the page says about parts that the model lacks.
        size_bytes: of all its files.
    """

    folder: Path
    model: str
    notes: tuple[str, ...]
    size_bytes: int


def write_page(model: str | Path, folder: str | Path, *, registry: str | None = None, offline: bool = False,
               runtime: str | Path | None = None) -> Page:
    """Write a folder of static files that classifies pictures in the browser. The same model gives the same bytes.

    Args:
        model: as of `graft.predict.find.find_model`; so are `registry` and `offline`.
        folder: a new or empty one, or that of an earlier page, which is replaced.
        runtime: as of `graft.browser.runtime.read_runtime`.

    Raises:
        GraftError: if the folder holds anything else, or the model or the runtime is not found. Nothing is written.
    """
    folder = expanded(folder)
    _require_own(folder)
    name, source = find_model(model, registry, offline)
    description = Classifier(source).description        # which checks that the bundle's files belong together
    notes = [note for note, value in ((NEVER_UNKNOWN, description.unknown_threshold),
                                      (NEVER_UNSURE, description.unsure_up_to)) if value is None]
    files = _model_files(name, source, description, notes) | _page_files(name) | read_runtime(runtime)
    _write(folder, files)
    return Page(folder, name, tuple(notes), sum(map(len, files.values())))


def _require_own(folder: Path) -> None:
    """Refuse a folder that holds anything but a page, which may be half-written, and hidden files."""
    if files := [each for each in (folder, *folder.parents) if each.exists() and not each.is_dir()]:
        raise GraftError(f"{files[0]} is a file. Name a new folder.")
    paths = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    found = {path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)}
    others = sorted(found - set(FILES)) or (sorted(found) if FACTS not in found else [])
    if others:
        raise GraftError(f"{folder} holds files that are no part of a page: {', '.join(others[:10])}"
                         f"{', …' * (len(others) > 10)}. Nothing was written. Move them away, or name another folder.")


def _model_files(name: str, source: Path, description: bundle.Description, notes: list[str]) -> dict[str, bytes]:
    model = (source / bundle.MODEL).read_bytes()
    reference = None if description.unknown_threshold is None else unknown.load(source / bundle.UNKNOWN)
    facts = {
        "name": name, "notes": notes, "class_names": description.class_names, "image_size": description.image_size,
        "temperature": description.temperature, "unknown_threshold": description.unknown_threshold,
        "unsure_up_to": description.unsure_up_to, "sha256": hashlib.sha256(model).hexdigest(),
        "reference": reference and dict(zip(("classes", "units", "directions"),
                                            (*reference.class_means.shape, len(reference.variances)))),
        "files": [each for each in FILES if reference or each != REFERENCE],
    }
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    written = {FACTS: text.encode(), bundle.MODEL: model}
    return written | ({REFERENCE: _as_bytes(reference)} if reference else {})


def _as_bytes(reference: unknown.Reference) -> bytes:
    """Its arrays one after the other, as little-endian float32, which JavaScript reads."""
    return b"".join(np.asarray(array, "<f4").tobytes() for array in vars(reference).values())


def _page_files(name: str) -> dict[str, bytes]:
    here = Path(__file__).parent
    scripts = {script: (here / script).read_bytes() for script in SCRIPTS}
    return scripts | {INDEX: framed(f"{name} · Graft", here / "page.html", POLICY).encode()}


def framed(title: str, body: Path, policy: str) -> str:
    """A page that shows answers, in the style that they share.

    Args:
        body: a file of HTML.
        policy: see `graft.pages.frame`.
    """
    style = SHARED.with_suffix(".css").read_text(encoding="utf-8")
    page = frame(title, f"<style>\n{style}</style>\n{body.read_text(encoding='utf-8')}", policy)
    return page.replace("<title>", '<link rel="icon" href="data:,">\n<title>', 1)      # else browsers ask for another


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write every file whole. The page cannot be opened before all are there, and a killed run can be repeated."""
    (folder / INDEX).unlink(missing_ok=True)
    (folder / REFERENCE).unlink(missing_ok=True)
    for name in FILES:
        if name in files:
            with whole(folder / name) as unfinished:
                unfinished.write_bytes(files[name])
