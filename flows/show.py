"""Fill a run's page in Prefect's UI: its progress, each stage's outputs, the metrics, the verdict and the report.

The outputs of a stage are read from dvc.lock, so no stage is named here.
"""

import csv
import json
import shlex
from collections import Counter
from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from ruamel.yaml import YAML

from graft.errors import printable
from pipeline.evaluation.render import quoted
from pipeline.evaluation.report_tables import class_rows, confusion_rows, markdown, metric_rows
from tasks import artifacts, publish

ROWS = 40                   # longer tables are not shown


class Progress:
    """A progress artifact that the run's page shows while the `total` stages run."""

    def __init__(self, total: int):
        self.total, self.runs = total, []
        self._identity = create_progress_artifact(0.0, key="progress", description=f"none of {total} stages")

    def add(self, run) -> None:
        """Record that another stage is done; `run` is its `flows.stages.StageRun`."""
        self.runs.append(run)
        share = 100 * len(self.runs) / self.total
        update_progress_artifact(self._identity, share, description=f"{len(self.runs)} of {self.total} stages")


def stage(run) -> None:
    """Show a stage's outcome, its output files, and its short tables; `run` is a `flows.stages.StageRun`."""
    entries = [entry for each in _locked(run.stage) for entry in _listed(Path(each))]
    files = [{"file": path.as_posix(), "bytes": f"{path.stat().st_size:,}"} for path in entries]
    tables = [f"## {path.name}\n\n{_table(rows)}" for path in entries if (rows := _rows(path))]
    more = [f"… and {len(files) - ROWS} more files"] if len(files) > ROWS else []
    outcome = f"{run.outcome} in {run.seconds:.1f} s"
    parts = [f"# {run.stage}: {outcome}", _table(files[:ROWS]), *more, *tables]
    create_markdown_artifact(key=run.stage.replace("_", "-"), description=outcome, markdown="\n\n".join(parts) + "\n")


def stages(runs: list) -> None:
    """Show the outcome and duration of each stage; `runs` are `flows.stages.StageRun`."""
    heading = counted(runs)
    rows = [{"stage": run.stage, "outcome": run.outcome, "seconds": f"{run.seconds:.1f}"} for run in runs]
    create_markdown_artifact(key="stages", description=heading, markdown=f"# {heading}\n\n{markdown(rows)}\n")


def counted(runs: list) -> str:
    """How many stages had each outcome, such as `9 stages: 2 ran, 7 unchanged`."""
    counts = Counter(run.outcome for run in runs)
    return f"{len(runs)} stages: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


def evaluation() -> None:
    """Show the report's tables: metrics, classes and the confusion matrix."""
    metrics = metric_rows(artifacts.read_json(artifacts.METRICS))
    tables = {
        "metrics": (metrics, "{metric} {value} ({interval}) on {images} images".format(**metrics[0])),
        "classes": (class_rows(artifacts.CLASSES), "each class with its intervals"),
        "confusion": (confusion_rows(artifacts.PLOTS / "confusion.csv"), "true and predicted classes"),
    }
    for key, (rows, description) in tables.items():
        create_markdown_artifact(key=key, description=description, markdown=f"# {key}\n\n{_table(rows)}\n")


def _table(rows: list[dict[str, str]]) -> str:
    """`markdown` with `quoted` names and cells; it quotes bars itself."""
    return markdown({_quoted_cell(key): _quoted_cell(cell) for key, cell in row.items()} for row in rows)


def _quoted_cell(text: str) -> str:
    return quoted(str(text)).replace("\\|", "|")


def images(version: int, text: str) -> None:
    """Show how the images differ from a published version's; `text` is from `pipeline.intake.comparison.as_text`."""
    create_markdown_artifact(key="images", markdown=f"# Images since version {version}\n\n{text}\n")


def gate(report: dict) -> None:
    """Show the verdict and its reasons; for `report`, see `tasks.gate.judge`."""
    reasons = "\n".join(f"- {quoted(reason)}" for reason in report["reasons"])
    description = printable(f"{report['verdict']}: {report['reasons'][0]}")
    create_markdown_artifact(key="gate", description=description, markdown=f"# {report['verdict']}\n\n{reasons}\n")


def published(version) -> None:
    """Show the published version, how to pull it, and a link to its report.

    Args:
        version: a `graft.registry.Published`.
    """
    outcome = publish.outcome(version)
    create_markdown_artifact(key="version", description=outcome, markdown=(
        f"# {outcome}\n\n```sh\ngraft pull {shlex.quote(version.address)} --attachments\n```\n\n"
        "fetches the model with its report, predictions.csv, metrics.json, params.yaml and dvc.lock.\n"))
    _, _, card = artifacts.CARD.read_text(encoding="utf-8").split("---\n", 2)      # without the front matter
    create_markdown_artifact(key="card", description=f"the model card of {version.address}", markdown=card)
    if link := _report_link(version):
        create_link_artifact(link, link_text="report.html", key="report", description=version.address)


def _report_link(version) -> str | None:
    """The report's URL for a browser: a signed link to S3, or a file in a local registry."""
    from graft.registry import manifest
    from graft.store import open_store

    store = open_store(version.registry)
    report = manifest.read(store, version.name, version.version).attachments.get(artifacts.REPORT.name)
    return store.link(report.key, "text/html") if report else None


def _locked(name: str) -> list[str]:
    """The paths of a stage's outputs according to dvc.lock."""
    lock = YAML(typ="safe").load(Path("dvc.lock"))
    return [out["path"] for out in lock["stages"][name].get("outs", [])]


def _listed(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file of at most `ROWS` rows, or a JSON file's plain values; empty for other files."""
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
    """Round a decimal number to four places; leave any other text as it is."""
    return f"{float(cell):.4f}" if cell.replace(".", "", 1).replace("-", "").isdigit() and "." in cell else cell
