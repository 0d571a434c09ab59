"""The units of test files against the files."""

from pathlib import Path

from work_units import PLACES, UNITS


def test_every_file_of_a_unit_exists_and_is_in_no_other():
    names = [name for unit in UNITS for name in unit]
    assert len(PLACES) == len(names) > 10
    assert [name for name in names if not Path(__file__).with_name(f"{name}.py").is_file()] == []
