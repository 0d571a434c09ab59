"""Stage `choose`: find out by experiment which layers are worth training, and how fast.

The classic advice for transfer learning goes by the size of the data and by their similarity to what the backbone
learnt from. Both are measured with linear heads, and name the settings that are tried: none for few and alike, where
the head has all there is to learn. Successive halving (Jamieson and Talwalkar 2016) compares them on val: after some
epochs the worse half is given up, and the others go on where they are. The cost is counted in forward passes of the
whole backbone per training image, so that the same choice comes out on any machine. Where no setting beats the head of
`transfer`, nothing more is trained.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import params, read_params, read_sections
from tasks.tuning import FinetuneParams, Setting, Tuner

RUNGS = (3, 6)              # epochs after which the worse half is given up
RATES = (3e-4, 1e-3)        # learning rates that are tried above the top cut, and above one that is set in params.yaml
STEP_PASSES = 3             # a training step costs as much as three forward passes
LOWER_SHARE = 0.6           # of the arithmetic, above the lower of two cuts


@params
class ChooseParams:
    """How much may be spent on trying settings."""

    budget: float = Field(ge=0)


@dataclass(frozen=True)
class Trial:
    """What came out for a setting, or for the head alone, after some epochs.

    Attributes:
        losses: float `(images,)`, of val; see `tasks.held_out.judge`.
        accuracy: of the same answers, 0 to 1.
        passes: what it has cost.
    """

    setting: Setting | None
    epochs: int
    losses: object
    accuracy: float
    passes: float

    @property
    def log_loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


class Experiment:
    """Trains settings further, within a budget.

    Args:
        tuner: see `tasks.tuning.Tuner`.
        shares: cut -> the share of the backbone's arithmetic above it.
        budget: forward passes of the whole backbone per training image.
    """

    def __init__(self, tuner: Tuner, shares: dict[str, float], budget: float):
        self.tuner, self.shares, self.left = tuner, shares, budget
        self.trials: dict[Setting, Trial] = {}

    def train(self, setting: Setting, epochs: int) -> bool:
        """Train a setting, and judge it as it was after so many epochs; False if the budget does not allow it."""
        from tasks import artifacts

        before, share = self.trials.get(setting), self.shares[setting.cut]
        is_new_cut = all(other.cut != setting.cut for other in self.trials)
        frozen = is_new_cut * (1 - share) * artifacts.read_examples("train")["views"].max()
        passes = frozen + (epochs - (before.epochs if before else 0)) * STEP_PASSES * share
        if passes > self.left:
            return False
        self.left -= passes
        *_, logits = self.tuner.fit(setting, epochs)
        self.trials[setting] = judged(setting, epochs, logits[epochs], passes + (before.passes if before else 0))
        return True

    def halve(self, settings: list[Setting]) -> None:
        """Successive halving, until one setting is left or the budget does not allow the next step."""
        for rung in RUNGS:
            epochs = min(rung, self.tuner.finetune.epochs)
            if not all(self.train(setting, epochs) for setting in settings):
                return
            settings = sorted(settings, key=lambda setting: self.trials[setting].log_loss)[: -(-len(settings) // 2)]


def judged(setting: Setting | None, epochs: int, logits, passes: float) -> Trial:
    """Judge the answers to val, float `(images, classes)`; see `tasks.held_out.judge`."""
    from tasks import artifacts, held_out

    losses = held_out.judge(logits)
    labels, _ = artifacts.read_labels(artifacts.read_examples("val"))
    return Trial(setting, epochs, losses, float((logits.argmax(axis=1) == labels).mean()), passes)


def measure(images: Path):
    """Measure size and similarity; see `pipeline.probing.quadrant`. `images` is the folder of the images."""
    from pipeline.probing.curve import learning_curve
    from pipeline.probing.quadrant import find_quadrant
    from tasks import artifacts
    from tasks.features import compared, read_features, to_features

    table, index, levels = read_features(images)
    features, chosen = to_features(table, levels), artifacts.read_json(artifacts.HEAD)["levels"]
    last, everything = (compared(features, index, names)[2] for names in (index.names[-1:], index.names))
    read = chosen or index.names[-1:]
    penalty, is_mirrored, _ = compared(features, index, read)
    full = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)[1] if chosen else None
    curve = learning_curve(features.units(index.columns(read)), penalty, is_mirrored, full)
    return features, find_quadrant(last, everything, curve)


def advised(quadrant, network, top: str) -> list[Setting]:
    """The settings that the quadrant advises, at most four. The more is trained, the lower the rate.

    Args:
        quadrant: see `measure`; not few and alike.
        network: the backbone.
        top: the cut that leaves the top blocks to train.
    """
    from pipeline.training import arithmetic, backbones, blocks

    lower = min(blocks.block_ends(network)[:-1],
                key=lambda end: abs(arithmetic.share_above(network, end) - LOWER_SHARE))
    cuts = [lower] if quadrant.is_alike else [lower, backbones.IMAGES]
    return [*(Setting(top, rate) for rate in RATES), *(Setting(cut, RATES[0]) for cut in cuts)]


def settings_to_try(finetune: FinetuneParams, quadrant, network, top: str) -> list[Setting]:
    """Those of `advised`, but for what is pinned in params.yaml."""
    cut, rate = pinned_cut(), finetune.learning_rate
    if cut:
        return [Setting(cut, each) for each in RATES]
    settings = advised(quadrant, network, top)
    return list(dict.fromkeys(each if rate == "auto" else Setting(each.cut, rate) for each in settings))


def try_settings(budget: float, finetune: FinetuneParams, quadrant, images: Path) -> Experiment:
    """Try some settings, see `settings_to_try`.

    Args:
        budget: see `Experiment`.
        finetune: the parameters of that stage.
        quadrant: see `measure`.
        images: the folder of the images.
    """
    from pipeline.training import arithmetic, backend
    from tasks import artifacts

    with backend.all_devices(finetune.batch_size):
        tuner = Tuner(finetune, images)
        dataset = tuner.dataset(top := artifacts.read_json(artifacts.BACKBONE)["cut"])
        network = dataset.part.network_to_read(dataset.weights)
        settings = settings_to_try(finetune, quadrant, network, top)
        shares = {each.cut: arithmetic.share_above(network, each.cut) for each in settings}
        experiment = Experiment(tuner, shares, budget)
        experiment.halve(settings)
    return experiment


def pinned_cut() -> str | None:
    """`extract.backbone.cut`, unless it is `auto`."""
    cut = read_sections()["extract"]["backbone"]["cut"]
    return None if cut == "auto" else cut


def find_choice(finetune: FinetuneParams, budget: float, quadrant, images: Path) -> tuple[dict, list[Trial]]:
    """Choose what `finetune` trains.

    Args:
        finetune, budget, quadrant, images: see `try_settings`.

    Returns:
        `cut` and `learning_rate`, both None for the head alone, and the `reason`; and what was tried.
    """
    from tasks import artifacts, held_out

    cut, rate = pinned_cut(), None if finetune.learning_rate == "auto" else finetune.learning_rate
    if finetune.epochs == 0:
        return {"cut": None, "learning_rate": None, "reason": "finetune.epochs is 0"}, []
    if cut and rate:
        return {"cut": cut, "learning_rate": rate, "reason": "both are set in params.yaml"}, []
    head = judged(None, 0, held_out.transfer_logits(), 0.0)
    if cut is None and quadrant.is_few_and_alike:
        return {"cut": None, "learning_rate": None, "reason": "few images, and like the backbone's own"}, [head]
    trials = [head, *try_settings(budget, finetune, quadrant, images).trials.values()]
    best = min(trials, key=lambda trial: trial.log_loss)
    if best.setting is None and cut is None:
        reason = "no setting beats the head alone on val" if trials[1:] else "choose.budget allows no trial"
        return {"cut": None, "learning_rate": None, "reason": reason}, trials
    tried = [trial for trial in trials if trial.setting]
    chosen = min(tried, key=lambda trial: trial.log_loss).setting if tried else Setting(
        cut or artifacts.read_json(artifacts.BACKBONE)["cut"], rate or RATES[0])
    reason = "the lowest log loss on val" if tried else "choose.budget allows no trial"
    return {"cut": chosen.cut, "learning_rate": chosen.learning_rate, "reason": reason}, trials


def trial_rows(trials: list[Trial]) -> list[dict]:
    """Rows of `tasks.artifacts.TRIAL_COLUMNS`, the best first; the interval of a mean is 1.96 standard errors wide."""
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.log_loss):
        half = 1.96 * float(trial.losses.std()) / len(trial.losses) ** 0.5
        rows.append({"cut": trial.setting.cut if trial.setting else "",
                     "learning_rate": trial.setting.learning_rate if trial.setting else None, "epochs": trial.epochs,
                     "log_loss": trial.log_loss, "log_loss_low": max(0.0, trial.log_loss - half),
                     "log_loss_high": trial.log_loss + half, "accuracy": trial.accuracy, "passes": trial.passes})
    return rows


def gains_of_more(features, quadrant) -> dict:
    """What twice the images would bring: the accuracy now and then, also of up to three classes that gain most."""
    from pipeline.probing.curve import forecast
    from tasks import artifacts

    right, (_, class_names) = quadrant.curve.right, artifacts.read_labels(artifacts.read_examples("train"))
    rows = [{"class": "", "accuracy": float(right[2].mean()), **vars(forecast(right))}]
    for number, name in enumerate(class_names):
        own = right[:, features.labels == number]
        rows.append({"class": name, "accuracy": float(own[2].mean()), **vars(forecast(own))})
    gaining = [row for row in rows[1:] if row["value"] > row["accuracy"]]
    most = sorted(gaining, key=lambda row: row["accuracy"] - row["value"])[:3]
    return {"all": rows[0], "classes": most}


def main() -> None:
    """Run the stage. A killed run goes on with the setting that it was training."""
    choose, finetune = read_params("choose", ChooseParams), read_params("finetune", FinetuneParams)
    images = read_params("data", DataParams).folder
    import pandas as pd

    from tasks import artifacts

    features, quadrant = measure(images)
    print(f"{quadrant.name}: earlier levels lower the log loss by {quadrant.gain:.4f} (p = {quadrant.chance:.4f}), the "
          f"second half of the images by {quadrant.halving:.0%}", flush=True)
    choice, trials = find_choice(finetune, choose.budget, quadrant, images)
    curve = quadrant.curve
    artifacts.write_table(artifacts.TRIALS, pd.DataFrame(trial_rows(trials), columns=list(artifacts.TRIAL_COLUMNS)),
                          artifacts.TRIAL_COLUMNS)
    artifacts.write_arrays(artifacts.TRIAL_LOSSES, [trial.losses for trial in trials if trial.setting])
    artifacts.write_json(artifacts.CHOICE, choice | {
        "quadrant": quadrant.name, "gain": quadrant.gain, "chance": quadrant.chance, "halving": quadrant.halving,
        "curve": {"images": curve.images.tolist(), "accuracy": curve.right.mean(axis=1).tolist(),
                  "log_loss": curve.losses.mean(axis=1).tolist()},
        "twice": gains_of_more(features, quadrant), "passes": sum(trial.passes for trial in trials),
    })
    print(f"chosen: {choice['cut'] or 'the head alone'}"
          + (f" at a learning rate of {choice['learning_rate']:g}" if choice["cut"] else "") + f": {choice['reason']}")


if __name__ == "__main__":
    with reported():
        main()
