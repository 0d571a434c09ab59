"""Rules for JSON from outside: each kind of value, everything wrong at once, and messages that no content can spoil."""

import json

import pytest

from graft.model.rules import INTEGER, LIST, NUMBER, OBJECT, STRING, Rule, broken, exactly, or_null

VALUES = {"string": "x", "whole": 3, "fraction": 0.5, "NaN": float("nan"), "true": True, "null": None, "list": [1],
          "object": {"a": 1}}


@pytest.mark.parametrize(("rule", "right"), [
    (STRING, {"string"}), (INTEGER, {"whole"}), (NUMBER, {"whole", "fraction"}), (OBJECT, {"object"}), (LIST, {"list"}),
    (or_null(INTEGER), {"whole", "null"}), (exactly(3), {"whole"}), (exactly("x"), {"string"}), (exactly(1), set())])
def test_which_values_a_rule_holds_for(rule, right):
    assert {name for name, value in VALUES.items() if rule.holds(value)} == right


def test_everything_that_is_wrong_is_found_at_once():
    rules = {"name": STRING, "size": Rule("a number above 0", lambda value: value > 0), "parent": or_null(INTEGER),
             "note": STRING}
    assert broken({"name": "a", "size": 1}, rules, optional=["parent", "note"]) == []
    assert broken({"size": 0, "parent": "b", "more": 1, "also": 2}, rules, optional=["parent", "note"]) == [
        "also: unknown", "more: unknown", "name: expected a string, it is missing",
        "size: expected a number above 0, received 0", "parent: expected a whole number or null, received 'b'"]


@pytest.mark.parametrize("content", [[], None, "text", 3, True])
def test_another_kind_of_json_is_named(content):
    [problem] = broken(content, {"name": STRING})
    assert problem == f"expected a JSON object, received {type(content).__name__}"


def test_no_content_can_spoil_the_message():
    hostile = json.loads(json.dumps({"\x1b[2J" * 1000: 1, "name": ["x" * 10**6] * 1000, "a" * 10**6: 2}))
    problems = broken(hostile, {"name": STRING})
    assert len(problems) == 3
    assert all(problem.isprintable() and len(problem) < 300 for problem in problems)
