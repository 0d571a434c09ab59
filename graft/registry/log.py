"""The promotion log of a model: which alias was moved to which version, when, by whom and why.

    models/<name>/log/<number>.json    create-only; each entry contains the sha256 of the previous one
    models/<name>/aliases.json         the aliases after the newest entry, for other programs; Graft never reads it

Appending an entry is the write that decides: the entries are the history, and only one writer can create the next one.
"""

import hashlib
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from graft.errors import GraftError
from graft.machine.threads import InThreads
from graft.model.json_rules import (
    LIMIT_BYTES,
    Rule,
    find_problems,
    is_object,
    is_text,
    is_time,
    is_whole,
    or_null,
)
from graft.registry.manifest import NUMBER, READERS, from_json, to_json
from graft.store import Damaged, Missing, Store, StoreError

PROMOTE, ROLLBACK, DELETE = "promote", "rollback", "delete"
_DISTRUST = "The log was changed, so it cannot be trusted. `graft verify` reports everything that is wrong"


@dataclass(frozen=True)
class Entry:
    """One entry, with the state of all aliases after it."""

    number: int = 0                         # 0 is the state before the first entry
    action: str = ""
    alias: str | None = None
    version: int | None = None              # that the alias names from now on; None: the alias is removed
    replaced: int | None = None             # the version that the alias named before
    reason: str = ""
    by: str = ""
    at: str = ""                            # ISO 8601 in UTC, by the store's clock, whatever the previous entry's was
    gate: dict | None = None                # the gate's report that justified the promotion
    aliases: dict[str, dict] = field(default_factory=dict)      # alias -> {version, manifest: its sha256}
    deleted: list[int] = field(default_factory=list)            # all versions that `gc` has ever deleted
    previous: str = ""                      # sha256 of the previous entry
    nonce: str = ""                         # distinguishes our write from another one with equal contents
    format: int = 1
    digest: str = field(default="", compare=False)              # sha256 of the stored bytes; not stored itself

    def version_of(self, alias: str) -> int | None:
        """The version that an alias names after this entry; None if there is no such alias."""
        return self.aliases[alias]["version"] if alias in self.aliases else None

    @property
    def is_withdrawal(self) -> bool:
        """Whether this entry takes back a version, `replaced`, that was not the champion; it moves no alias."""
        return self.action == ROLLBACK and self.alias is None

    @property
    def time(self) -> datetime:
        """`at` as a time with its zone."""
        return datetime.fromisoformat(self.at)


def key_of(name: str, number: int) -> str:
    """The key of an entry."""
    return f"models/{name}/log/{number:06}.json"


def read(store: Store, name: str, since: int = 1) -> list[Entry]:
    """Read the entries from number `since`, and check that each follows from the previous one.

    Raises:
        Damaged: names the entry that is missing, changed or out of order.
    """
    found = _numbers(store, name)
    with InThreads(partial(_read_one, store, name), found[since - 1:], READERS, ahead=READERS) as results:
        entries = list(results)
    for before, entry in zip([Entry() if since == 1 else None, *entries], entries):
        if before and (problem := _does_not_follow(before, entry)):
            raise Damaged(f"{store.address}/{key_of(name, entry.number)}: {problem}. {_DISTRUST}.")
    return entries


def head(store: Store, name: str) -> Entry:
    """The newest entry; `Entry()` if there is none. No other entry is read. Raises `Damaged` if one is missing."""
    last = max(_numbers(store, name), default=0)
    return _read_one(store, name, last) if last else Entry()


def append(store: Store, name: str, before: Entry, **change: Any) -> Entry | None:
    """Write the entry that follows `before`; returns None if another writer was faster.

    Args:
        change: fields of `Entry` that differ from `before`.
    """
    entry = replace(
        before, number=before.number + 1, previous=before.digest, nonce=secrets.token_hex(16),
        at=store.now().astimezone(UTC).isoformat(timespec="seconds"),
        **({"alias": None, "version": None, "replaced": None, "reason": "", "gate": None} | change),
    )
    data = encode(entry)
    if not store.create(key_of(name, entry.number), data):
        return None
    write_aliases(store, name, entry)
    return replace(entry, digest=hashlib.sha256(data).hexdigest())


