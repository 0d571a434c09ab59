import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from populations import answers, draw

from pipeline.evaluation.suspects import label_suspects


def test_planted_label_errors_are_found_first():
    probabilities, labels = draw(np.random.default_rng(1), 600, 3, 3.0)
    planted = np.arange(0, 600, 40)
    labels = labels.copy()
    labels[planted] = (labels[planted] + 1) % 3
    found = label_suspects(answers(probabilities, labels))
    assert len(set(found) & set(planted)) >= 0.9 * len(planted)
    assert set(found[:8]) <= set(planted)


@pytest.mark.parametrize(("classes", "skill"), [(2, 1.0), (3, 2.0), (12, 3.0)])
def test_they_are_those_of_cleanlab(classes, skill):
    probabilities, labels = draw(np.random.default_rng(4), 500, classes, skill)
    labels = np.where(np.arange(500) % 9 == 0, (labels + 1) % classes, labels)
    expected = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1,
                                 return_indices_ranked_by="self_confidence")
    found = label_suspects(answers(probabilities, labels))
    assert found.tolist() == expected.tolist() and len(found) > 10


def test_right_labels_are_hardly_suspected():
    assert len(label_suspects(answers(*draw(np.random.default_rng(2), 600, 3, 3.0)))) <= 6


def test_classes_without_images_and_one_class_alone_are_no_error():
    probabilities, labels = draw(np.random.default_rng(3), 60, 4, 2.0)
    assert label_suspects(answers(probabilities, np.where(labels == 2, 3, labels))).dtype == int
    assert label_suspects(answers(probabilities, np.zeros(60, dtype=int))).tolist() == []
