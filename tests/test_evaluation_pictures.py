import numpy as np
import pytest
from PIL import Image
from populations import answers, draw

from pipeline.evaluation import pictures


@pytest.fixture
def given():
    return answers(*draw(np.random.default_rng(1), 400, 3, 1.2))


def test_every_image_stands_in_its_cell_and_the_telling_ones_come_first(given):
    cells = pictures.cells(given)
    assert sorted(np.concatenate(list(cells.values()))) == list(range(400))
    for (label, predicted), indices in cells.items():
        assert (given.labels[indices] == label).all() and (given.predicted[indices] == predicted).all()
        steps = np.diff(given.confidences[indices])
        assert (steps >= 0).all() if label == predicted else (steps <= 0).all()


def test_too_many_images_cut_the_largest_cells_alone(given):
    whole = pictures.cells(given)
    cut = pictures.limit_cells(whole, 150)
    assert 100 < sum(map(len, cut.values())) <= 150
    limit = max(map(len, cut.values()))
    assert all(len(cut[cell]) == min(len(indices), limit) for cell, indices in whole.items())


def test_more_cells_than_pictures_leave_the_smallest_out(given):
    whole = pictures.cells(given)
    cut = pictures.limit_cells(whole, 4)
    assert [len(indices) for indices in cut.values()] == [1] * 4
    kept = min(len(whole[cell]) for cell in cut)
    assert all(len(indices) <= kept for cell, indices in whole.items() if cell not in cut)


def test_surest_mistakes_are_the_wrong_answers_with_the_highest_probability(given):
    found = pictures.surest_mistakes(given, 10)
    wrong = sorted(given.confidences[~given.is_right], reverse=True)
    assert given.confidences[found].tolist() == wrong[:10]


def test_least_sure_have_the_smallest_lead(given):
    found = pictures.least_sure(given, 5)
    leads = np.array([np.diff(np.sort(row)[-2:])[0] for row in given.probabilities])
    assert sorted(leads[found]) == sorted(leads)[:5]


@pytest.mark.parametrize(("wrong", "expected"), [(0, (0, 12)), (3, (3, 9)), (40, (6, 6))])
def test_examples_hold_wrong_and_right_answers(wrong, expected):
    labels = np.arange(50) % 2
    probabilities = np.where(np.eye(2)[labels] > 0, 0.8, 0.2)
    probabilities[:wrong] = probabilities[:wrong, ::-1]
    given = answers(probabilities, labels)
    found = pictures.examples(given, 12)
    assert len(set(found)) == 12
    assert ((~given.is_right[found]).sum(), given.is_right[found].sum()) == expected


def test_a_thumbnail_keeps_the_aspect_ratio(tmp_path):
    Image.new("RGB", (400, 100), "red").save(tmp_path / "wide.png")
    assert pictures.thumbnail(tmp_path / "wide.png").size == (pictures.SIDE_PX, pictures.SIDE_PX // 4)
