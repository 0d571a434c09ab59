"""Images whose label looks like a mistake of whoever gave it."""

import numpy as np

from pipeline.evaluation.predictions import Answers


def label_suspects(answers: Answers) -> np.ndarray:
    """Indices of images that are probably mislabelled, the most probable first; int `(suspects,)`.

    Confident learning (Northcutt et al. 2021) by cleanlab: the model must be surer of another class than it usually is
    of that class's own images. The probabilities are of images that no stage trained on, as the method asks.
    """
    from cleanlab.filter import find_label_issues

    present = np.unique(answers.labels)
    if len(present) < 2:
        return np.empty(0, dtype=int)
    # cleanlab wants every class to occur: a class without test images is left out
    labels = np.searchsorted(present, answers.labels)
    probabilities = answers.probabilities[:, present]
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities = np.where(total > 0, probabilities / np.maximum(total, 1e-300), 1 / len(present))
    return np.asarray(find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1,
    ), dtype=int)
