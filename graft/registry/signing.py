"""Sign and verify versions with sigstore's `model-signing` and a pair of elliptic-curve keys (the extra `sign`).

A signature covers the manifest, which contains the model's name, the version's number and the sha256 of every file. It
is stored beside the manifest and pulled with it; `model_signing verify key --ignore_unsigned_files` can verify it too.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.errors import GraftError
from graft.registry.manifest import MANIFEST, SIGNATURE, Manifest, signature_key
from graft.store import Damaged, Store


def sign_version(store: Store, version: Manifest, private_key: str | Path) -> None:
    """Sign a published version, unless it is signed already. Raises `GraftError` if the key cannot be used."""
    signature = sign(version, private_key)
    store.create(signature_key(version.name, version.number), signature)


def sign(version: Manifest, private_key: str | Path) -> bytes:
    """The signature of a version's manifest: a sigstore bundle.

    Args:
        private_key: a PEM file with an elliptic-curve key and no password.

    Raises:
        GraftError: if the key cannot be used, or the extra `sign` is not installed.
    """
    signing = _library("signing")
    with _folder(version) as folder:
        signature = folder.parent / SIGNATURE
        with _key_errors(private_key):
            signing.Config().use_elliptic_key_signer(private_key=private_key).sign(folder, signature)
        return signature.read_bytes()


def check(version: Manifest, signature: bytes | None, public_key: str | Path) -> None:
    """Check that a signature is of this manifest and by the owner of this key.

    Args:
        signature: what `sign` returned; None if the version is not signed.
        public_key: a PEM file with an elliptic-curve key.

    Raises:
        Damaged: if it is not.
        GraftError: if the key cannot be used, or the extra `sign` is not installed.
    """
    verifying = _library("verifying")
    what = f"{version.name}@{version.number}"
    if signature is None:
        raise Damaged(f"{what} is not signed, but a signature is required. Sign it: `graft publish … --sign KEY.pem`.")
    with _key_errors(public_key):
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    with _folder(version) as folder:
        (folder.parent / SIGNATURE).write_bytes(signature)
        try:
            verifier.verify(folder, folder.parent / SIGNATURE)
        except Exception as error:      # a forged signature can cause any error in the library
            raise Damaged(f"{what} was not signed with the key of {public_key}, or was changed afterwards.") from error


@contextlib.contextmanager
def _folder(version: Manifest) -> Iterator[Path]:
    """A temporary folder that contains only the manifest, as it is stored."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, f"{version.name}@{version.number}")
        folder.mkdir()
        (folder / MANIFEST).write_bytes(version.data)
        yield folder


def _library(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise GraftError(f"signatures need the extra `sign`: pip install 'graft[sign]' ({error}).") from None


@contextlib.contextmanager
def _key_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "expected a PEM file with an elliptic-curve key and no password"
        raise GraftError(f"{path} cannot be used as a key: {reason}.") from error
