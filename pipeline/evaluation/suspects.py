"""Find images whose label is probably wrong."""

import numpy as np

from pipeline.evaluation.predictions import Answers


def label_suspects(answers: Answers) -> np.ndarray:
    """Find images that are probably mislabelled, by confident learning (Northcutt, Jiang and Chuang 2021, section 3.1).

    The model must be more confident of another class than it is on average of that class's own images, and prefer that
    class to the label. The method requires probabilities of images that the model was not trained on.

    Returns:
        Indices, int `(suspects,)`, the least probable label first.
    """
    present, labels = np.unique(answers.labels, return_inverse=True)     # a class without images has no average
    probabilities = answers.probabilities[:, present]
    of_label = probabilities[np.arange(len(labels)), labels]
    usual = np.bincount(labels, of_label) / np.bincount(labels)
    is_confident = probabilities >= usual
    likely = np.where(is_confident, probabilities, -1).argmax(axis=1)
    is_suspect = is_confident.any(axis=1) & (likely != labels) & (of_label < probabilities.max(axis=1))
    suspects = np.flatnonzero(is_suspect)
    return suspects[np.argsort(of_label[suspects], kind="stable")]
