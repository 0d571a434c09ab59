"""What a model's data are made of, known without fetching an image: imports by their listings, the rest by its files.

Contents are a dict: source -> folder -> [number of files, digest]. Two that are equal mean the same data.
"""

import hashlib
import os
import posixpath
from collections import defaultdict
from pathlib import Path

from ruamel.yaml import YAML

from flows import preflight, workspace
from flows.dvc import Dvc
from graft.errors import GraftError
from pipeline.image_folder import S3Path
from pipeline.intake.decisions import table_of
from pipeline.intake.layout import shorten

Contents = dict[str, dict[str, list]]
CHANGES = 4         # named; of more, the number


def imported(dvc: Dvc) -> Contents:
    """What the sources of this model's imports hold now, or the prefix in S3 where its images are.

    Raises:
        GraftError: naming every source that cannot be listed.
    """
    listed = dvc.sources(preflight.imported_data()) | _in_s3(workspace.images_folder())
    found = {workspace.without_password(source): held for source, held in listed.items() if held}   # as `rows` keep it
    if failed := [f"{source} cannot be listed: {held['error']}" for source, held in found.items() if "error" in held]:
        raise GraftError("\n       ".join(failed) + "\n       Expected sources that `dvc update` can read: check the "
                         "address in the .dvc file, the network, and the worker's credentials.")
    return found


def _in_s3(images: Path | S3Path) -> Contents:
    if not isinstance(images, S3Path):
        return {}
    folders = defaultdict(list)
    for key, version in images.objects.items():
        folders[posixpath.dirname(key) or "."].append(f"{key} {version}")
    return {str(images): {folder: [len(lines), _digest("\n".join(sorted(lines)).encode())]
                          for folder, lines in folders.items()}}


def committed() -> Contents:
    """What the files of this clone say: the images that DVC tracks and did not import, and the decisions on them."""
    imports = preflight.imported_data()
    contents: Contents = {}
    for file in workspace.tracked_images():
        if file not in imports:
            files = sum(out.get("nfiles", 1) for out in YAML(typ="safe").load(Path(file))["outs"])
            contents[file.removesuffix(".dvc")] = {".": [files, _digest(Path(file).read_bytes())]}
    table = table_of(workspace.images_folder())
    if table.is_file():
        data = table.read_bytes()
        contents[os.path.relpath(table)] = {".": [len(data.splitlines()) - 1, _digest(data)]}
    return contents


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def changes(before: Contents, now: Contents) -> str:
    """What changed between two contents, for people, such as `12 files added in data/pets`; empty if nothing did."""
    said = []
    for source in sorted(before | now):
        old, new = before.get(source, {}), now.get(source, {})
        for folder in sorted(old | new):
            (few, was), (many, now_is) = old.get(folder, [0, ""]), new.get(folder, [0, ""])
            if was != now_is:
                said.append(_change(source, folder, many - few))
    return shorten(said, CHANGES)


def _change(source: str, folder: str, more: int) -> str:
    what = "decision" if source.endswith(".decisions.csv") else "file"
    where = f"in {source}" if folder == "." else f"in {source}/{folder}"
    if not more:
        return f"{what}s changed {where}"
    return f"{abs(more)} {what}{'s' * (abs(more) != 1)} {'added' if more > 0 else 'removed'} {where}"


def rows(contents: Contents) -> list[dict]:
    """Contents as the rows of a table; `contents_of` reads them back."""
    return [{"source": source, "folder": folder, "files": files, "digest": digest}
            for source, held in sorted(contents.items()) for folder, (files, digest) in sorted(held.items())]


def contents_of(table: list[dict]) -> Contents:
    """See `rows`."""
    contents: Contents = {}
    for row in table:
        contents.setdefault(row["source"], {})[row["folder"]] = [row["files"], row["digest"]]
    return contents
