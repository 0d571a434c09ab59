import pytest

from graft.model.json_rules import find_problems, is_number, is_object, is_text, is_whole, or_null

RULES = {"name": ("a text", is_text), "count": ("a whole number", is_whole),
         "limit": ("a number or null", or_null(is_number))}


def test_an_object_that_keeps_the_rules_has_no_problems():
    assert find_problems({"name": "a", "count": 0, "limit": None}, RULES) == []


def test_everything_that_is_wrong_is_named_at_once():
    assert find_problems({"nam": "a", "count": True, "limit": "high"}, RULES) == [
        "nam: unknown", "name: missing, expected a text", "count: expected a whole number, received True",
        "limit: expected a number or null, received 'high'"]


def test_what_is_no_object_is_one_problem():
    assert find_problems([1], RULES) == ["expected a JSON object, received list"]


def test_a_long_value_is_cut():
    assert len(find_problems({"name": ["x" * 1000], "count": 1, "limit": 1}, RULES)[0]) < 120


@pytest.mark.parametrize("check, right, wrong", [
    (is_number, (0, -1.5, float("inf")), (True, float("nan"), "1", None)), (is_whole, (0, -1), (1.0, True, "1")),
    (is_object, ({},), ([], None)), (or_null(is_text), ("", None), (0,))])
def test_a_check_by_hand(check, right, wrong):
    assert all(map(check, right)) and not any(map(check, wrong))
