"""Fill a run's page in Prefect's UI: its progress, each stage's outputs, what the model is good for, and the verdict.

The outputs of a stage are read from dvc.lock, so no stage is named here. Artifacts are keyed by the model, as in
`pets-evaluation`: Prefect shows the history of a key.
"""

import base64
import csv
import hashlib
import json
import os
import re
import shlex
from collections import Counter
from functools import lru_cache
from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from ruamel.yaml import YAML

from graft.errors import printable
from pipeline.evaluation.report_tables import class_rows, markdown, metric_rows
from pipeline.pages import quoted
from tasks import artifacts, publish
from tasks.params import read_params

REPORTS_VARIABLE = "GRAFT_REPORTS"      # the address of `graft serve --reports`
PICTURES = {"confusion": "What was taken for what",
            "coverage": "What it costs to be sure: the share of right answers among those that are kept"}
PICTURE_BYTES = 100_000     # of a plot; a larger one is in the report only
ROWS = 40                   # longer tables are not shown


def model_name() -> str:
    """The name of the model in the registry."""
    return read_params("publish", publish.PublishParams).name


def key_of(what: str) -> str:
    """The key of an artifact, for which Prefect takes a-z, digits and dashes; no two models share one."""
    name = model_name()
    plain = re.sub(r"[^a-z0-9]+", "-", name)
    mark = "" if plain == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return re.sub(r"[^a-z0-9]+", "-", f"{plain}{mark}-{what}")


class Progress:
    """A progress artifact that the run's page shows while the `total` stages run."""

    def __init__(self, total: int):
        self.total, self.runs = total, []
        self._identity = create_progress_artifact(0.0, key=key_of("progress"), description=f"none of {total} stages")

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
    create_markdown_artifact(key=key_of(run.stage), description=outcome, markdown="\n\n".join(parts) + "\n")


def stages(runs: list) -> None:
    """Show the outcome and duration of each stage; `runs` are `flows.stages.StageRun`."""
    heading = counted(runs)
    rows = [{"stage": run.stage, "outcome": run.outcome, "seconds": f"{run.seconds:.1f}"} for run in runs]
    create_markdown_artifact(key=key_of("stages"), description=heading, markdown=f"# {heading}\n\n{markdown(rows)}\n")


def counted(runs: list) -> str:
    """How many stages had each outcome, such as `9 stages: 2 ran, 7 unchanged`."""
    counts = Counter(run.outcome for run in runs)
    return f"{len(runs)} stages: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


def evaluation() -> None:
    """Say what the model may be used for, with pictures; then show the metrics and the classes, the weakest first."""
    metrics, verdict = metric_rows(artifacts.read_json(artifacts.METRICS)), artifacts.read_json(artifacts.VERDICT)
    classes = class_rows(artifacts.CLASSES)[:ROWS]
    parts = [f"# {quoted(model_name())}: accuracy {metrics[0]['value']} ({metrics[0]['interval']})",
             *(f"**{each['question']}** {quoted(each['answer'])}" for each in verdict),
             *map(_picture, PICTURES), "## Figures", _table(metrics),
             "## Classes, the weakest first", _table(classes)]
    create_markdown_artifact(key=key_of("evaluation"), description=printable(verdict[0]["answer"]),
                             markdown="\n\n".join(parts) + "\n")


def _picture(name: str) -> str:
    """A plot in Markdown, which Prefect's page shows without asking for a file; nothing if it is large."""
    data = (artifacts.PLOTS / f"{name}.png").read_bytes()
    picture = f"## {PICTURES[name]}\n\n![{name}](data:image/png;base64,{base64.b64encode(data).decode()})"
    return picture if len(data) <= PICTURE_BYTES else ""


def _table(rows: list[dict[str, str]]) -> str:
    """`markdown` with `quoted` names and cells; it quotes bars itself."""
    return markdown({_quoted_cell(key): _quoted_cell(cell) for key, cell in row.items()} for row in rows)


def _quoted_cell(text: str) -> str:
    return quoted(str(text)).replace("\\|", "|")


def images(version: int, text: str) -> None:
    """Show how the images differ from a published version's; `text` is from `pipeline.intake.comparison.as_text`."""
    create_markdown_artifact(key=key_of("images"), markdown=f"# Images since version {version}\n\n{text}\n")


def gate(report: dict) -> None:
    """Show the verdict and its reasons; for `report`, see `tasks.gate.judge`."""
    reasons = "\n".join(f"- {quoted(reason)}" for reason in report["reasons"])
    description = printable(f"{report['verdict']}: {report['reasons'][0]}")
    create_markdown_artifact(key=key_of("gate"), description=description,
                             markdown=f"# {quoted(model_name())}: {report['verdict']}\n\n{reasons}\n")


def published(version) -> None:
    """Show the published version, how to pull it, how to open its report, and a link to that, if it has an address.

    Args:
        version: a `graft.registry.Published`.
    """
    outcome, address = publish.outcome(version), shlex.quote(version.address)
    create_markdown_artifact(key=key_of("version"), description=outcome, markdown=(
        f"# {outcome}\n\nThis opens its reports, and this fetches the model:\n\n"
        f"```sh\ngraft report {address}\ngraft pull {address}\n```\n"))
    _, _, card = artifacts.CARD.read_text(encoding="utf-8").split("---\n", 2)      # without the front matter
    create_markdown_artifact(key=key_of("card"), description=f"the model card of {version.address}", markdown=card)
    if link := report_link(version):
        create_link_artifact(link, link_text=f"the report of {version.name} {version.version}", key=key_of("report"),
                             description=version.address)


def report_link(version) -> str | None:
    """The report's address for a browser: at GRAFT_REPORTS, else a signed one on S3; None if it has none.

    Args:
        version: a `graft.registry.Published`.
    """
    from graft.registry import manifest
    from graft.store import open_store

    store, page = open_store(version.registry), artifacts.REPORT.name
    report = manifest.read(store, version.name, version.version).attachments.get(page)
    if report and (served := os.environ.get(REPORTS_VARIABLE)):
        return f"{served.rstrip('/')}/{version.name}@{version.version}/{page}"
    return store.link(report.key, "text/html") if report else None


def _locked(name: str) -> list[str]:
    """The paths of a stage's outputs according to dvc.lock."""
    return [out["path"] for out in _read_lock(Path("dvc.lock").read_bytes())["stages"][name].get("outs", [])]


@lru_cache(maxsize=1)           # it stays the same while nothing runs
def _read_lock(data: bytes) -> dict:
    return YAML(typ="safe").load(data)


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
    """Round a decimal number to four places; leave any other text, such as a class named 18.5-25, as it is."""
    return f"{float(cell):.4f}" if re.fullmatch(r"-?[0-9]+\.[0-9]+", cell) else cell
