"""What a worker of a Ray cluster does for batch prediction."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from graft.images import UnreadableImage, read_bytes
from graft.model.classifier import Classifier
from graft.predict.rows import rows
from pipeline.cluster.links import Link
from pipeline.image_folder import S3_READERS


def open_worker(model: dict[str, bytes]) -> Callable:
    """Load the model once, in a worker, which has no files of the machine that sends the work.

    Args:
        model: name -> content of the files of a bundle.

    Returns:
        A function from name -> image to the images' rows, see `graft.predict.rows`. An image is its bytes, the reason
        why it cannot be read, or a link to an object; all images of a call are alike.
    """
    with TemporaryDirectory() as folder:
        for name, data in model.items():
            Path(folder, name).write_bytes(data)
        classifier = Classifier(folder)

    def predict(images: dict[str, bytes | UnreadableImage | Link]) -> list[dict]:
        are_links = isinstance(next(iter(images.values())), Link)
        with rows(classifier, list(images), read=lambda name: read_bytes(images[name]),
                  readers=S3_READERS if are_links else None) as answers:
            return list(answers)

    return predict
