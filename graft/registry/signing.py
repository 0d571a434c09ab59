"""Signatures of versions, by sigstore's `model-signing` with a pair of elliptic-curve keys (the extra `sign`).

What is signed is the manifest, which holds the model's name, the version's number and the sha256 of every file. The
signature stands beside it and comes with a pull: `model_signing verify key --ignore_unsigned_files` reads it too.
"""

import contextlib
import tempfile
from pathlib import Path

from graft.errors import GraftError
from graft.registry.manifest import MANIFEST, SIGNATURE, Manifest, signature_key
from graft.store import Damaged, Store


def sign_version(store: Store, version: Manifest, private_key: str | Path) -> None:
    """Sign a published version, unless that was done before. Raises `GraftError` when the key cannot be used."""
    signature = sign(version, private_key)
    store.create(signature_key(version.name, version.number), signature)


def sign(version: Manifest, private_key: str | Path) -> bytes:
    """The signature of a version's manifest, a sigstore bundle."""
    signing = _library("signing")
    with _folder(version) as folder:
        signature = folder.parent / SIGNATURE
        with _key_errors(private_key):
            signing.Config().use_elliptic_key_signer(private_key=private_key).sign(folder, signature)
        return signature.read_bytes()


def check(version: Manifest, signature: bytes | None, public_key: str | Path) -> None:
    """Raises `Damaged` unless this is a signature of just this manifest by that key's owner."""
    verifying = _library("verifying")
    what = f"{version.name}@{version.number}"
    if signature is None:
        raise Damaged(f"{what} is not signed, and a signature is asked for. Sign it: `graft publish … --sign KEY.pem`.")
    with _key_errors(public_key):
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    with _folder(version) as folder:
        (folder.parent / SIGNATURE).write_bytes(signature)
        try:
            verifier.verify(folder, folder.parent / SIGNATURE)
        except Exception as error:      # whatever a forged signature makes the library stumble over
            raise Damaged(f"{what} was not signed with the key of {public_key}, or was changed since.") from error


@contextlib.contextmanager
def _folder(version: Manifest):
    """A folder that holds the manifest as it is stored, and nothing else."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, f"{version.name}@{version.number}")
        folder.mkdir()
        (folder / MANIFEST).write_bytes(version.data)
        yield folder


def _library(module: str):
    import importlib

    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise GraftError(f"signatures need the extra `sign`: pip install 'graft[sign]' ({error}).") from None


@contextlib.contextmanager
def _key_errors(path: str | Path):
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "expected a PEM file with an elliptic-curve key and no password"
        raise GraftError(f"{path} is no key that can be used: {reason}.") from error
