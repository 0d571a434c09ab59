"""Find images whose label is probably wrong."""

import warnings

import numpy as np

from pipeline.evaluation.predictions import Answers


def label_suspects(answers: Answers) -> np.ndarray:
    """Find images that are probably mislabelled, with confident learning (Northcutt et al. 2021) by cleanlab.

    The model must be more confident of another class than it usually is of that class's own images. The method requires
    probabilities of images that the model was not trained on.

    Returns:
        Indices, int `(suspects,)`, the most probable mistake first.
    """
    from cleanlab.filter import find_label_issues

    present = np.unique(answers.labels)
    if len(present) < 2:
        return np.empty(0, dtype=int)
    # cleanlab requires every class to occur: a class without test images is left out
    labels = np.searchsorted(present, answers.labels)
    probabilities = answers.probabilities[:, present]
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities = np.where(total > 0, probabilities / np.maximum(total, 1e-300), 1 / len(present))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")      # one per class with few test images
        issues = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(issues, dtype=int)
