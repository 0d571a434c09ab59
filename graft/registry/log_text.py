"""The promotion log in words."""

from datetime import UTC, datetime, time

from graft.errors import GraftError
from graft.registry import log
from graft.registry.promotion import state_at


def read_moment(text: str) -> datetime:
    """A day, meaning its last moment, or a time; in UTC unless it names a zone. Raises `GraftError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GraftError(f"'{text}' is no time. Expected one such as 2026-05-01 or 2026-05-01T12:30+02:00.") from None
    if len(text) <= len("2026-05-01"):
        moment = datetime.combine(moment, time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_table(entries: list[log.Entry]) -> str:
    """A line for each entry, the newest first."""
    lines = [f"{'entry':>5}  {'time (UTC)':19}  {'what':8}  {'alias':12}  {'version':>12}  by, reason"]
    for entry in reversed(entries):
        by = entry.by + (f": {entry.reason}" if entry.reason else "")
        when = entry.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"{entry.number:5}  {when}  {entry.action:8}  {entry.alias or '':12}  {_move(entry):>12}  {by}")
    return "\n".join(lines) if entries else "nothing was ever promoted"


def aliases_at(entries: list[log.Entry], moment: datetime) -> str:
    """What each alias named at that moment, and since which entry."""
    state = state_at(entries, moment)
    lines = []
    for alias, each in sorted(state.aliases.items()):
        since = [entry for entry in entries if entry.alias == alias and entry.number <= state.number][-1]
        reason = f": {since.reason}" if since.reason else ""
        lines.append(f"{alias}: version {each['version']}, since {since.at}, by {since.by}{reason}")
    when = moment.isoformat(timespec="seconds")
    return "\n".join([f"at {when}", *lines]) if lines else f"at {when} no alias named any version"


def _move(entry: log.Entry) -> str:
    if entry.action == log.DELETE:
        return ""           # its reason names them
    return f"{entry.replaced or 'none'} -> {entry.version or 'none'}"
