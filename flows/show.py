"""What a run's page in Prefect's UI shows: how far it is, what each stage made, the figures, the verdict, the report.

Which files a stage has made is read from dvc.lock: no stage is named here.
"""

import csv
import json
from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from ruamel.yaml import YAML

from pipeline.evaluation.report_tables import class_rows, confusion_rows, markdown, metric_rows
from tasks import artifacts

ROWS = 40                   # longer tables are for files, not for a page


class Progress:
    """How far the stages are, as a progress artifact that the run's page shows while they run."""

    def __init__(self, total: int):
        self.total, self.runs = total, []
        self._identity = create_progress_artifact(0.0, key="progress", description=f"none of {total} stages")

    def add(self, run) -> None:
        """Another stage is done."""
        self.runs.append(run)
        share = 100 * len(self.runs) / self.total
        update_progress_artifact(self._identity, share, description=f"{len(self.runs)} of {self.total} stages")


def stage(run) -> None:
    """What became of a stage, what it made, and those of its tables that are short."""
    entries = [entry for each in _locked(run.stage) for entry in _listed(Path(each))]
    files = [{"file": path.as_posix(), "bytes": f"{path.stat().st_size:,}"} for path in entries]
    tables = [f"## {path.name}\n\n{markdown(rows)}" for path in entries if (rows := _rows(path))]
    more = [f"… and {len(files) - ROWS} more files"] if len(files) > ROWS else []
    said = f"{run.outcome} in {run.seconds:.1f} s"
    parts = [f"# {run.stage}: {said}", markdown(files[:ROWS]), *more, *tables]
    create_markdown_artifact(key=run.stage.replace("_", "-"), description=said, markdown="\n\n".join(parts) + "\n")


def stages(runs: list) -> None:
    """What became of each stage."""
    changed = [run for run in runs if run.outcome != "unchanged"]
    heading = f"{len(changed)} of {len(runs)} stages had something to do" if changed else "Nothing has changed"
    rows = [{"stage": run.stage, "outcome": run.outcome, "seconds": f"{run.seconds:.1f}"} for run in runs]
    create_markdown_artifact(key="stages", description=heading, markdown=f"# {heading}\n\n{markdown(rows)}\n")


def evaluation() -> None:
    """The report's tables: metrics, classes and the confusion matrix."""
    metrics = metric_rows(artifacts.read_json(artifacts.METRICS))
    tables = {
        "metrics": (metrics, "{metric} {value} ({interval}) on {images} images".format(**metrics[0])),
        "classes": (class_rows(artifacts.CLASSES), "each class with its intervals"),
        "confusion": (confusion_rows(artifacts.PLOTS / "confusion.csv"), "what was called what"),
    }
    for key, (rows, said) in tables.items():
        create_markdown_artifact(key=key, description=said, markdown=f"# {key}\n\n{markdown(rows)}\n")


def images(version: int, text: str) -> None:
    """How the images differ from those of a published version, as `pipeline.intake.comparison` tells it."""
    create_markdown_artifact(key="images", markdown=f"# Images since version {version}\n\n{text}\n")


def gate(report: dict) -> None:
    """The verdict and its reasons."""
    reasons = "\n".join(f"- {reason}" for reason in report["reasons"])
    said = f"{report['verdict']}: {report['reasons'][0]}"
    create_markdown_artifact(key="gate", description=said, markdown=f"# {report['verdict']}\n\n{reasons}\n")


def published(version) -> None:
    """The published version, how to get it, and a link to its report.

    Args:
        version: a `graft.registry.Published`.
    """
    said = "published" if version.is_new else "had been published before"
    create_markdown_artifact(key="version", description=f"{version.address} {said}", markdown=(
        f"# {version.address} {said}\n\n```sh\ngraft pull {version.address} --attachments\n```\n\n"
        "brings the model, and beside it the report, predictions.csv, metrics.json, params.yaml and dvc.lock.\n"))
    if link := _report_link(version):
        create_link_artifact(link, link_text="report.html", key="report", description=version.address)


def _report_link(version) -> str | None:
    """Where a browser finds the report: a signed link to S3, or the file of a local registry."""
    from graft.registry import manifest
    from graft.store import open_store

    store = open_store(version.registry)
    report = manifest.read(store, version.name, version.version).attachments.get(artifacts.REPORT.name)
    return store.link(report.key, "text/html") if report else None


def _locked(name: str) -> list[str]:
    """The outputs of a stage, as dvc.lock has them."""
    lock = YAML(typ="safe").load(Path("dvc.lock"))
    return [out["path"] for out in lock["stages"][name].get("outs", [])]


def _listed(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a short CSV file, or the plain values of a JSON file; none for any other file."""
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row, _ in zip(csv.DictReader(file), range(ROWS + 1))]
        return [{key: _short(cell) for key, cell in row.items()} for row in rows] if len(rows) <= ROWS else []
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        plain = content if isinstance(content, dict) else {}
        return [{"key": key, "value": _short(str(value))} for key, value in plain.items()
                if isinstance(value, str | int | float)]
    return []


def _short(cell: str) -> str:
    """A number with four digits behind the point; any other text as it is."""
    return f"{float(cell):.4f}" if cell.replace(".", "", 1).replace("-", "").isdigit() and "." in cell else cell
