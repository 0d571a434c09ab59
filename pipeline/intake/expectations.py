"""Expectations of a table, validated with Great Expectations, offline and without telemetry."""

import html
from dataclasses import dataclass

import pandas as pd

ERROR, WARNING = "critical", "warning"      # Great Expectations' own severities


@dataclass(frozen=True)
class Expectation:
    """One expectation of a table, and how people read it.

    Attributes:
        name: unique among the expectations of a table.
        type, kwargs: a class of `great_expectations.expectations`, and its arguments.
        says: what is expected, as a clause for the reports.
        parameter: the name of the threshold; empty if there is none.
        severity: `ERROR` stops the run, `WARNING` does not.
    """

    name: str
    type: str
    kwargs: dict
    says: str
    parameter: str = ""
    severity: str = ERROR


@dataclass(frozen=True)
class Outcome:
    """How an expectation turned out.

    Attributes:
        observed: the figure that was found, as text.
        offending: the keys of the rows that fail, sorted: paths or class names.
    """

    expectation: Expectation
    success: bool
    observed: str
    offending: list[str]


@dataclass(frozen=True)
class Validation:
    """How all expectations of one table turned out.

    Attributes:
        result: Great Expectations' own result, for its Data Docs.
    """

    outcomes: list[Outcome]
    result: object


def validate_table(name: str, table: pd.DataFrame, expectations: list[Expectation], key: str) -> Validation:
    """Validate a table.

    Args:
        name: what Data Docs call the table.
        key: the column whose values name the offending rows.

    Returns:
        The outcomes, in the order of `expectations`.
    """
    from pipeline.intake.library import gx

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("intake").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": _escaped(table)})
    suite = gx.ExpectationSuite(name=name, expectations=[_build(gx, each) for each in expectations])
    result = batch.validate(suite, result_format={
        "result_format": "COMPLETE", "unexpected_index_column_names": [key], "return_unexpected_index_query": False,
    })
    for each in result.results:         # Data Docs need this column to name the rows; not every expectation gives it
        if each.result.get("unexpected_index_list"):
            each.result["unexpected_index_column_names"] = [key]
    found = {each.expectation_config.meta["name"]: each.to_json_dict() for each in result.results}
    return Validation([_outcome(each, found[each.name], key) for each in expectations], result)


def _escaped(table: pd.DataFrame) -> pd.DataFrame:
    """Data Docs write file names into the page unescaped: a file called `<script>…` would run there."""
    return table.apply(lambda column: column if column.dtype.kind in "biuf" else column.map(html.escape, "ignore"))


def _build(gx, expectation: Expectation):
    cls = getattr(gx.expectations, expectation.type)
    return cls(**expectation.kwargs, severity=expectation.severity, meta={"name": expectation.name},
               description=html.escape(expectation.says).replace("$", "$$"))


def _outcome(expectation: Expectation, found: dict, key: str) -> Outcome:
    if found["exception_info"].get("raised_exception"):     # a bug in the expectation, not in the data
        raise RuntimeError(f"{expectation.name}: {found['exception_info']['exception_message']}")
    result = found["result"]
    rows = result.get("unexpected_index_list") or []
    offending = sorted(html.unescape(row[key]) for row in rows)
    if "unexpected_count" in result:
        observed = f"{result['unexpected_count']} of {result['element_count']} fail"
    else:
        observed = "" if result.get("observed_value") is None else str(result["observed_value"])
    return Outcome(expectation, found["success"], observed, offending)
