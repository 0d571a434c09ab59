"""Withdraw a version: whatever is published again with its files is not promoted without a person."""

from pathlib import Path

from graft.errors import GraftError, printable
from graft.registry import log, manifest
from graft.registry.address import CHAMPION, Address, parse, parse_version
from graft.registry.compare import mapping, read_manifest
from graft.registry.lookup import check_promises, find_number, read_version
from graft.registry.promotion import replay, rollback, who
from graft.registry.publication import bundle_files
from graft.store import open_store


def withdraw(model: str, *, reason: str = "", by: str | None = None, registry: str | None = None) -> log.Entry | None:
    """Declare that a version must not be used. If it is the champion, roll that back.

    The version can still be pulled by its number. A person can promote it again; a flow does not.

    Args:
        model: the address of a version, such as `pets@3`.
        reason, by, registry: see `graft.registry.promote`.

    Returns:
        The new entry of the log, or None if the version was rolled back or withdrawn before.

    Raises:
        GraftError: if there is no such version, another alias names it, or it is the only champion that there was.
    """
    address = parse_version(model, registry)
    store = open_store(address.registry)
    number = find_number(store, address, log.head(store, address.name))
    read_version(store, address.name, number)
    check_promises(store)
    while True:
        entries = log.read(store, address.name)
        last = entries[-1] if entries else log.Entry()
        if number in replay(entries, CHAMPION)[1]:
            return None
        _refuse_aliases(address.name, number, last)
        if last.version_of(CHAMPION) == number:
            return rollback(str(Address(address.registry, address.name)), expect=number, reason=reason, by=by)
        change = {"action": log.ROLLBACK, "replaced": number, "reason": reason, "by": by or who()}
        if entry := log.append(store, address.name, last, **change):
            return entry


def _refuse_aliases(name: str, number: int, last: log.Entry) -> None:
    others = [alias for alias in sorted(last.aliases) if alias != CHAMPION and last.version_of(alias) == number]
    if others:
        commands = " and ".join(f"`graft rollback {name} --as {alias}`" for alias in others)
        raise GraftError(f"{name}@{number} is not withdrawn, because aliases name it: {', '.join(others)}. "
                         f"Move them first: {commands}.")


def find_objections(model: str, registry: str | None = None) -> list[str]:
    """What speaks against promoting a version: that the gate held it, or that somebody took it back.

    Args:
        model: the address of a version, such as `pets@3`.
        registry: the registry of an address that does not include one.

    Raises:
        GraftError: if there is no such version.
    """
    address = parse_version(model, registry)
    version = read_manifest(model, registry)
    entries = log.read(open_store(address.registry), address.name)
    gate = mapping(version.facts.get("gate"))
    found = []
    if gate.get("verdict") == "HOLD":
        reasons = gate.get("reasons")
        found.append("the gate had held this version: "
                     + "; ".join(map(printable, reasons if isinstance(reasons, list) else [])))
    if back := replay(entries, CHAMPION)[1].get(version.number):
        what = "withdrew" if back.is_withdrawal else "rolled back"
        found.append(f"{back.by} {what} this version at {back.at}" + (f": {back.reason}" if back.reason else ""))
    return found


def find_taken_back(bundle: Path, model: str, registry: str | None = None) -> log.Entry | None:
    """The rollback or withdrawal of the version with these very files, if there was one.

    A later promotion of that version, by a person, cancels it.

    Args:
        bundle: a bundle's folder.
        model: the model's name or address.
        registry: the registry of an address that does not include one.

    Returns:
        The entry of the log; the version is its `replaced`.
    """
    address = parse(model, registry)
    store = open_store(address.registry)
    files = {name: manifest.describe(path) for name, path in bundle_files(bundle).items()}
    entries = log.read(store, address.name)
    for number, entry in replay(entries, CHAMPION)[1].items():
        if number not in entries[-1].deleted and read_version(store, address.name, number).files == files:
            return entry
    return None
