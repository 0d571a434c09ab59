"""List the versions of a registry with what decides between them, as text for people."""

from graft.errors import GraftError, printable
from graft.registry import log, manifest
from graft.registry.address import CHAMPION, check_registry, default_registry, parse_name
from graft.registry.compare import ABSENT, mapping, metrics_of
from graft.registry.lookup import no_such_model
from graft.registry.manifest import Manifest
from graft.registry.promotion import replay
from graft.store import Damaged, Store, open_store

HEADER = ("version", "published", "accuracy", "gate", "state")


def list_versions(model: str | None = None, registry: str | None = None) -> str:
    """A table of the versions, the newest of each model first.

    Args:
        model: a model's name, optionally as `REGISTRY/NAME`; None for every model.
        registry: the registry of an address that does not include one.

    Raises:
        GraftError: if there is no such model, it is damaged, or the registry is empty or does not exist.
    """
    damaged: list[str] = []
    if model is not None:
        address = parse_name(model, registry)
        store = open_store(address.registry)
        if not (found := _versions_of(store, address.name)):
            raise no_such_model(store, address.name)
    else:
        found, damaged = find_versions(registry)
    rows = [tuple(map(printable, row_of(version, state))) for version, state in found]
    widths = [max(map(len, column)) for column in zip(HEADER, *rows)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (HEADER, *rows)]
    return "\n".join([*table, *(f"not listed: {printable(each)}" for each in damaged)])


def find_versions(registry: str | None = None) -> tuple[list[tuple[Manifest, str]], list[str]]:
    """Every version of every model, the newest of each first, with its state (see `HEADER`); and damaged models.

    Raises:
        GraftError: if the registry is empty or does not exist.
    """
    store = open_store(check_registry(registry or default_registry()))
    found, damaged = [], []
    for name in store.folders("models/"):
        try:
            found += _versions_of(store, name)
        except Damaged as error:        # of the other models it says nothing
            damaged.append(f"{name}: {error}")
    if found or damaged:
        return found, damaged
    raise GraftError(f"there are no models in {store.address}: the registry is empty or does not exist. To list "
                     "another one, set GRAFT_REGISTRY or --registry.")


def _versions_of(store: Store, name: str) -> list[tuple[Manifest, str]]:
    versions, entries = manifest.read_all(store, name), log.read(store, name)
    return [(version, _state(version.number, entries)) for version in reversed(versions)]


def row_of(version: Manifest, state: str) -> tuple[str, ...]:
    """What a list shows of a version, a text for each of `HEADER`."""
    facts = version.facts
    return (f"{version.name}@{version.number}", version.published[:10],
            metrics_of(facts.get("metrics")).get("accuracy", ABSENT),
            str(mapping(facts.get("gate")).get("verdict", ABSENT)), state)


def _state(number: int, entries: list[log.Entry]) -> str:
    """The aliases that name a version, or why it was taken back."""
    last = entries[-1] if entries else log.Entry()
    aliases = [alias for alias in sorted(last.aliases) if last.version_of(alias) == number]
    if back := replay(entries, CHAMPION)[1].get(number):
        what = "withdrawn" if back.is_withdrawal else "rolled back"
        aliases.append(f"{what} by {back.by}" + (f": {back.reason}" if back.reason else ""))
    return ", ".join(aliases)
