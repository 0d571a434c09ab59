"""Does the mere form of the files (their size, dimensions, colour mode, format) give the label away?

Then a network learns the scanner, not the finding: a class photographed by another camera, saved by another program.
"""

import pandas as pd

FORMS = {
    "file size": ["size_bytes"],
    "dimensions": ["width_px", "height_px"],
    "colour mode": ["mode"],
    "file format": ["format"],
}
FOLDS = 5
LARGEST = 20_000    # images that are looked at: more change nothing but the time


def measure_leaks(images: pd.DataFrame) -> pd.DataFrame:
    """How well each form alone predicts the label.

    Returns:
        columns `form`, `skill`: 0 for as good as guessing, 1 for always right. It is the balanced accuracy of a small
        decision tree on images that it was not fitted to, copies of one picture never on both sides, rescaled so that
        chance is 0.
    """
    sampled = images.sample(LARGEST, random_state=0) if len(images) > LARGEST else images
    pictures = sampled.groupby("label")["duplicate_group"].nunique()
    pictures = pictures[pictures >= 2]          # of one picture nothing can be both learnt and tried
    known = sampled[sampled["label"].isin(pictures.index)]
    folds = min(FOLDS, pictures.min()) if len(pictures) > 1 else 0
    skills = [_skill(known, columns, folds) if folds else 0.0 for columns in FORMS.values()]
    return pd.DataFrame({"form": list(FORMS), "skill": skills})


def _skill(images: pd.DataFrame, columns: list[str], folds: int) -> float:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    features = pd.get_dummies(images[columns]).astype(float)
    if features.nunique().max() < 2:
        return 0.0
    leaves = max(32, 2 * images["label"].nunique())
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=3, class_weight="balanced", random_state=0)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    predicted = cross_val_predict(tree, features, images["label"], groups=images["duplicate_group"], cv=split)
    chance = 1 / images["label"].nunique()
    skill = (balanced_accuracy_score(images["label"], predicted) - chance) / (1 - chance)
    return round(max(0.0, float(skill)), 4)
