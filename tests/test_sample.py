"""The demo's images against scikit-learn's own arrays."""

import hashlib

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tasks.sample import write_digits


def _digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(
        b"".join(path.as_posix().removeprefix(folder.as_posix()).encode() + path.read_bytes() for path in files)
    ).hexdigest()


def test_every_digit_stands_under_its_label(tmp_path):
    folder = tmp_path / "sample"
    assert write_digits(folder, 8) == 1797
    digits = load_digits()
    for number in (0, 7, 1796):
        pixels = np.asarray(Image.open(folder / str(digits.target[number]) / f"{number:04}.png"))
        # at 8 px nothing is resized: 16 of ink is black, none is white
        np.testing.assert_allclose(pixels, 255 - digits.images[number] * 255 / 16, atol=0.5)
    counts = {path.name: len(list(path.iterdir())) for path in folder.iterdir()}
    assert counts == {str(digit): int((digits.target == digit).sum()) for digit in range(10)}


def test_written_twice_the_bytes_are_the_same_and_nothing_else_is_left(tmp_path):
    write_digits(tmp_path / "sample", 16)
    first = _digest(tmp_path / "sample")
    (tmp_path / "sample" / "stray.txt").write_text("of an earlier run")
    write_digits(tmp_path / "sample", 16)
    assert _digest(tmp_path / "sample") == first
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_when_the_disk_fails_the_old_folder_stays(tmp_path, monkeypatch):
    write_digits(tmp_path / "sample", 8)
    before = _digest(tmp_path / "sample")
    saved = []

    def save_some(image, path):
        if len(saved) == 100:
            raise OSError(28, "No space left on device")
        saved.append(path)
        path.write_bytes(b"")

    monkeypatch.setattr(Image.Image, "save", save_some)
    try:
        write_digits(tmp_path / "sample", 16)
    except OSError as error:
        assert error.errno == 28
    else:
        raise AssertionError("the error was swallowed")
    assert _digest(tmp_path / "sample") == before
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
