"""Fetch the pictures that were collected in use, and find out what a person should know of each: for `tasks.review`."""

from pathlib import Path

from ruamel.yaml import YAML

from graft.errors import LINES, GraftError, printable
from pipeline.image_folder import S3Path
from pipeline.intake.layout import shorten
from tasks.params import read_params
from tasks.validate import ValidateParams, list_images

NAMED = 10          # files that are left out, in a message


def open_inbox(place: str, images: Path) -> tuple:
    """Fetch what is not decided on and not in the data set yet, read it, and ask the trained model about it.

    Args:
        place: a folder, or `s3://bucket/prefix`.
        images: the data set's folder.

    Returns:
        A `pipeline.review.inbox.Inbox`, the `pipeline.review.queue.Finding`s, and the names of all classes.

    Raises:
        GraftError: if the place or the data set cannot be read, or no model is trained.
    """
    from graft.watch.collected import fetch
    from pipeline.intake.adding import Adding
    from pipeline.review.collected import of_collected
    from pipeline.review.inbox import Inbox
    from tasks import artifacts

    _refuse_import(images)
    listing, decisions = list_images(read_params("validate", ValidateParams), images)
    adding, folder, model = Adding(images, listing), artifacts.CACHE / "inbox", _model()
    data = {file.path: (file.label, each) for file, each in _scan(images, listing).fingerprints.items()}
    learnt = set(artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS)["sha256"])
    of_no_interest = {each.sha256 for path, (_, each) in data.items() if not _is_interrupted(path, each.sha256, learnt)}
    fetched = fetch(place, folder, decisions.keys() | of_no_interest)
    seen, unreadable = _look_at(fetched, folder, model)
    _say_left_out(place, fetched.others | unreadable)
    added = [images / path for path, (_, each) in data.items() if each.sha256 in decisions.keys() - learnt]
    found = of_collected(seen, data, _labelled(model, added), model.class_spread)
    return Inbox(place, folder, fetched.files, adding), found, listing.class_names


def _scan(folder: Path, listing):
    """What the files of a listing are, see `pipeline.intake.scan`, from the cache where they were read before."""
    from pipeline.intake.scan import scan
    from pipeline.intake.scan_cache import ScanCache
    from tasks import artifacts

    return scan(folder, listing, ScanCache(artifacts.CACHE / "intake", folder))


def _is_interrupted(path: str, sha256: str, learnt: set[str]) -> bool:
    """Whether an image was put into the data set by a review that was killed before it wrote the decision."""
    return Path(path).stem == sha256 and sha256 not in learnt


def _refuse_import(images: Path) -> None:
    """Refuse a data set in S3, to which nothing is written; and one that DVC has imported: the next update would
    remove what is added here.
    """
    if isinstance(images, S3Path):
        raise GraftError(f"the images are in '{images}', where Graft writes nothing, so no picture can be added. Put "
                         "the pictures there yourself, or copy all images into a folder of this project.")
    tracked = images.with_name(f"{images.name}.dvc")
    if tracked.exists() and "deps" in (YAML(typ="safe").load(tracked) or {}):
        raise GraftError(f"'{images}' is imported by DVC ({tracked}), so pictures that are added there would be lost "
                         "with the next `dvc update`. Add them where it is imported from, in a clone of that project.")


def _look_at(fetched, folder: Path, model) -> tuple[list, dict[str, str]]:
    """The pictures as the model sees them, see `pipeline.review.collected.Seen`; and why others cannot be read."""
    from graft.images import UnreadableImage
    from pipeline.review.collected import Seen

    whole, unreadable = _measured(folder, list(fetched.files.values()))
    answers, features = _described(model, [folder / name for name in whole])
    rows, seen = iter(features), []
    for name, answer in zip(whole, answers):
        if isinstance(answer, UnreadableImage):
            unreadable[name] = str(answer)
        else:
            seen.append(Seen(name, fetched.about[whole[name].sha256], whole[name], answer, next(rows)))
    return seen, unreadable


def _measured(folder: Path, names: list[str]) -> tuple[dict, dict[str, str]]:
    """The fingerprint of each picture in a folder; and why others have none."""
    from pipeline.intake.files import File
    from pipeline.intake.listing import Listing

    found = _scan(folder, Listing([File(name, "") for name in names]))
    read = {file.path: each for file, each in found.fingerprints.items()}
    unreadable = found.stray | {file.path: why for file, why in found.unreadable.items()}
    for name in [name for name, each in read.items() if not name.startswith(each.sha256)]:
        del read[name]
        (folder / name).unlink()        # to be fetched again
        unreadable[name] = "damaged on this machine: start the review again"
    return read, unreadable


def _described(model, paths: list[Path]) -> tuple:
    from graft.predict.decoders import Decoders
    from graft.predict.ranking import describe

    with Decoders() as decoders:
        return describe(model, list(map(str, paths)), decoders)


def _labelled(model, added: list[Path]):
    """The features of what is labelled: the means of the classes, and images that were added since the training."""
    import numpy as np

    rows = [model.class_means, *([_described(model, added)[1]] if added else [])]
    return np.concatenate([each for each in rows if len(each)] or rows[:1])


def _model():
    from graft.model.classifier import Classifier
    from tasks import artifacts

    if not (artifacts.BUNDLE / "model.json").exists():
        raise GraftError(f"{artifacts.BUNDLE} holds no model, whose answers put collected pictures in order. Run `dvc "
                         "repro export`, or fetch it with `dvc pull export`.")
    return Classifier(artifacts.BUNDLE)


def _say_left_out(place: str, others: dict[str, str]) -> None:
    if others:
        named = shorten([f"{key} ({reason})" for key, reason in sorted(others.items())], NAMED)
        print(printable(f"left out {len(others)} of the files in {place}: {named}", LINES), flush=True)
