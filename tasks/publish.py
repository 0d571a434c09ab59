"""Publish what `export` and `evaluate` made, with all that explains it. No stage: it depends on what is published.

The gate's verdict decides: PROMOTE publishes the version and makes it the champion, HOLD publishes it, REJECT does
neither. `python -m tasks.publish` does by hand what the flow does at its end.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import Field

from graft.errors import GraftError, reported
from graft.machine.cores import cpu_count
from graft.registry.address import NAME_PATTERN
from tasks.params import PARAMS, params, read_params, read_sections
from tasks.repository import state

LIBRARIES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow", "onnxruntime", "opencv-python-headless")
LOCK = Path("dvc.lock")
ATTACHED = [str(LOCK), str(PARAMS), "*.dvc"]    # they travel with the version, or dvc.lock holds what they say


@params
class PublishParams:
    name: str = Field(pattern=f"^{NAME_PATTERN}$")


def publish(publish: PublishParams, gate: dict, seconds: dict[str, float] | None = None):
    """Publish the bundle, and promote it if the gate says so.

    Args:
        gate: the gate's report, with its `verdict`.
        seconds: stage -> how long it ran, as far as the caller knows.

    Returns:
        The `graft.registry.Published` version, or None when the gate rejected it.
    """
    from graft import registry
    from graft.registry.address import default_registry
    from tasks import artifacts

    if gate["verdict"] == "REJECT":
        return None
    facts = {**provenance(), **data_facts(artifacts), "params": read_sections(), "gate": gate, "seconds": seconds or {},
             "metrics": artifacts.read_json(artifacts.METRICS)}
    published = registry.publish(
        artifacts.BUNDLE, publish.name, default_registry(), attachments=_attachments(artifacts), facts=facts
    )
    if gate["verdict"] == "PROMOTE":
        promote(published, gate)
    return published


def promote(published, gate: dict) -> None:
    """Make a published version the champion, or say who has to, where these credentials may publish and no more."""
    from graft import registry
    from graft.store import StoreError
    from graft.store.s3_errors import status_of

    try:
        # only in the place of the champion that it was measured against: another may have been promoted meanwhile
        registry.promote(published.address, reason="; ".join(gate["reasons"]), gate=gate,
                         expect=gate["champion_version"] or 0)
    except StoreError as error:
        if status_of(error.__cause__) != 403:
            raise
        print(f"{published.address} is published. These credentials may not promote it; who may: "
              f"`graft promote {published.address} --reason \"{gate['reasons'][0]}\"`")


def provenance() -> dict:
    """Which code, which libraries and which machine made the model."""
    repository = state(ATTACHED)
    if "git" in repository:
        print(f"this version will not name its commit: {repository['git']}")
    return {
        **repository,
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": cpu_count()},
    }


def data_facts(artifacts) -> dict:
    """How many images of each class stand in each split, and a digest that is the same for the same images."""
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    counts = splits.groupby(["label", "split"]).size()
    images = {label: {split: int(counts.get((label, split), 0)) for split in artifacts.SPLIT_NAMES}
              for label in sorted(splits["label"].unique())}
    return {"data": {"images": images, "sha256": hashlib.sha256(artifacts.SPLITS.read_bytes()).hexdigest()}}


def _attachments(artifacts) -> dict[str, Path]:
    wanted = [artifacts.METRICS, artifacts.PREDICTIONS, artifacts.REPORT, artifacts.IMAGES, artifacts.SPLITS,
              artifacts.DATA_REPORT, artifacts.DATA_DOCS, artifacts.GATE_PAGE, PARAMS, LOCK]
    names = {artifacts.DATA_REPORT: "data.html"}
    return {names.get(path, path.name): path for path in wanted if path.is_file()}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except ImportError:
        return None


def run(gate: dict, seconds: dict[str, float] | None = None):
    """`publish` with the name that params.yaml gives."""
    return publish(read_params("publish", PublishParams), gate, seconds)


def main() -> None:
    from tasks import artifacts

    if not artifacts.GATE.exists():
        raise GraftError(f"{artifacts.GATE} is missing: run `python -m tasks.gate` first.")
    gate = artifacts.read_json(artifacts.GATE)
    published = run(gate)
    print(f"{gate['verdict']}: " + (f"published {published.address}" if published else "nothing is published"))


if __name__ == "__main__":
    with reported():
        main()
