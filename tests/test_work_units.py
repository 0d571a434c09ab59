"""The units of test files against the files."""

from pathlib import Path

from work_units import PLACES, UNITS


def test_every_file_of_a_unit_exists_and_is_in_no_other():
    names = [name for unit in UNITS for name in unit]
    assert len(PLACES) == len(names) > 10
    assert [name for name in names if not Path(__file__).with_name(f"{name}.py").is_file()] == []


def test_what_shares_a_prefect_server_is_one_unit():
    texts = {path.stem: path.read_text() for path in Path(__file__).parent.glob("test_*.py")}
    users = {name for name, text in texts.items() if "(prefect_server" in text or ", prefect_server" in text}
    assert users - {Path(__file__).stem} == set(next(unit for unit in UNITS if "test_deployments" in unit))
