"""Addresses of published models: `NAME`, `NAME@ALIAS` or `NAME@NUMBER`, optionally as `REGISTRY/NAME…`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from graft.errors import GraftError

REGISTRY_VARIABLE, LOCAL_REGISTRY = "GRAFT_REGISTRY", "registry"
CHAMPION, LATEST = "champion", "latest"
NAME_PATTERN = "[a-z0-9][a-z0-9._-]{0,63}"          # of a model, and of an alias
LARGEST_NUMBER = 999_999            # of a version
_NAME_RULE = "1 to 64 characters from a-z, 0-9, '.', '_' and '-', starting with a letter or digit"


@dataclass(frozen=True)
class Address:
    """A version of a model: `number` or `alias` selects it; with neither it is the champion.

    As text it is `REGISTRY/NAME`, `REGISTRY/NAME@ALIAS` or `REGISTRY/NAME@NUMBER`.
    """

    registry: str                   # s3://bucket/prefix or a folder
    name: str
    alias: str | None = None
    number: int | None = None       # from 1

    def __str__(self) -> str:
        reference = self.number if self.number is not None else self.alias
        return f"{self.registry}/{self.name}" + ("" if reference is None else f"@{reference}")


def parse(model: str, registry: str | None = None) -> Address:
    """Parse an address.

    Args:
        registry: the registry of an address that does not include one; by default `default_registry()`.

    Raises:
        GraftError: names the part that is wrong.
    """
    front, _, last = str(model).rpartition("/")
    name, at, reference = last.partition("@")
    where = front or ("/" if str(model).startswith("/") else registry or default_registry())
    check_name(name, model)
    if at and not reference:
        raise GraftError(f"{model}: the @ is followed by nothing. Expected NAME@ALIAS or NAME@NUMBER.")
    if re.fullmatch(r"[0-9]{1,64}", reference):
        if int(reference) == 0:
            raise GraftError(f"{model}: there is no version 0. Version numbers begin at 1.")
        if int(reference) > LARGEST_NUMBER:
            raise GraftError(f"{model}: version numbers end at {LARGEST_NUMBER:,}.")
        return Address(check_registry(where), name, number=int(reference))
    if reference:
        check_word(reference, "alias")
    return Address(check_registry(where), name, alias=reference or None)


def parse_name(model: str, registry: str | None = None) -> Address:
    """Parse the address of a model as a whole. Raises `GraftError` if it is one of a version; see `parse`."""
    address = parse(model, registry)
    reference = str(model).rpartition("/")[2].partition("@")[2]
    if reference:
        raise GraftError(f"{model}: expected a model's name without @{reference}.")
    return address


def parse_version(model: str, registry: str | None = None) -> Address:
    """Parse the address of a version. Raises `GraftError` if it names none, not even by an alias; see `parse`."""
    address = parse(model, registry)
    if address.number is None and address.alias is None:
        raise GraftError(f"{model}: which version? Expected {address.name}@NUMBER, or @{LATEST} for the newest one.")
    return address


def default_registry() -> str:
    """The registry in the environment variable GRAFT_REGISTRY, otherwise the local folder `registry`.

    In a folder models/NAME, which has none, it is the one beside `models`.
    """
    if named := os.environ.get(REGISTRY_VARIABLE):
        return named
    shared, in_models = Path("..", "..", LOCAL_REGISTRY), Path.cwd().parent.name == "models"
    return str(shared) if in_models and shared.is_dir() and not Path(LOCAL_REGISTRY).exists() else LOCAL_REGISTRY


def check_registry(registry: str) -> str:
    """Return the registry's address without a trailing slash.

    Raises:
        GraftError: if it is neither `s3://bucket[/prefix]` nor a local folder.
    """
    scheme, separator, rest = str(registry).partition("://")
    expected = "Expected s3://bucket/prefix or a local folder"
    if not registry:        # such as a variable that is not set: otherwise a folder `None`, or the root of the disk
        raise GraftError(f"no registry is named. {expected}.")
    if not separator and re.match(r"[A-Za-z0-9]{2,}:", str(registry)):
        raise GraftError(f"registry address {registry}: the bucket or the model's name is missing. {expected}.")
    if not separator:
        return str(registry).rstrip("/") or "/"
    if scheme != "s3":
        raise GraftError(f"registry address {scheme}://…: '{scheme}' is not supported. {expected}.")
    bucket, _, prefix = rest.strip("/").partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        shown = "the bucket" if "@" in bucket or ":" in bucket else f"'{bucket}'"         # it may contain a password
        raise GraftError(f"registry address s3://…: {shown} is not a valid bucket name. {expected}.")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise GraftError(f"registry address {registry}: the prefix contains an empty part, '.' or '..'. {expected}.")
    return f"s3://{bucket}" + (f"/{prefix}" if prefix else "")


def check_name(name: str, address: str | None = None) -> str:
    """Return `name`. Raises `GraftError` if it is not a valid model name."""
    return check_word(name, "model name", address)


def check_alias(alias: str) -> str:
    """Return `alias`. Raises `GraftError` if it cannot be set: a number means a version, `latest` the newest one."""
    if alias == LATEST or alias.isdigit():
        raise GraftError(f"alias '{alias}' cannot be set: a number means a version, and '{LATEST}' the newest one.")
    return check_word(alias, "alias")


def check_word(word: str, kind: str, address: str | None = None) -> str:
    """Return `word`. Raises `GraftError` if it does not match `NAME_PATTERN`; names its kind and the whole address."""
    if not re.fullmatch(NAME_PATTERN, word):
        where = f"{address}: " if address else ""
        raise GraftError(f"{where}'{word}' is not a valid {kind}. Expected {_NAME_RULE}.")
    return word
