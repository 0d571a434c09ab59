"""Moving an alias to another version, and telling who did that and why."""

import getpass
import os
import platform
from datetime import datetime

from graft.errors import GraftError
from graft.registry import log, manifest
from graft.registry.address import CHAMPION, LATEST, check_alias, parse
from graft.registry.lookup import aliases_there_are, check_promises, find_number, no_such_model, read_version
from graft.registry.manifest import Manifest
from graft.store import Damaged, Store, open_store


class AliasMoved(GraftError):
    """Another promotion was faster, or the alias names another version than was expected."""


def promote(model: str, *, alias: str = CHAMPION, expect: int | None = None, reason: str = "", gate: dict | None = None,
            by: str | None = None, registry: str | None = None) -> log.Entry | None:
    """Let `alias` name a version from now on; None when it does already.

    Args:
        model: the address of a version.
        expect: the version that the alias must name now, 0 for none; by default whichever it names when this begins.
        gate: the report that the promotion rests on, as JSON can hold it.

    Raises:
        AliasMoved: when the alias names another version than expected; the message says who moved it.
    """
    address = parse(model, registry)
    if address.number is None and address.alias is None:
        raise GraftError(f"{model}: which version? Expected {address.name}@NUMBER, or @{LATEST} for the newest one.")
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
             registry: str | None = None) -> log.Entry:
    """Undo the last promotion of `alias`: it names the version again that it named before; without one it is removed.

    Raises:
        AliasMoved: as `promote` does.
    """
    address = parse(model, registry)
    store = open_store(address.registry)
    entries = history(model, registry)
    expected = (entries or [log.Entry()])[-1].version_of(alias) if expect is None else expect or None
    change = {"action": log.ROLLBACK, "alias": alias, "reason": reason, "by": by or who()}
    check_promises(store)
    while True:
        before = (entries or [log.Entry()])[-1]
        if before.version_of(alias) is None:
            raise GraftError(f"{address.name} has no alias '{alias}' to roll back.{aliases_there_are(before)}")
        _check_expected(store, address.name, before, alias, expected)
        earlier = _promoted(entries, alias)[:-1]
        version = _sound_version(store, address.name, earlier[-1]) if earlier else None
        if entry := _move(store, address.name, before, version, change):
            return entry
        entries = log.read(store, address.name)


def history(model: str, registry: str | None = None) -> list[log.Entry]:
    """All promotions and rollbacks of a model, the first one first. Raises `Damaged` when the log was changed."""
    address = parse(model, registry)
    store = open_store(address.registry)
    entries = log.read(store, address.name)
    if not entries and not manifest.numbers(store, address.name):
        raise no_such_model(store, address.name)
    return entries


def state_at(entries: list[log.Entry], moment: datetime) -> log.Entry:
    """The last entry that was not written after `moment`: its aliases held then."""
    return next((entry for entry in reversed(entries) if entry.time <= moment), log.Entry())


def _sound_version(store: Store, name: str, number: int) -> Manifest:
    """A version all of whose files are there. Raises `Damaged`: such a version is never promoted."""
    version = read_version(store, name, number)
    stored = {path: store.stat(file.key) for path, file in version.files.items()}
    wrong = [path for path, file in version.files.items()
             if stored[path] is None or stored[path].size_bytes != file.size_bytes]
    if wrong:
        what = f"missing or of another size: {', '.join(wrong)}"
        raise Damaged(f"{store.address}/{name}@{number}: {what}. Publish it again.")
    return version


def _move(store: Store, name: str, before: log.Entry, version: Manifest | None, change: dict) -> log.Entry | None:
    """Append the entry that lets the alias name `version`, or no version; None when another writer was faster."""
    if version and version.number in before.deleted:
        raise GraftError(f"{name}@{version.number} was given up by `graft gc`. Publish it again.")
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
        + (f" ({last.reason})" if last.reason else "") + ". Nothing was changed: look at `graft history`, then decide."
    )


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def _promoted(entries: list[log.Entry], alias: str) -> list[int]:
    """The versions that `alias` was moved to and not rolled back from, in their order."""
    stack: list[int] = []
    for entry in entries:
        if entry.alias == alias and entry.action == log.PROMOTE:
            stack.append(entry.version)
        elif entry.alias == alias and stack:
            stack.pop()
    return stack


def who() -> str:
    """Who does this, for the log: user@machine."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):        # a container's user may have no name
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown user"
    return f"{user}@{platform.node()}"
