"""Read a section of params.yaml into a frozen dataclass: no unknown key, wrong type or value out of range passes."""

import copy
import json
import os
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from graft.errors import GraftError, did_you_mean
from graft.model.json_rules import LIMIT_BYTES, MOST_LEVELS
from pipeline.arguments import WrongArgument

PARAMS = Path("params.yaml")
MOST_VALUES = 100_000

params = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
"""Decorator for the dataclass of a stage's parameters; pydantic's `Field(gt=0, le=1)` gives a key's range."""


def _as_written(path: str) -> str:
    """Refuse a path that only a shell would understand."""
    at_home = str(Path.home()) + path[1:] if path.startswith("~/") else path
    if (expanded := os.path.expandvars(at_home)) != path:
        raise ValueError(f"a path without ~ and variables, which are not expanded here, such as '{expanded}'")
    return path


PathText = Annotated[str, AfterValidator(_as_written)]
"""A path or an address: DVC, which reads it too, takes it as it is written."""


@params
class FitParams:
    """How a model is fitted: the keys that `transfer` and `finetune` share, but for the learning rate."""

    epochs: int = Field(ge=0, le=1000)
    batch_size: int = Field(ge=1, le=4096)
    optimizer: Literal["rmsprop", "adam", "sgd"]
    momentum: float = Field(ge=0, le=0.999)
    warmup_epochs: float = Field(ge=0, le=100)
    decay: Literal["cosine", "none"]
    label_smoothing: float = Field(ge=0, le=0.5)
    class_weights: Literal["balanced", "none"]
    seed: int = Field(ge=0)

    def options(self) -> dict:
        """The keyword arguments of `pipeline.training.fitting.fit`."""
        return {name: getattr(self, name) for name in ("learning_rate", *(each.name for each in fields(FitParams)))}


def read_params(section: str, cls, path: Path = PARAMS):
    """Read one section into its dataclass.

    Args:
        section: its name.
        cls: a dataclass decorated by `params`.
        path: the file.

    Raises:
        GraftError: naming every key that is missing, unknown, of the wrong type or out of range.
    """
    content = read_sections(path)
    if section not in content:
        raise GraftError(f"{path}: section '{section}' is missing.{did_you_mean(section, content)}")
    try:
        # from JSON, strict mode accepts a list for a tuple and a mapping for a nested dataclass
        return TypeAdapter(cls).validate_json(json.dumps(content[section], default=str))
    except ValidationError as error:
        lines = [_explain(section, problem, cls) for problem in error.errors()]
        raise GraftError(f"{path}: " + f"\n       {path}: ".join(lines)) from None


def read_sections(path: Path = PARAMS) -> dict:
    """Read the whole file as plain dicts, as YAML 1.2 like DVC, in which `1e-3` is a number.

    Raises:
        GraftError: if the file cannot be read, is not a mapping of sections in valid YAML, or is beyond all use: larger
            than `LIMIT_BYTES`, nested too deeply, or with anchors that repeat each other without end.
    """
    try:
        with open(path, "rb") as file:
            content = copy.deepcopy(_read_yaml(file.read(LIMIT_BYTES + 1)))
    except OSError as error:
        raise GraftError(f"{path} cannot be read: {error.strerror}. Run this in the project folder.") from None
    except UnicodeDecodeError as error:
        raise GraftError(f"{path}: byte {error.start + 1} is not UTF-8 ({error.reason}). Save it in UTF-8.") from None
    except (YAMLError, ValueError) as error:
        raise GraftError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise GraftError(f"{path}: expected sections of `key: value`, received {type(content).__name__}")
    if wrong := [f"{path}: {name}: expected an object, received {value!r}" for name, value in content.items()
                 if not isinstance(value, dict | None)]:
        raise GraftError("\n       ".join(wrong))
    return content


@lru_cache(maxsize=8)         # a run reads one file some sixty times
def _read_yaml(data: bytes) -> object:
    """Raises `ValueError` if the content, with each anchor written out, is not one that can be handled."""
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"expected at most {LIMIT_BYTES:,} bytes")
    text, depth = data.decode("utf-8"), 0
    for event in YAML(typ="safe").parse(text):      # its loader recurses in C, without a limit
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_LEVELS:
            raise ValueError(f"it is nested in more than {MOST_LEVELS} levels")
    try:
        content = YAML(typ="safe").load(text)
    except (LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(f"a value does not fit its tag ({error!r})") from None
    _check_extent(content)
    return content


def _check_extent(content: object) -> None:
    """Raise `ValueError` for too many values, too many levels, or keys that JSON does not have."""
    level, found = [content], 0
    for _ in range(MOST_LEVELS):
        level = [each for each in level if isinstance(each, dict | list)]
        if (found := found + sum(map(len, level))) > MOST_VALUES:       # before an anchor is written out
            raise ValueError(f"it has more than {MOST_VALUES:,} values, if each anchor (&) is written out")
        keys = [key for each in level if isinstance(each, dict) for key in each]
        if not all(isinstance(key, str | int | float | None) for key in keys):
            raise ValueError("a list, a date or the like is used as a key")
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    if level:
        raise ValueError(f"it is nested in more than {MOST_LEVELS} levels, or an anchor (&) contains itself")


@contextmanager
def named(section: str, **elsewhere: str):
    """Make a library's `WrongArgument` name the keys of params.yaml that its arguments came from.

    Args:
        section: the section with the keys, such as `extract.backbone`.
        elsewhere: argument -> its full key, if that is in another section.

    Raises:
        GraftError: in place of the `WrongArgument`.
    """
    try:
        yield
    except WrongArgument as error:
        keys = {name: f"{PARAMS}: {key}" for name, key in elsewhere.items()}
        raise GraftError(error.worded(f"{PARAMS}: {section}.", **keys)) from error.__cause__


def _explain(section: str, problem: dict, cls) -> str:
    key = ".".join([section, *map(str, problem["loc"])])
    received = repr(problem["input"])
    match problem["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{key}: unknown parameter.{did_you_mean(problem['loc'][-1], _names(cls, problem['loc'][:-1]))}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{key}: missing. For its unit and range, see params.yaml as shipped."
        case _:
            expected = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            return f"{key}: expected {expected}, received {received}"


def _names(cls, path) -> list[str]:
    """The known keys at `path`, to suggest one for a misspelling."""
    for step in path:
        cls = next((each.type for each in fields(cls) if each.name == step), cls)
    return [each.name for each in fields(cls)] if is_dataclass(cls) else []
