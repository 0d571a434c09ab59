"""What a JSON object from outside must hold: a rule for each key, and all that breaks one at once."""

from collections.abc import Callable
from typing import Any

Rule = tuple[str, Callable[[Any], bool]]        # what is expected, in words, and whether a value is that


def find_problems(content: object, rules: dict[str, Rule]) -> list[str]:
    """List every key that is unknown, missing or has a wrong value; empty if the object keeps the rules."""
    if not isinstance(content, dict):
        return [f"expected a JSON object, received {type(content).__name__}"]
    problems = [f"{key}: unknown" for key in sorted(content.keys() - rules.keys())]
    for key, (expected, is_right) in rules.items():
        if key not in content:
            problems.append(f"{key}: missing, expected {expected}")
        elif not is_right(content[key]):
            problems.append(f"{key}: expected {expected}, received {_shortened(content[key])}")
    return problems


def is_text(value: object) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def is_object(value: object) -> bool:
    """Whether a value is a JSON object."""
    return isinstance(value, dict)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return type(value) is int


def is_number(value: object) -> bool:
    """Whether a value is a finite or infinite number; true, false and NaN are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def or_null(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A rule's check that lets null pass too."""
    return lambda value: value is None or is_right(value)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
