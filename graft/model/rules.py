"""Rules for JSON objects that come from outside: whatever is missing, unknown or wrong is found at once."""

import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What a value has to be: in words, for messages, and as a function of any JSON value."""

    expected: str
    holds: Callable[[Any], bool]


STRING = Rule("a string", lambda value: isinstance(value, str))
INTEGER = Rule("a whole number", lambda value: type(value) is int)      # `True` is an `int`, too
NUMBER = Rule("a number", lambda value: type(value) in (int, float) and value == value)      # not NaN
OBJECT = Rule("an object", lambda value: isinstance(value, dict))
LIST = Rule("a list", lambda value: isinstance(value, list))


def exactly(expected: object) -> Rule:
    """The rule for one value and no other, of the same type."""
    return Rule(repr(expected), lambda value: type(value) is type(expected) and value == expected)


def or_null(rule: Rule) -> Rule:
    """The rule for a value that may be null instead."""
    return Rule(f"{rule.expected} or null", lambda value: value is None or rule.holds(value))


def broken(content: object, rules: Mapping[str, Rule], optional: Collection[str] = ()) -> list[str]:
    """What is wrong with a parsed JSON object: a line for each key that is unknown, missing or breaks its rule.

    Args:
        content: any JSON value, however hostile: messages show only the beginning of what they received.
        rules: of all its keys.
        optional: those keys that may be missing.
    """
    if not isinstance(content, dict):
        return [f"expected a JSON object, received {type(content).__name__}"]
    problems = [f"{_shown(key)}: unknown" for key in sorted(content.keys() - rules.keys())]
    for key, rule in rules.items():
        if key not in content and key not in optional:
            problems.append(f"{key}: expected {rule.expected}, it is missing")
        elif key in content and not rule.holds(content[key]):
            problems.append(f"{key}: expected {rule.expected}, received {reprlib.repr(content[key])}")
    return problems


def _shown(key: str) -> str:
    return key if key.isidentifier() and len(key) <= 40 else reprlib.repr(key)
