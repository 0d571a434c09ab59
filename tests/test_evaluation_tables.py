import pandas as pd

from pipeline.evaluation import report_tables


def test_metrics_have_their_interval():
    metrics = {"accuracy": {"value": 0.985, "low": 0.97, "high": 0.99, "images": 200},
               "log_loss": {"value": 0.04567, "low": 0.03, "high": 0.1, "images": 200}}
    assert report_tables.metric_rows(metrics) == [
        {"metric": "accuracy", "value": "98.5%", "interval": "97.0% to 99.0%", "images": "200"},
        {"metric": "log loss", "value": "0.0457", "interval": "0.03 to 0.1", "images": "200"},
    ]


def test_undefined_metrics_of_a_class_are_a_dash(tmp_path):
    columns = {f"{name}{end}": [0.5] for name in ("precision", "recall", "f1", "roc_auc", "average_precision")
               for end in ("", "_low", "_high")}
    table = pd.DataFrame({"class": ["a,b"], "images": [3], "predicted": [0], **columns})
    table[["precision", "precision_low", "precision_high"]] = None
    table.to_csv(tmp_path / "classes.csv", index=False)
    row, = report_tables.class_rows(tmp_path / "classes.csv")
    assert (row["class"], row["precision"], row["recall"]) == ("a,b", "–", "50.0% (50.0% to 50.0%)")


def test_markdown_of_cells_with_bars_keeps_its_columns():
    assert report_tables.markdown([{"x": "a|b", "y": "c\nd"}]) == "| x | y |\n| --- | --- |\n| a\\|b | c d |"
    assert report_tables.markdown([]) == ""
