"""What images.csv must fulfil, said in Great Expectations and validated by it, offline and without telemetry."""

import html
import logging
import os
from dataclasses import dataclass

import pandas as pd

ERROR, WARNING = "critical", "warning"      # Great Expectations' own severities


@dataclass(frozen=True)
class Expectation:
    """One expectation, with the words in which a failure is told."""

    name: str
    type: str                   # Great Expectations' class
    kwargs: dict
    says: str                   # what is expected, for people
    parameter: str = ""         # the key in params.yaml that sets the threshold
    severity: str = ERROR


@dataclass(frozen=True)
class Outcome:
    expectation: Expectation
    success: bool
    observed: str               # the figure that was found
    offending: list[str]        # paths or class names, sorted


@dataclass(frozen=True)
class Validation:
    """What became of one table."""

    outcomes: list[Outcome]
    result: object              # Great Expectations' own, for its Data Docs


def validate_table(name: str, table: pd.DataFrame, expectations: list[Expectation], key: str) -> Validation:
    """Let Great Expectations validate `table`; offending rows are named by their value in column `key`."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"        # read when the library is imported
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("intake").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": _escaped(table)})
    suite = gx.ExpectationSuite(name=name, expectations=[_build(gx, each) for each in expectations])
    result = batch.validate(suite, result_format={
        "result_format": "COMPLETE", "unexpected_index_column_names": [key], "return_unexpected_index_query": False,
    })
    for each in result.results:         # not every expectation names the column, and Data Docs want it to name the rows
        if each.result.get("unexpected_index_list"):
            each.result["unexpected_index_column_names"] = [key]
    found = {each.expectation_config.meta["name"]: each.to_json_dict() for each in result.results}
    return Validation([_outcome(each, found[each.name], key) for each in expectations], result)


def _escaped(table: pd.DataFrame) -> pd.DataFrame:
    """Data Docs write a file name into the page as it is: one called `<script>…` would run there."""
    return table.apply(lambda column: column if column.dtype.kind in "biuf" else column.map(html.escape, "ignore"))


def _build(gx, expectation: Expectation):
    cls = getattr(gx.expectations, expectation.type)
    return cls(**expectation.kwargs, severity=expectation.severity, meta={"name": expectation.name},
               description=html.escape(expectation.says).replace("$", "$$"))


def _outcome(expectation: Expectation, found: dict, key: str) -> Outcome:
    if found["exception_info"].get("raised_exception"):     # a fault of ours, not of the data
        raise RuntimeError(f"{expectation.name}: {found['exception_info']['exception_message']}")
    result = found["result"]
    rows = result.get("unexpected_index_list") or []
    offending = sorted(html.unescape(row[key]) for row in rows)
    if "unexpected_count" in result:
        observed = f"{result['unexpected_count']} of {result['element_count']}"
    else:
        observed = "" if result.get("observed_value") is None else str(result["observed_value"])
    return Outcome(expectation, found["success"], observed, offending)
