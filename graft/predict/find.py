"""From a model's name to its bundle's folder on this machine."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from graft.errors import GraftError
from graft.model import bundle
from graft.model.classifier import Classifier
from graft.predict.sources import is_folder

IMAGENET = "imagenet:"      # followed by the name of a network of keras.applications
MAKER = "pipeline.training.imagenet"    # a command of the repository; it needs the pipeline's environment


def load(
    model: str | Path, format: str = "onnx", *, registry: str | None = None, offline: bool = False,
    threads: int | None = None,
) -> Classifier:
    """Load a published model, fetching it first if necessary.

        model = graft.load("pets@champion", registry="s3://bucket/models")
        prediction = model.predict("photo.jpg")

    Args:
        model: a folder, or the address of a published model; see `graft.predict.find.find_model`.
        format: the export format to run: onnx, onnx_int8, litert, litert_int8 or openvino, if the model was published
            in it. The last three need an extra of this package.
        registry: `s3://bucket/prefix` or a folder. By default the environment variable GRAFT_REGISTRY, otherwise the
            folder `registry`.
        offline: use the version that an earlier pull fetched, without asking the registry.
        threads: the number of threads that the runtime may use; by default the runtime decides.

    Raises:
        GraftError: if there is no such model, it cannot be fetched or opened, or the format is not available.
    """
    return Classifier(find_model(model, registry, offline)[1], format, threads=threads)


def find_model(model: str | Path, registry: str | None = None, offline: bool = False) -> tuple[str, Path]:
    """Find a model and return its name and its bundle's folder.

    Args:
        model: one of

            - a folder: a `Path`, or text that contains a slash. A plain name is a folder only if that folder in the
              current directory contains a model and neither `registry` nor `offline` is given.
            - `imagenet:NETWORK`, such as `imagenet:MobileNetV2`: a network of Keras with its 1,000 ImageNet classes.
            - an address that `graft.registry.pull` fetches, such as `pets@champion` or `s3://bucket/models/pets@3`.
        registry: the registry of an address that does not include one.
        offline: use the version that an earlier pull fetched, without asking the registry.

    Returns:
        The folder's name, `imagenet:NETWORK` or `NAME@NUMBER`; and the folder.

    Raises:
        GraftError: if there is no such model or it cannot be fetched.
    """
    if _is_folder(model, registry is not None or offline):      # without importing the registry: `predict` starts fast
        return Path(model).resolve().name, Path(model)
    if str(model).startswith(IMAGENET):
        return str(model), _imagenet(str(model).removeprefix(IMAGENET))
    from graft.registry import pull

    try:
        pulled = pull(str(model), registry=registry, offline=offline)
    except GraftError as error:
        if not _has_model(Path(model)):
            raise
        raise GraftError(f"{error} Or, for the folder in this directory, write ./{model}.") from error
    return f"{pulled.name}@{pulled.version}", pulled.folder


def _is_folder(model: str | Path, is_registry_chosen: bool) -> bool:
    """Whether `model` means a folder and not a registry address; see `find_model`."""
    folder = Path(model)
    if isinstance(model, str) and folder.name == model:
        return _has_model(folder) and not is_registry_chosen
    return isinstance(model, Path) or _has_model(folder) or (is_folder(str(model)) and "@" not in model)


def _has_model(folder: Path) -> bool:
    try:
        return (folder / bundle.DESCRIPTION).is_file()
    except OSError:             # its name is too long, or a folder above it is closed
        return False


def _imagenet(network: str) -> Path:
    """The bundle of a Keras network with its 1,000 ImageNet classes; Keras makes it once and is not needed again."""
    from graft.registry.cache import home

    if not network.isidentifier():
        raise GraftError(f"{IMAGENET}{network}: expected the name of a network, as in {IMAGENET}MobileNetV2.")
    folder = home() / "imagenet" / network
    if _has_model(folder):
        return folder
    print(f"converting {IMAGENET}{network} from Keras's weights; this happens only once", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{network}.", dir=folder.parent) as temporary:
        draft = Path(temporary, network)
        draft.mkdir()
        done = subprocess.run([sys.executable, "-P", "-m", MAKER, network, draft], capture_output=True, text=True)
        if "No module named" in done.stderr:
            raise GraftError(
                f"{IMAGENET}{network} is not on this machine yet. Creating it takes the pipeline's environment: clone "
                "the repository, set it up, and run this command there once. After that, this package is enough."
            )
        if done.returncode:
            raise GraftError(done.stderr.rpartition("error: ")[2].strip())
        if not folder.exists():             # another process may have been faster
            draft.rename(folder)
    return folder
