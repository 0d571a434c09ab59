"""Sign and verify versions with sigstore's `model-signing` and a pair of elliptic-curve keys (the extra `sign`).

A signature covers the manifest, which contains the model's name, the version's number and the sha256 of every file. It
is stored beside the manifest and pulled with it; `model_signing verify key --ignore_unsigned_files` can verify it too.

If the environment variable GRAFT_PUBLIC_KEY names a public key, no version that lacks a signature of its owner is
pulled, predicted with, served, compared by the gate or promoted. GRAFT_SIGNING_KEY names the private key with which
versions are signed as they are published.
"""

import base64
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.errors import GraftError
from graft.model.json_rules import LIMIT_BYTES, parse
from graft.registry.manifest import MANIFEST, SIGNATURE, Manifest, signature_key
from graft.store import Damaged, Missing, Store

Key = str | Path                    # a PEM file
PUBLIC_VARIABLE, PRIVATE_VARIABLE = "GRAFT_PUBLIC_KEY", "GRAFT_SIGNING_KEY"


def sign_version(store: Store, version: Manifest, private_key: Key) -> None:
    """Sign a published version, unless it is signed with this key already.

    Raises:
        Damaged: if another signature stands in its place.
        GraftError: if the key cannot be used.
    """
    key = signature_key(version.name, version.number)
    if store.create(key, sign(version, private_key)):
        return
    with _public_key_of(private_key) as public_key:
        try:
            check(version, read_signature(store, version), public_key)
        except Damaged as error:
            raise Damaged(
                f"{version.name}@{version.number} is published, but not signed with {private_key}: "
                f"{store.address}/{key} holds another signature, which was left as it is. Ask who made it; to sign "
                "with this key, remove that object and publish again."
            ) from error


def read_signature(store: Store, version: Manifest) -> bytes | None:
    """The stored signature of a version; None if it has none. Raises `Damaged` if it is too large to be one."""
    try:
        return store.read_whole(signature_key(version.name, version.number), LIMIT_BYTES)
    except Missing:
        return None


def require_signature(version: Manifest, signature: bytes | None, public_key: Key | None = None) -> None:
    """Check a version's signature if this call or the environment demands one; see `check`.

    Args:
        public_key: by default the environment variable GRAFT_PUBLIC_KEY; without it, too, nothing is demanded.
    """
    if key := demanded_key(public_key):
        check(version, signature, key)


def demanded_key(public_key: Key | None = None) -> Key | None:
    """The key whose signature is demanded: the argument, else that of the environment; None if there is none."""
    return public_key or os.environ.get(PUBLIC_VARIABLE) or None


def sign(version: Manifest, private_key: Key) -> bytes:
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


def check(version: Manifest, signature: bytes | None, public_key: Key) -> None:
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
        raise Damaged(f"{what} is not signed, but a signature with the key of {public_key} is demanded. Sign it: "
                      "`graft publish … --sign KEY.pem`.")
    with _key_errors(public_key):
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    with _folder(version) as folder:
        (folder.parent / SIGNATURE).write_bytes(signature)
        try:
            verifier.verify(folder, folder.parent / SIGNATURE)
        except Exception as error:      # a forged signature can cause any error in the library
            raise Damaged(f"{what} was not signed with the key of {public_key}, or was changed afterwards.") from error


def is_of(signature: bytes, version: Manifest) -> bool:
    """Whether a signature says that it covers this version's manifest, whoever made it."""
    try:
        payload = parse(base64.b64decode(parse(signature)["dsseEnvelope"]["payload"]))
        [covered] = payload["predicate"]["resources"]
        return (covered["name"], covered["digest"]) == (MANIFEST, version.digest)
    except (ValueError, TypeError, KeyError):
        return False


@contextlib.contextmanager
def _public_key_of(private_key: Key) -> Iterator[Path]:
    """A temporary file with the public half of a key that `sign` could use."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(private_key).read_bytes(), None)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "public.pem")
        path.write_bytes(pem)
        yield path


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
def _key_errors(path: Key) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "expected a PEM file with an elliptic-curve key and no password"
        named_by = [name for name in (PUBLIC_VARIABLE, PRIVATE_VARIABLE) if os.environ.get(name) == str(path)]
        named = f"{named_by[0]}: {path}" if named_by else path
        raise GraftError(f"{named} cannot be used as a key: {reason}.") from error
