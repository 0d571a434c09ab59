"""JSON from outside: how it is parsed, what an object must hold by a rule for each key, and all that breaks one."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

LIMIT_BYTES = 4_000_000         # of a JSON file that others wrote
MOST_LEVELS = 100               # of objects and lists within each other
Rule = tuple[str, Callable[[Any], bool]]        # what is expected, in words, and whether a value is that


def parse(data: bytes) -> Any:
    """Parse JSON that others wrote, so that whatever it holds can be compared, printed and stored again.

    Raises:
        ValueError: if it is not JSON, is nested in more than `MOST_LEVELS`, is larger than `LIMIT_BYTES`, or has a
            number that is infinite, not a number, or a whole one of more than 64 bits.
    """
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"it is larger than {LIMIT_BYTES:,} bytes")
    try:
        content = json.loads(data, parse_constant=_finite, parse_float=_finite, parse_int=_of_64_bits)
    except RecursionError:
        raise ValueError(f"it is nested in more than {MOST_LEVELS} levels") from None
    level = [content]
    for _ in range(MOST_LEVELS):
        level = [inner for each in level if isinstance(each, dict | list)
                 for inner in (each.values() if isinstance(each, dict) else each)]
    if level:
        raise ValueError(f"it is nested in more than {MOST_LEVELS} levels")
    return content


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number


def _of_64_bits(text: str) -> int:
    if len(text) > 20 or not -2**63 <= (number := int(text)) < 2**63:
        raise ValueError(f"{text[:40]} is not a whole number of 64 bits")
    return number


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


def is_time(value: object) -> bool:
    """Whether a value is a time with its zone, as ISO 8601, that exists in UTC, too."""
    try:
        moment = datetime.fromisoformat(str(value))
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return moment.tzinfo is not None


def are_texts(value: object) -> bool:
    """Whether a value is a list of strings."""
    return isinstance(value, list) and all(map(is_text, value))


def or_null(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A rule's check that lets null pass too."""
    return lambda value: value is None or is_right(value)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
