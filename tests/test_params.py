import json
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import Field
from ruamel.yaml import YAML

from graft.errors import GraftError
from tasks.data import DataParams
from tasks.params import params, read_params, read_sections
from tasks.schema import SCHEMA, dataclass_of, schema


@params
class Inner:
    angle: float = Field(ge=0, le=180)


@params
class Example:
    epochs: int = Field(ge=1, le=10)
    rate: float
    size: tuple[int, int]
    inner: Inner


GOOD = "example:\n  epochs: 3\n  rate: 1e-3\n  size: [4, 5]\n  inner: {angle: 30}\n"


def read(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    return read_params("example", Example, file)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))


@pytest.mark.parametrize(("text", "reason"), [
    (LAUGHS, "more than 100,000 values"), ("a: &a [*a]", "contains itself"), ("a: &a {b: *a}", "contains itself"),
    ("[" * 100_000, "nested in more than 100 levels"), ("- " * 5000 + "x", "nested in more than 100"),
    ("a: " + "{a: " * 20_000, "nested"), (b"a: \xff", "byte 4 is not UTF-8"), ("#" * 5_000_000, "at most 4,000,000"),
    ("a: " + "9" * 10_000, "not valid YAML"), ("a: !!bool maybe", "does not fit its tag"), ("a: \0", "not valid"),
    ("a: !!python/object/apply:os.system [x]", "not valid YAML"), ("a: 9999-99-99", "not valid YAML"),
    ("a: {? [1] : 2}", "as a key"), ("a: {2026-01-01: 2}", "as a key"), ("a: {1: 2}\nb: c\n", "b: expected an object"),
])
def test_yaml_that_nobody_could_use_is_refused_in_one_message(tmp_path, text, reason):
    (tmp_path / "params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GraftError, match=f"params.yaml.*{reason}"):
        read_sections(tmp_path / "params.yaml")


def test_reads_a_section_into_its_dataclass(tmp_path):
    assert read(tmp_path, GOOD) == Example(epochs=3, rate=0.001, size=(4, 5), inner=Inner(angle=30.0))


def test_tells_everything_that_is_wrong_at_once_with_file_key_and_value(tmp_path):
    text = "example:\n  epochs: 2.5\n  epoch: 3\n  rate: fast\n  size: [1, 2, 3]\n  inner: {angle: 181, angel: 1}\n"
    with pytest.raises(GraftError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    for part in ("example.epochs: expected a valid integer, received 2.5", "example.epoch: unknown parameter",
                 "Did you mean 'epochs'?", "example.rate: expected a valid number, received 'fast'", "example.size",
                 "example.inner.angle: expected less than or equal to 180, received 181", "Did you mean 'angle'?"):
        assert part in message
    assert message.count("params.yaml") == 6


@pytest.mark.parametrize("path, meant", [("~/photos", "/home/me/photos"), ("$HOME/photos", "/home/me/photos"),
                                         ("/data/${DISK}/photos", "/data/disk 1/photos")])
def test_a_path_that_only_a_shell_understands_is_refused_with_the_one_that_it_means(tmp_path, monkeypatch, path, meant):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DISK", "disk 1")
    file = tmp_path / "params.yaml"
    file.write_text(f"data: {{images: {path!r}}}\n")
    with pytest.raises(GraftError, match="data.images: expected a path without ~ and variables") as caught:
        read_params("data", DataParams, file)
    assert f"such as '{meant}', received '{path}'" in str(caught.value)


@pytest.mark.parametrize("path", ["data/~cats", "./~cats", "data/a~b", "data/100$", "data//x", "C:\\photos"])
def test_a_path_that_is_taken_as_it_is_written(tmp_path, path):
    file = tmp_path / "params.yaml"
    file.write_text(f"data: {{images: '{path}'}}\n")
    assert read_params("data", DataParams, file).images == path


@pytest.mark.parametrize("value", ["true", "'3'", "null", "[1]", ".inf", "2026-01-01"])
def test_takes_no_value_of_another_type(tmp_path, value):
    with pytest.raises(GraftError, match="example.epochs"):
        read(tmp_path, GOOD.replace("epochs: 3", f"epochs: {value}"))


@pytest.mark.parametrize(("text", "part"), [
    ("", "expected sections"),
    ("exampel: {}\n", "section 'example' is missing. Did you mean 'exampel'?"),
    ("example: 3\n", "example: expected an object, received 3"),
    ("example: {epochs: [}\n", "not valid YAML"),
    (GOOD.replace("  rate: 1e-3\n", ""), "example.rate: missing"),
])
def test_tells_what_is_wrong_with_a_file(tmp_path, text, part):
    with pytest.raises(GraftError, match=part.replace("(", r"\(")):
        read(tmp_path, text)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(GraftError, match="No such file"):
        read_sections(tmp_path / "params.yaml")


SHIPPED = Path("params.yaml")
RANGE = re.compile(r"# (above )?(-?[\d.]+)(?: to ([\d.]+)| or more)")


def documented_ranges() -> list[tuple[str, str, float, float | None]]:
    """Each key of params.yaml whose comment gives a range: its path, "above" or "", the lower and the upper end."""
    found, path = [], []
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if not (key := re.match(r"( *)(\w+):", line)):
            continue
        path[len(key[1]) // 2:] = [key[2]]
        if limits := RANGE.search(line):
            found.append((".".join(path), limits[1] or "", float(limits[2]), float(limits[3]) if limits[3] else None))
    return found


def set_to(tmp_path, key: str, value: float) -> None:
    """Read the section of a copy of params.yaml in which one key has this value, as its section's dataclass."""
    sections = read_sections(SHIPPED)
    *parents, last = key.split(".")
    inner = sections
    for parent in parents:
        inner = inner[parent]
    inner[last] = int(value) if isinstance(inner[last], int) and value == int(value) else value
    YAML().dump(sections, tmp_path / "params.yaml")
    read_params(parents[0], dataclass_of(parents[0]), tmp_path / "params.yaml")


def test_every_range_in_params_yaml_is_the_one_that_is_checked(tmp_path):
    ranges = documented_ranges()
    assert len(ranges) > 50
    for key, above, low, high in ranges:
        for end in (high,) if above else (low, high):
            set_to(tmp_path, key, end) if end is not None else None
        for outside in (low if above else low - 1, high and high + 1):
            if outside is not None:
                with pytest.raises(GraftError, match=key.split(".")[-1]):
                    set_to(tmp_path, key, outside)


def test_params_yaml_as_shipped_fills_every_dataclass():
    sections = read_sections(SHIPPED)
    assert len(sections) == 13
    for section in sections:
        read_params(section, dataclass_of(section))


def test_the_schema_for_editors_is_current_and_checks_what_pydantic_checks():
    assert SHIPPED.read_text().startswith(f"# yaml-language-server: $schema={SCHEMA}\n")
    stored, sections = json.loads(SCHEMA.read_text()), read_sections(SHIPPED)
    assert stored == schema(), "run `python -m tasks.schema`"
    checker = jsonschema.Draft202012Validator(stored)
    assert not list(checker.iter_errors(sections))
    for section, key, value in [("split", "val_share", 0.9), ("transfer", "optimizer", "sdg"), ("finetune", "rate", 1),
                                ("export", "formats", ["tflite"]), ("card", "licence", "My Own"), ("gate", "more", {})]:
        assert list(checker.iter_errors(sections | {section: sections[section] | {key: value}})), key


def test_fit_parameters_are_the_keyword_arguments_of_fit():
    import inspect

    from pipeline.training.fitting import fit

    keywords = {each.name for each in inspect.signature(fit).parameters.values() if each.kind is each.KEYWORD_ONLY}
    options = read_params("transfer", dataclass_of("transfer"), SHIPPED).options()
    assert keywords == {"averaging_epochs", "checkpoint", "last_epoch", "learning_rate_factors", "patience", *options}
