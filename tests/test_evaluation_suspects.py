import numpy as np
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


def test_right_labels_are_hardly_suspected():
    assert len(label_suspects(answers(*draw(np.random.default_rng(2), 600, 3, 3.0)))) <= 6


def test_classes_without_images_and_one_class_alone_are_no_error():
    probabilities, labels = draw(np.random.default_rng(3), 60, 4, 2.0)
    assert label_suspects(answers(probabilities, np.where(labels == 2, 3, labels))).dtype == int
    assert label_suspects(answers(probabilities, np.zeros(60, dtype=int))).tolist() == []
