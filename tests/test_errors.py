import pytest

from graft.errors import GraftError, did_you_mean, reported


@pytest.mark.parametrize("raised, exit_code, said", [
    (GraftError("params.yaml: no such key"), 2, "error: params.yaml: no such key\n"),
    (KeyboardInterrupt(), 130, "interrupted\n"),
])
def test_what_a_person_did_is_told_in_a_line(capsys, raised, exit_code, said):
    with pytest.raises(SystemExit) as left_with, reported():
        raise raised
    assert left_with.value.code == exit_code
    assert capsys.readouterr().err == said


def test_what_is_wrong_in_the_code_keeps_its_traceback():
    with pytest.raises(AttributeError), reported():
        raise AttributeError


def test_the_nearest_word_is_offered():
    assert did_you_mean("epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert did_you_mean("xyz", ["epochs", "seed"]) == ""
