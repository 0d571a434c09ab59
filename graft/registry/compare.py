"""Compare two versions, published or not, side by side. Only their manifests are fetched, not the models."""

from pathlib import Path

from graft.errors import printable
from graft.model.json_rules import is_number
from graft.registry import log
from graft.registry.address import parse
from graft.registry.candidate import find_bundles, read_candidate
from graft.registry.lookup import find_number, read_version
from graft.registry.manifest import Manifest
from graft.store import open_store

ABSENT = "–"
SPLITS = ("train", "val", "test")
Row = tuple[str, str, str]


def describe(model: str, registry: str | None = None) -> Manifest:
    """The manifest of a published version, or of a candidate in a folder that contains a bundle.

    Args:
        model: an address such as `pets@champion`, or a folder; see `graft.registry.candidate.read_candidate`.
        registry: the registry of an address that does not include one.

    Raises:
        GraftError: if there is no such version or folder.
    """
    folder = Path(model)
    return read_candidate(folder) if find_bundles(folder) else read_manifest(model, registry)


def read_manifest(model: str, registry: str | None = None) -> Manifest:
    """The manifest of the version at an address such as `pets@champion`.

    Raises:
        GraftError: if there is no such version.
    """
    address = parse(model, registry)
    store = open_store(address.registry)
    last = log.head(store, address.name)
    number = find_number(store, address, last)
    promised = {alias["version"]: alias["manifest"] for alias in last.aliases.values()}
    return read_version(store, address.name, number, promised.get(number))


def compare(left: Manifest, right: Manifest) -> str:
    """A table of two versions' origin, classes, data, parameters that differ, and metrics, as text."""
    facts = left.facts, right.facts
    sections: dict[str, list[Row]] = {
        "": [("", _title(left), _title(right)), *_origin(left, right)],
        "classes": _classes(left.class_names, right.class_names),
        "data": _side_by_side(*(_data(each.get("data")) for each in facts)),
        "parameters that differ": _parameters(*(each.get("params") for each in facts)),
        "metrics": _side_by_side(*(metrics_of(each.get("metrics")) for each in facts)),
    }
    rows = [row for section in sections.values() for row in section]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return "\n\n".join(_text(title, section, widths) for title, section in sections.items())


def _title(manifest: Manifest) -> str:
    return f"{manifest.name}@{manifest.number}" if manifest.number else manifest.name


def _origin(left: Manifest, right: Manifest) -> list[Row]:
    def facts(manifest: Manifest) -> dict[str, str]:
        return {
            "published": manifest.published or "not yet",
            "commit": str(manifest.facts.get("commit") or ABSENT)[:12],
            "gate": str(mapping(manifest.facts.get("gate")).get("verdict", ABSENT)),
            "licence of the backbone": _licence(manifest.facts.get("backbone")),
            "input": str(manifest.input.get("shape", ABSENT)),
            "size": f"{sum(file.size_bytes for file in manifest.files.values()) / 1e6:.1f} MB",
        }

    return _side_by_side(facts(left), facts(right))


def _classes(left: list[str], right: list[str]) -> list[Row]:
    gained, lost = (", ".join(sorted(one - other)) for one, other in
                    ((set(right), set(left)), (set(left), set(right))))
    rows = [("count", str(len(left)), str(len(right)))]
    return rows + [(name, "", printable(found)) for name, found in (("gained", gained), ("lost", lost)) if found]


def _data(found: object) -> dict[str, str]:
    """The number of images in each split, in total and per class, and the first digits of the data's digest."""
    data = mapping(found)
    images = mapping(data.get("images"))
    counts = {f"  {name}": [_count(each, split) for split in SPLITS] for name, each in images.items()}
    rows = {"train / val / test": [sum(each) for each in zip(*counts.values())]} | counts if counts else {}
    text = {name: " / ".join(map(str, each)) for name, each in rows.items()}
    return text | ({"sha256": str(data["sha256"])[:12]} if "sha256" in data else {})


def _licence(backbone: object) -> str:
    """The name of the licence of the weights that the training began with."""
    return str(mapping(mapping(backbone).get("licence")).get("name", ABSENT))


def mapping(found: object) -> dict:
    """A mapping as it is, anything else as an empty one: facts are whatever a publisher wrote."""
    return found if isinstance(found, dict) else {}


def _count(images: object, split: str) -> int:
    found = mapping(images).get(split)
    return found if isinstance(found, int) else 0


def metrics_of(metrics: object) -> dict[str, str]:
    """Metric -> value and interval, as text, without anything that has no value and interval."""
    found = {}
    for name, metric in mapping(metrics).items():
        parts = [mapping(metric).get(key) for key in ("value", "low", "high")]
        if all(map(is_number, parts)):
            template = "{:.3g} ({:.3g} to {:.3g})" if "loss" in name else "{:.1%} ({:.1%} to {:.1%})"
            found[name] = template.format(*parts)
    return found


def _flat(content: object, prefix: str = "") -> dict[str, str]:
    """`{"a": {"b": 1}}` -> `{"a.b": "1"}`."""
    if not isinstance(content, dict):
        return {prefix: str(content)} if prefix else {}
    flat: dict[str, str] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _side_by_side(left: dict[str, str], right: dict[str, str]) -> list[Row]:
    names = [*left, *(name for name in right if name not in left)]
    return [(printable(name), printable(left.get(name, ABSENT)), printable(right.get(name, ABSENT))) for name in names]


def _parameters(left: object, right: object) -> list[Row]:
    """Those that differ; a candidate, for example, has none recorded."""
    if not (left and right):
        return [("not recorded for both", "", "")]
    return [row for row in _side_by_side(_flat(left), _flat(right)) if row[1] != row[2]]


def _text(title: str, rows: list[Row], widths: list[int]) -> str:
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([title] * bool(title) + [f"  {line}" for line in lines or ["none"]])
