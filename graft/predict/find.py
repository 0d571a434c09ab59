"""From what a person calls a model to a bundle's folder on this machine."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from graft.errors import GraftError
from graft.model import bundle

IMAGENET = "imagenet:"      # then the name of a network of keras.applications
MAKER = "pipeline.training.imagenet"    # a command of the repository, where its environment is installed


def find_model(model: str, registry: str | None = None, offline: bool = False) -> tuple[str, Path]:
    """What the model is called, and its folder: a folder as it is, `imagenet:NETWORK`, or one pulled from a registry.

    Raises:
        GraftError: when there is no such model, or it cannot be had.
    """
    if Path(model, bundle.DESCRIPTION).is_file():
        return Path(model).resolve().name, Path(model)      # the registry's code is not even imported: to start fast
    if model.startswith(IMAGENET):
        return model, _imagenet(model.removeprefix(IMAGENET))
    from graft.registry import pull, resolve

    if Path(model).is_dir() and "@" not in model:
        return Path(model).resolve().name, resolve(model)
    pulled = pull(model, registry=registry, offline=offline)
    return f"{pulled.name}@{pulled.version}", pulled.folder


def _imagenet(network: str) -> Path:
    """The thousand ImageNet classes by a network of Keras, which makes the bundle once; then it needs no Keras."""
    from graft.registry.cache import home

    if not network.isidentifier():
        raise GraftError(f"{IMAGENET}{network}: expected the name of a network, as in {IMAGENET}MobileNetV2")
    folder = home() / "imagenet" / network
    if Path(folder, bundle.DESCRIPTION).is_file():
        return folder
    print(f"making {IMAGENET}{network} from Keras's weights, once", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{network}.", dir=folder.parent) as temporary:
        draft = Path(temporary, network)
        draft.mkdir()
        done = subprocess.run([sys.executable, "-P", "-m", MAKER, network, draft], capture_output=True, text=True)
        if "No module named" in done.stderr:
            raise GraftError(
                f"{IMAGENET}{network} has not been made on this machine yet. To make it once takes the pipeline's "
                "environment (a clone of the repository, and its command run there); after that it predicts without."
            )
        if done.returncode:
            raise GraftError(done.stderr.rpartition("error: ")[2].strip())
        if not folder.exists():             # another process may have been faster
            draft.rename(folder)
    return folder
