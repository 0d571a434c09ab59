import keras
import numpy as np
import pytest
from full_disk import full_disk

from pipeline.training.heads import build_head
from pipeline.training.saving import save_weights


@pytest.fixture
def head() -> keras.Model:
    """With a trained optimizer, whose state is as large as the weights."""
    head = build_head(256, 4, hidden_units=1024, dropout=0)
    head.compile("rmsprop", "mse")
    head.train_on_batch(np.zeros((2, 256)), np.zeros((2, 4)))
    return head


def test_what_is_saved_can_be_loaded(head, tmp_path):
    save_weights(head, tmp_path / "new" / "head.weights.h5")
    other = build_head(256, 4, hidden_units=1024, dropout=0)
    other.load_weights(tmp_path / "new" / "head.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(head.get_weights(), other.get_weights()))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["head.weights.h5"]


def test_a_model_that_was_never_compiled_is_saved(tmp_path):
    save_weights(build_head(8, 2, hidden_units=0, dropout=0), tmp_path / "head.weights.h5")
    assert (tmp_path / "head.weights.h5").stat().st_size > 0


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_disk_that_takes_no_more_is_named_and_ends_no_process(head, tmp_path, share):
    save_weights(head, tmp_path / "first.weights.h5")
    limit_bytes = int(share * (tmp_path / "first.weights.h5").stat().st_size)
    with full_disk(limit_bytes), pytest.raises(OSError, match="File too large: .*head.weights.h5"):
        save_weights(head, tmp_path / "head.weights.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["first.weights.h5"]
