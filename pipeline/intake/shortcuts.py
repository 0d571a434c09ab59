"""Find shortcuts: does the form of a file (its size, dimensions, colour mode, format) predict the label on its own?

A network would then learn the form instead of the content: one class was photographed with another camera, or saved by
another program.
"""

import pandas as pd

FORMS = {       # a form as reports call it -> the columns of images.csv
    "file size": ["size_bytes"],
    "dimensions": ["width_px", "height_px"],
    "colour mode": ["mode"],
    "file format": ["format"],
}
FOLDS = 5
MAX_IMAGES = 20_000     # sampled from a larger table: more images take longer and do not change the result


def measure_shortcuts(images: pd.DataFrame) -> pd.DataFrame:
    """Measure how well each form predicts the label on its own.

    Args:
        images: the table of images.csv.

    Returns:
        A row per form with the columns `form` and `skill`, from 0 (no better than guessing) to 1 (always right). The
        skill is the cross-validated balanced accuracy of a small decision tree, rescaled so that chance is 0. Of
        duplicates, one counts.
    """
    pictures = images.drop_duplicates("duplicate_group")
    sampled = pictures.sample(MAX_IMAGES, random_state=0) if len(pictures) > MAX_IMAGES else pictures
    counts = sampled["label"].value_counts()
    counts = counts[counts >= 2]                # a class of one picture cannot be both fitted and tested
    known = sampled[sampled["label"].isin(counts.index)]
    folds = min(FOLDS, counts.min()) if len(counts) > 1 else 0
    skills = [_skill(known, columns, folds) if folds else 0.0 for columns in FORMS.values()]
    return pd.DataFrame({"form": list(FORMS), "skill": skills})


def _skill(images: pd.DataFrame, columns: list[str], folds: int) -> float:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    features = pd.get_dummies(images[columns]).astype(float)
    if features.nunique().max() < 2:
        return 0.0
    leaves = max(32, 2 * images["label"].nunique())
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=3, class_weight="balanced", random_state=0)
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    predicted = cross_val_predict(tree, features, images["label"], cv=split)
    chance = 1 / images["label"].nunique()
    skill = (balanced_accuracy_score(images["label"], predicted) - chance) / (1 - chance)
    return round(max(0.0, float(skill)), 4)
