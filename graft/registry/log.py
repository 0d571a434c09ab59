"""The promotion log of a model: which alias was moved to which version, when, by whom and why.

    models/<name>/log/<number>.json    create-only, each entry holding the sha256 of the one before
    models/<name>/aliases.json         what the last entry says, for other programs; graft never trusts it

Appending an entry is the one write that decides: it is the history, and only one writer can get the next number.
"""

import hashlib
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from graft.machine.threads import InThreads
from graft.model.rules import INTEGER, OBJECT, STRING, Rule, broken, exactly, or_null
from graft.registry.manifest import LIMIT_BYTES, READERS, from_json, to_json
from graft.store import Damaged, Missing, Store, StoreError

PROMOTE, ROLLBACK, DELETE = "promote", "rollback", "delete"
_DISTRUST = "Somebody changed the log: nothing in it can be trusted. `graft verify` shows all that is wrong"


@dataclass(frozen=True)
class Entry:
    """One entry, and with it the state of all aliases from then on."""

    number: int = 0                         # 0 is the state before the first entry
    action: str = ""
    alias: str | None = None
    version: int | None = None              # the alias names this one from now on; None: the alias is gone
    replaced: int | None = None             # the one it named before
    reason: str = ""
    by: str = ""
    at: str = ""                            # by the store's clock, never before the entry before; ISO 8601 in UTC
    gate: dict | None = None                # the gate's report that the promotion rests on
    aliases: dict[str, dict] = field(default_factory=dict)      # alias -> {version, manifest: its sha256}
    deleted: list[int] = field(default_factory=list)            # every version ever given up by `gc`
    previous: str = ""                      # sha256 of the entry before
    nonce: str = ""                         # tells our own write from one that says the same
    format: int = 1
    digest: str = field(default="", compare=False)              # sha256 of the stored bytes; not among them

    def version_of(self, alias: str) -> int | None:
        return self.aliases[alias]["version"] if alias in self.aliases else None

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)


def key_of(name: str, number: int) -> str:
    return f"models/{name}/log/{number:06}.json"


def read(store: Store, name: str, since: int = 1) -> list[Entry]:
    """The entries from number `since` on, each checked to follow from the one before it.

    Raises:
        Damaged: naming the entry that is missing, changed or out of order.
    """
    found = _numbers(store, name)
    if found != list(range(1, len(found) + 1)):
        gap = next(number for number, each in enumerate(found, 1) if number != each)
        raise Damaged(f"{store.address}: the promotion log of {name} has no entry {gap}. {_DISTRUST}.")
    with InThreads(partial(_read_one, store, name), found[since - 1:], READERS, ahead=READERS) as in_order:
        entries = list(in_order)
    for before, entry in zip([Entry() if since == 1 else None, *entries], entries):
        if before and (problem := _does_not_follow(before, entry)):
            raise Damaged(f"{store.address}/{key_of(name, entry.number)}: {problem}. {_DISTRUST}.")
    return entries


def head(store: Store, name: str) -> Entry:
    """The last entry; `Entry()` when there is none. Only this one is read."""
    last = max(_numbers(store, name), default=0)
    return _read_one(store, name, last) if last else Entry()


def append(store: Store, name: str, before: Entry, **change) -> Entry | None:
    """Write the entry that follows `before`; None when another writer was faster. `change` sets some of its fields."""
    entry = replace(
        before, number=before.number + 1, previous=before.digest, nonce=secrets.token_hex(16),
        at=max(store.now().astimezone(UTC).isoformat(timespec="seconds"), before.at),
        **({"alias": None, "version": None, "replaced": None, "reason": "", "gate": None} | change),
    )
    data = encode(entry)
    if not store.create(key_of(name, entry.number), data):
        return None
    write_aliases(store, name, entry)
    return replace(entry, digest=hashlib.sha256(data).hexdigest())


def write_aliases(store: Store, name: str, last: Entry) -> None:
    """Let `aliases.json` say what the entry says; again when another one came meanwhile, so that the last one stays."""
    store.replace(aliases_key(name), aliases_json(last))
    while _numbers(store, name)[-1:] > [last.number]:
        last = head(store, name)
        store.replace(aliases_key(name), aliases_json(last))


def aliases_key(name: str) -> str:
    return f"models/{name}/aliases.json"


def aliases_json(entry: Entry) -> bytes:
    """What `aliases.json` holds after this entry."""
    return to_json({"log": entry.number, "aliases": entry.aliases})


def encode(entry: Entry) -> bytes:
    content = asdict(entry)
    del content["digest"]
    return to_json(content)


def decode(data: bytes, where: str) -> Entry:
    content = from_json(data, where)
    if problems := broken(content, _RULES, optional=["alias", "version", "replaced", "gate"]):
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
    pattern = re.compile(rf"models/{re.escape(name)}/log/([0-9]{{6,9}})\.json")
    found = (pattern.fullmatch(stored.key) for stored in store.scan(f"models/{name}/log/"))
    return sorted(int(match[1]) for match in found if match)


def _does_not_follow(before: Entry, entry: Entry) -> str | None:
    if entry.previous != before.digest:
        return f"it was written after another entry {before.number} than the one that is stored"
    aliases, deleted = dict(before.aliases), list(before.deleted)
    if entry.action == DELETE:
        deleted = entry.deleted
    elif entry.version is None:
        aliases.pop(entry.alias, None)
    else:
        aliases[entry.alias] = entry.aliases.get(entry.alias)
    named = entry.version_of(entry.alias) if entry.alias else None
    if entry.aliases != aliases or not set(before.deleted) <= set(deleted) or named != entry.version:
        return "its aliases do not follow from the entry before"
    return None


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _are_aliases(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and each.keys() == {"version", "manifest"}
        and INTEGER.holds(each["version"]) and STRING.holds(each["manifest"]) for each in value.values()
    )


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(INTEGER.holds, value))


_RULES = {
    "number": INTEGER,
    "action": Rule("promote, rollback or delete", lambda value: value in (PROMOTE, ROLLBACK, DELETE)),
    "alias": or_null(STRING),
    "version": or_null(INTEGER),
    "replaced": or_null(INTEGER),
    "reason": STRING,
    "by": STRING,
    "at": Rule("a time with its zone", _is_time),
    "gate": or_null(OBJECT),
    "aliases": Rule("alias -> version and manifest", _are_aliases),
    "deleted": Rule("a list of whole numbers", _are_numbers),
    "previous": Rule("a sha256", STRING.holds),
    "nonce": STRING,
    "format": exactly(1),
}
