"""Promote and roll back: move an alias to another version, and record who did it and why."""

import getpass
import os
import platform
from datetime import datetime

from graft.errors import GraftError
from graft.registry import blobs, log, manifest
from graft.registry.address import CHAMPION, check_alias, parse_name, parse_version
from graft.registry.lookup import check_promises, find_number, list_aliases, no_such_model, read_version
from graft.registry.manifest import Manifest
from graft.registry.signing import demanded_key, read_signature, require_signature
from graft.store import Damaged, Store, open_store


class AliasMoved(GraftError):
    """The alias does not name the expected version: another promotion was faster, or `expect` was wrong."""


def promote(model: str, *, alias: str = CHAMPION, expect: int | None = None, reason: str = "", gate: dict | None = None,
            by: str | None = None, registry: str | None = None) -> log.Entry | None:
    """Let an alias name a version.

        graft.promote("pets@3", registry="s3://bucket/models", reason="higher accuracy")

    Args:
        model: the address of a version, such as `pets@3` or `pets@latest`.
        expect: the number of the version that the alias must name now, 0 for none; by default the one that it names
            when this function begins.
        reason: is kept in the history.
        gate: the gate's report that justifies the promotion; must be valid JSON.
        by: who promotes; by default `user@machine`.
        registry: the registry of an address that does not include one.

    Returns:
        The new entry of the log, or None if the alias already names the version.

    Raises:
        AliasMoved: if the alias names another version than expected; the message says who moved it.
        Damaged: if files of the version are missing.
        GraftError: if there is no such version, or the registry cannot be used.
    """
    address = parse_version(model, registry)
    store = open_store(address.registry)
    before = log.head(store, address.name)
    version = _sound_version(store, address.name, find_number(store, address, before))
    change = {"action": log.PROMOTE, "alias": check_alias(alias), "reason": reason, "by": by or who(), "gate": gate}
    expected = before.version_of(alias) if expect is None else expect or None
    check_promises(store)
    while before.version_of(alias) != version.number:
        _check_expected(store, address.name, before, alias, expected)
        if entry := _move(store, address.name, before, version, change):
            return entry
        before = log.head(store, address.name)
    return None


def rollback(model: str, *, alias: str = CHAMPION, expect: int | None = None, reason: str = "", by: str | None = None,
             registry: str | None = None, to_none: bool = False) -> log.Entry:
    """Undo the last promotion of an alias: it names its previous version again.

    Args:
        to_none: allow that a model is left without a champion, because no other version was.
        alias, expect, reason, by, registry: see `promote`.

    Returns:
        The new entry of the log.

    Raises:
        AliasMoved: if the alias names another version than expected.
        Damaged: if the previous version is no longer what was promoted.
        GraftError: if there is no such alias, if no champion would be left, or the registry cannot be used.
    """
    address = parse_name(model, registry)
    store = open_store(address.registry)
    entries = history(model, registry)
    expected = (entries or [log.Entry()])[-1].version_of(alias) if expect is None else expect or None
    change = {"action": log.ROLLBACK, "alias": alias, "reason": reason, "by": by or who()}
    check_promises(store)
    while True:
        before = (entries or [log.Entry()])[-1]
        if before.version_of(alias) is None:
            raise GraftError(f"{address.name} has no alias '{alias}' to roll back.{list_aliases(before)}")
        _check_expected(store, address.name, before, alias, expected)
        earlier = replay(entries, alias)[0][:-1]
        if alias == CHAMPION and not earlier and not to_none:
            raise GraftError(
                f"version {before.version_of(alias)} is the only {alias} of {address.name} that was not rolled back or "
                f"withdrawn, so there is none to go back to. Promote another one: `graft "
                f"promote {address.name}@NUMBER`. To leave {address.name} without a {alias}: `graft rollback "
                f"{address.name} --to-none`."
            )
        promised = {each["version"]: each["manifest"] for entry in entries for each in entry.aliases.values()}
        version = _sound_version(store, address.name, earlier[-1], promised.get(earlier[-1])) if earlier else None
        if entry := _move(store, address.name, before, version, change):
            return entry
        entries = log.read(store, address.name)


