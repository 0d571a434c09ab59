"""How a published model is named: `NAME`, `NAME@ALIAS`, `NAME@NUMBER`, with the registry in front or left out."""

import os
import re
from dataclasses import dataclass

from graft.errors import GraftError

REGISTRY_VARIABLE, LOCAL_REGISTRY = "GRAFT_REGISTRY", "registry"
CHAMPION, LATEST = "champion", "latest"
NAME_PATTERN = "[a-z0-9][a-z0-9._-]{0,63}"          # of a model, and of an alias
_NAME_RULE = "1 to 64 characters from a-z, 0-9, '.', '_' and '-', starting with a letter or digit"


@dataclass(frozen=True)
class Address:
    """One model in one registry; `number` or `alias` says which version, neither says the champion."""

    registry: str                   # s3://bucket/prefix or a folder
    name: str
    alias: str | None = None
    number: int | None = None

    def __str__(self) -> str:
        reference = self.number if self.number is not None else self.alias
        return f"{self.registry}/{self.name}" + ("" if reference is None else f"@{reference}")


def parse(model: str, registry: str | None = None) -> Address:
    """Read an address. `registry` counts when none stands in the address: its default is `default_registry()`.

    Raises:
        GraftError: naming the part that is wrong.
    """
    front, _, last = str(model).rpartition("/")
    name, at, reference = last.partition("@")
    where = front or ("/" if str(model).startswith("/") else registry or default_registry())
    check_name(name, model)
    if at and not reference:
        raise GraftError(f"{model}: nothing follows the @. Expected NAME@ALIAS or NAME@NUMBER.")
    if re.fullmatch(r"[0-9]{1,9}", reference):
        if int(reference) == 0:
            raise GraftError(f"{model}: there is no version 0. Version numbers begin at 1.")
        return Address(check_registry(where), name, number=int(reference))
    if reference:
        check_word(reference, "alias")
    return Address(check_registry(where), name, alias=reference or None)


def default_registry() -> str:
    """The registry that the environment names, or the local folder `registry`."""
    return os.environ.get(REGISTRY_VARIABLE) or LOCAL_REGISTRY


def check_registry(registry: str) -> str:
    """The registry without a trailing slash. Raises `GraftError` unless it is `s3://bucket[/prefix]` or a folder."""
    scheme, separator, rest = str(registry).partition("://")
    expected = "Expected s3://bucket/prefix or a local folder"
    if not separator and re.match(r"[A-Za-z0-9]{2,}:", str(registry)):
        raise GraftError(f"registry address {registry}: no bucket and model can be read from it. {expected}.")
    if not separator:
        return str(registry).rstrip("/") or "/"
    if scheme != "s3":
        raise GraftError(f"registry address {scheme}://…: '{scheme}' is not supported. {expected}.")
    bucket, _, prefix = rest.strip("/").partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        shown = "its bucket" if "@" in bucket or ":" in bucket else f"bucket '{bucket}'"    # it may hold a password
        raise GraftError(f"registry address s3://…: {shown} is not a bucket's name. {expected}.")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise GraftError(f"registry address {registry}: the prefix '{prefix}' has an empty part or dots. {expected}.")
    return f"s3://{bucket}" + (f"/{prefix}" if prefix else "")


def check_name(name: str, address: str | None = None) -> str:
    """Raises `GraftError` unless `name` can be a model's name."""
    return check_word(name, "model name", address)


def check_alias(alias: str) -> str:
    """Raises `GraftError` unless a promotion may set this alias: a number is a version, `latest` always the newest."""
    if alias == LATEST or alias.isdigit():
        raise GraftError(f"alias '{alias}' cannot be set: a number names a version and '{LATEST}' the newest one.")
    return check_word(alias, "alias")


def check_word(word: str, kind: str, address: str | None = None) -> str:
    if not re.fullmatch(NAME_PATTERN, word):
        where = f"{address}: " if address else ""
        raise GraftError(f"{where}'{word}' cannot be the {kind}. Expected {_NAME_RULE}.")
    return word
