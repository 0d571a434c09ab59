"""Publish the bundle with its reports and its provenance.

This is not a stage, because it depends on what is published. The gate's verdict decides: PROMOTE publishes the version
and makes it the champion, HOLD publishes it, REJECT does neither. `python -m tasks.publish` runs this step by hand.
"""

import hashlib
import platform
import shlex
from importlib.metadata import version
from pathlib import Path

from pydantic import Field

from graft.errors import GraftError, printable, reported
from graft.machine.cores import cpu_count
from graft.registry.address import NAME_PATTERN
from tasks.data import DataParams
from tasks.params import PARAMS, params, read_params, read_sections
from tasks.repository import default_registry, state

LIBRARIES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow", "onnxruntime", "opencv-python-headless")
LOCK = Path("dvc.lock")
# of all models: published with a version, or recorded in dvc.lock
ATTACHED = [str(LOCK), str(PARAMS), "*.dvc", "*.decisions.csv"]


@params
class PublishParams:
    """The name under which the model is published."""

    name: str = Field(pattern=f"^{NAME_PATTERN}$")


def publish_bundle(publish: PublishParams, gate: dict, seconds: dict[str, float] | None = None):
    """Publish the bundle unless the verdict is REJECT, and promote it if the verdict is PROMOTE.

    Args:
        publish: the parameters of this step.
        gate: the gate's report, see `tasks.gate.judge`.
        seconds: stage -> its duration in seconds, if known.

    Returns:
        The `graft.registry.Published` version, or None if the gate rejected it; and whether this call promoted it.

    Raises:
        GraftError: if the verdict is on another model, an artifact is missing, the registry cannot be written, or the
            champion has changed since the gate's verdict.
    """
    from graft import registry
    from graft.model.bundle import read_description
    from tasks import artifacts, card

    if (gate["model"], gate.get("bundle")) != (publish.name, identity(artifacts.BUNDLE)):
        raise GraftError(f"{artifacts.GATE} is the verdict on another model than the one in {artifacts.BUNDLE}. "
                         "Nothing was published: run `python -m tasks.gate` first.")
    if gate["verdict"] == "REJECT":
        return None, False
    card.write(publish.name)
    facts = {**provenance(), **data_facts(artifacts), "params": read_sections(), "gate": gate, "seconds": seconds or {},
             "metrics": artifacts.read_json(artifacts.METRICS),
             "backbone": read_description(artifacts.BUNDLE).backbone}
    published = registry.publish(
        artifacts.BUNDLE, publish.name, default_registry(), attachments=_attachments(artifacts), facts=facts
    )
    return published, gate["verdict"] == "PROMOTE" and promote(published, gate)


def identity(bundle: Path) -> str:
    """What tells a bundle from every other one, so that a verdict on one is not taken for a verdict on the other."""
    from graft.registry.candidate import read_candidate

    return read_candidate(bundle).identity


def promote(published, gate: dict) -> bool:
    """Make a published version the champion. If the credentials allow only publishing, print how to promote it.

    Args:
        published: a `graft.registry.Published`.
        gate: the gate's report, see `tasks.gate.judge`.

    Returns:
        Whether this call made it the champion: False if it was so before, or if the credentials did not allow it.
    """
    from graft import registry
    from graft.store import StoreError
    from graft.store.s3_errors import status_of

    try:
        # replace only the champion that the gate compared: another version may have been promoted since
        return registry.promote(published.address, reason="; ".join(gate["reasons"]), gate=gate,
                                expect=gate["champion_version"] or 0) is not None
    except StoreError as error:
        if status_of(error.__cause__) != 403:
            raise
        print(f"{published.address} is published, but these credentials may not promote it. With others, run "
              f"`graft promote {shlex.quote(published.address)} --reason "
              f"{shlex.quote(printable(gate['reasons'][0]))}`")
        return False


def provenance() -> dict:
    """Which commit, libraries, Python and machine the model comes from, for the version's facts."""
    repository = state(ATTACHED)
    if "git" in repository:
        print(f"the version cannot record its commit: {repository['git']}")
    return {
        **repository,
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": cpu_count()},
    }


def data_facts(artifacts) -> dict:
    """The number of images per class and split, the SHA-256 of splits.csv, which identifies the images, and how many
    decisions of people were applied."""
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    counts = splits.groupby(["label", "split"]).size()
    images = {label: {split: int(counts.get((label, split), 0)) for split in artifacts.SPLIT_NAMES}
              for label in sorted(splits["label"].unique())}
    findings = artifacts.read_json(artifacts.DATA_FINDINGS) if artifacts.DATA_FINDINGS.exists() else {}
    decisions = {name: len(each) if name == "gone" else each for name, each in findings.get("decisions", {}).items()}
    return {"data": {"images": images, "decisions": decisions,
                     "sha256": hashlib.sha256(artifacts.SPLITS.read_bytes()).hexdigest()}}


def _attachments(artifacts) -> dict[str, Path]:
    from pipeline.intake.decisions import table_of

    decisions = table_of(read_params("data", DataParams).folder)
    wanted = [artifacts.METRICS, artifacts.PREDICTIONS, artifacts.IMAGES, artifacts.SPLITS, artifacts.DATA_REPORT,
              artifacts.DATA_DOCS, artifacts.GATE_PAGE, artifacts.REPORT, artifacts.JUDGED_REPORT, artifacts.CARD,
              PARAMS, LOCK, decisions]
    names = {artifacts.DATA_REPORT: "data.html", decisions: "decisions.csv"}
    # of the two report.html, the later one is attached: the one with the gate's verdict
    return {names.get(path, path.name): path for path in wanted if path.is_file()}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except ImportError:
        return None


def outcome(published) -> str:
    """A sentence on what `publish_bundle` did; `published` is the version that it returned."""
    if published is None:
        return "nothing is published"
    return f"{published.address} " + ("is published" if published.is_new else "was already published")


def run(gate: dict, seconds: dict[str, float] | None = None):
    """`publish_bundle` with the values of params.yaml."""
    return publish_bundle(read_params("publish", PublishParams), gate, seconds)


def main() -> None:
    """Publish as the stored verdict of the gate requires, and print the result. Raises `GraftError` without one."""
    from tasks import artifacts

    if not artifacts.GATE.exists():
        raise GraftError(f"{artifacts.GATE} is missing: run `python -m tasks.gate` first.")
    gate = artifacts.read_json(artifacts.GATE)
    print(f"{gate['verdict']}: {outcome(run(gate)[0])}")


if __name__ == "__main__":
    with reported():
        main()