def history(model: str, registry: str | None = None) -> list[log.Entry]:
    """The promotion log of a model: all promotions, rollbacks and deletions, oldest first.

    Args:
        model: the model's name, optionally as `REGISTRY/NAME`.
        registry: the registry of an address that does not include one.

    Raises:
        Damaged: if the log was changed.
        GraftError: if there is no such model, or the registry cannot be used.
    """
    address = parse_name(model, registry)
    store = open_store(address.registry)
    entries = log.read(store, address.name)
    if not entries and not manifest.numbers(store, address.name):
        raise no_such_model(store, address.name)
    return entries


def state_at(entries: list[log.Entry], moment: datetime) -> log.Entry:
    """The newest entry at a time, which holds the aliases of that time; `Entry()` if there was none."""
    return next((entry for entry in reversed(entries) if entry.time <= moment), log.Entry())


def _sound_version(store: Store, name: str, number: int, digest: str | None = None) -> Manifest:
    """Read a version's manifest, and check that all its files are stored, and its signature if one is demanded.

    Args:
        digest: the sha256 that the manifest had when it was promoted before; None if unknown.

    Raises:
        Damaged: if not.
    """
    version = read_version(store, name, number, digest)
    if demanded_key():
        require_signature(version, read_signature(store, version))
    stored = {path: blobs.of_first_copy(store, file, store.stat) for path, file in version.files.items()}
    sizes = {path: each.size_bytes for path, each in stored.items() if each}
    if wrong := [path for path, file in version.files.items() if sizes.get(path) != file.size_bytes]:
        what = f"these files are missing or have the wrong size: {', '.join(wrong)}"
        raise Damaged(f"{store.address}/{name}@{number}: {what}. Publish it again.")
    return version


def _move(store: Store, name: str, before: log.Entry, version: Manifest | None, change: dict) -> log.Entry | None:
    """Append the entry that lets the alias name `version`, or removes it; None if another writer was faster."""
    if version and version.number in before.deleted:
        raise GraftError(f"{name}@{version.number} was deleted by `graft gc`. Publish it again.")
    aliases = {alias: each for alias, each in before.aliases.items() if alias != change["alias"]}
    if version:
        aliases[change["alias"]] = {"version": version.number, "manifest": version.digest}
    return log.append(store, name, before, aliases=aliases, version=version.number if version else None,
                      replaced=before.version_of(change["alias"]), **change)


def _check_expected(store: Store, name: str, before: log.Entry, alias: str, expected: int | None) -> None:
    now = before.version_of(alias)
    if now == expected:
        return
    entries = [before] if before.alias == alias else log.read(store, name)
    moves = [entry for entry in entries if entry.alias == alias]
    last = moves[-1] if moves else log.Entry(by="nobody", at="never")
    raise AliasMoved(
        f"{name}: {alias} names {_version(now)}, expected {_version(expected)}. Last moved by {last.by} at {last.at}"
        + (f" ({last.reason})" if last.reason else "") + ". Nothing was changed: see `graft history`, then decide."
    )


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def replay(entries: list[log.Entry], alias: str) -> tuple[list[int], dict[int, log.Entry]]:
    """The versions that `alias` was promoted to, oldest first, without those that were rolled back or withdrawn.

    Args:
        entries: the whole log.

    Returns:
        These versions; and version -> the entry that took it back. A later promotion cancels that.
    """
    promoted: list[int] = []
    taken_back: dict[int, log.Entry] = {}
    for entry in (each for each in entries if each.alias == alias or each.is_withdrawal):
        if entry.action == log.PROMOTE and entry.version is not None:
            promoted.append(entry.version)
            taken_back.pop(entry.version, None)
        elif entry.replaced is not None:
            promoted = [number for number in promoted if number != entry.replaced]
            taken_back[entry.replaced] = entry
    return promoted, taken_back


def who() -> str:
    """The current user for the log, as user@machine."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):        # in a container, the user may have no name
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown user"
    return f"{user}@{platform.node()}"