def write_aliases(store: Store, name: str, last: Entry) -> None:
    """Write the entry's aliases to `aliases.json`; if a newer entry appears meanwhile, write that one's."""
    store.replace(aliases_key(name), aliases_json(last))
    while _numbers(store, name)[-1:] > [last.number]:
        last = head(store, name)
        store.replace(aliases_key(name), aliases_json(last))


def aliases_key(name: str) -> str:
    """The key of `aliases.json`."""
    return f"models/{name}/aliases.json"


def aliases_json(entry: Entry) -> bytes:
    """The contents of `aliases.json` after this entry."""
    return to_json({"log": entry.number, "aliases": entry.aliases})


def encode(entry: Entry) -> bytes:
    """An entry as it is stored. Raises `GraftError` if it could not be read again."""
    content = asdict(entry)
    del content["digest"]
    if problems := find_problems(content, _RULES):
        raise GraftError(f"this cannot be written to the log: {'; '.join(problems)}.")
    return to_json(content)


def decode(data: bytes, where: str) -> Entry:
    """Parse and check a stored entry. Raises `Damaged` with everything that is wrong; `where` is its address."""
    content = from_json(data, where)
    if problems := find_problems(content, _RULES):
        raise Damaged(f"{where} is not an entry of a promotion log: {'; '.join(problems)}. {_DISTRUST}.")
    return Entry(**content, digest=hashlib.sha256(data).hexdigest())


def _read_one(store: Store, name: str, number: int) -> Entry:
    where = f"{store.address}/{key_of(name, number)}"
    try:
        entry = decode(store.read_whole(key_of(name, number), LIMIT_BYTES), where)
    except Missing:
        raise StoreError(f"{where} is listed but cannot be read. Try again.") from None
    if entry.number != number:
        raise Damaged(f"{where} holds entry {entry.number}, expected {number}. {_DISTRUST}.")
    return entry


def _numbers(store: Store, name: str) -> list[int]:
    """The numbers of all entries, from 1 without a gap. Raises `Damaged` if one is missing."""
    pattern = re.compile(rf"models/{re.escape(name)}/log/({NUMBER})\.json")
    for _ in range(2):          # a listing of a folder may miss an entry that is just written, but show a later one
        matches = (pattern.fullmatch(stored.key) for stored in store.scan(f"models/{name}/log/"))
        found = sorted(int(match[1]) for match in matches if match)
        gap = next((number for number, each in enumerate(found, 1) if number != each), None)
        if gap is None:
            return found
    raise Damaged(f"{store.address}: the promotion log of {name} has no entry {gap}. {_DISTRUST}.")


def _does_not_follow(before: Entry, entry: Entry) -> str | None:
    if entry.previous != before.digest:
        return f"it does not follow the stored entry {before.number}, but another one"
    aliases: dict = dict(before.aliases)
    deleted = before.deleted
    if entry.action == DELETE:
        deleted = entry.deleted
    elif entry.version is None:
        aliases.pop(entry.alias, None)
    else:
        aliases[entry.alias] = entry.aliases.get(entry.alias or "")
    named = entry.version_of(entry.alias) if entry.alias else None
    if entry.aliases != aliases or named != entry.version:
        return "its aliases do not follow from the previous entry"
    if entry.deleted != deleted or not set(before.deleted) <= set(deleted):
        return "its deleted versions do not follow from the previous entry"
    return None


def _are_aliases(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and each.keys() == {"version", "manifest"}
        and type(each["version"]) is int and isinstance(each["manifest"], str) for each in value.values()
    )


_RULES: dict[str, Rule] = {
    "number": ("a whole number", is_whole),
    "action": ("promote, rollback or delete", lambda value: value in (PROMOTE, ROLLBACK, DELETE)),
    "alias": ("a text or null", or_null(is_text)),
    "version": ("a whole number or null", or_null(is_whole)),
    "replaced": ("a whole number or null", or_null(is_whole)),
    "reason": ("a text", is_text),
    "by": ("a text", is_text),
    "at": ("a time with its zone", is_time),
    "gate": ("an object or null", or_null(is_object)),
    "aliases": ("alias -> version and manifest", _are_aliases),
    "deleted": ("a list of whole numbers", lambda value: isinstance(value, list) and all(map(is_whole, value))),
    "previous": ("a sha256", is_text),
    "nonce": ("a text", is_text),
    "format": ("1", lambda value: value == 1),
}
