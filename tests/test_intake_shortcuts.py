"""A form of the files that predicts the label is found; one that does not is not."""

import numpy as np
import pandas as pd
import pytest

from pipeline.intake.shortcuts import measure_shortcuts


def images(count=400, seed=0):
    draw = np.random.default_rng(seed)
    ids = [str(number) for number in range(count)]
    return pd.DataFrame(
        {
            "label": [("cat", "dog")[number % 2] for number in range(count)],
            "size_bytes": draw.integers(10_000, 50_000, count),
            "width_px": draw.integers(300, 500, count),
            "height_px": draw.integers(300, 500, count),
            "mode": "RGB",
            "format": "JPEG",
            "duplicate_group": ids,
        }
    )


def skills(table):
    return measure_shortcuts(table).set_index("form")["skill"]


def test_chance_is_no_shortcut():
    assert skills(images()).max() < 0.25


@pytest.mark.parametrize(
    "form, change",
    [
        ("file size", lambda table: table.assign(size_bytes=table["size_bytes"] + 100_000 * table["label"].eq("dog"))),
        ("dimensions", lambda table: table.assign(width_px=table["width_px"].where(table["label"].eq("cat"), 512))),
        ("colour mode", lambda table: table.assign(mode=table["mode"].where(table["label"].eq("cat"), "L"))),
        ("file format", lambda table: table.assign(format=table["format"].where(table["label"].eq("cat"), "PNG"))),
    ],
)
def test_each_form_is_found(form, change):
    found = skills(change(images()))
    assert found[form] > 0.95
    assert found.drop(form).max() < 0.25


def test_half_of_a_shortcut_has_half_the_skill():
    """Half the dogs are grey: guessing right in 3 of 4 cases, balanced, is a skill of one half."""
    table = images(2000)
    table.loc[(table.index % 4) == 1, "mode"] = "L"
    assert skills(table)["colour mode"] == pytest.approx(0.5, abs=0.05)


def test_copies_do_not_count_as_skill():
    """Ten copies of each picture: its exact file size is no knowledge of the class."""
    table = pd.concat([images(60)] * 10, ignore_index=True)
    assert skills(table)["file size"] < 0.35


@pytest.mark.parametrize("table", [images(0), images(1), images(3), images().assign(label="cat")])
def test_too_little_to_measure(table):
    assert skills(table).tolist() == [0, 0, 0, 0]


def test_a_class_of_one_picture_hides_no_shortcut():
    table = images().assign(mode=lambda table: table["label"].map({"cat": "RGB", "dog": "L"}))
    table.loc[0, "label"] = "bird"
    assert skills(table)["colour mode"] > 0.95


def test_the_same_figure_every_time():
    assert measure_shortcuts(images()).equals(measure_shortcuts(images()))
