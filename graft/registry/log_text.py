"""The promotion log as text for people."""

from datetime import UTC, datetime, time

from graft.errors import GraftError, printable
from graft.registry import log
from graft.registry.promotion import state_at


def read_moment(text: str) -> datetime:
    """Parse a day, which means its end, or a time. It is in UTC unless it includes a zone.

    Raises:
        GraftError: if the text is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GraftError(f"'{text}' is not a time. Expected one like 2026-05-01 or 2026-05-01T12:30+02:00.") from None
    if len(text) <= len("2026-05-01"):
        moment = datetime.combine(moment, time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_table(entries: list[log.Entry]) -> str:
    """A table with a line for each entry, the newest first."""
    lines = [f"{'entry':>5}  {'time (UTC)':19}  {'what':8}  {'alias':12}  {'version':>12}  by, reason"]
    for entry in reversed(entries):
        by = entry.by + (f": {entry.reason}" if entry.reason else "")
        when = entry.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{entry.number:5}  {when}  {_action(entry):8}  {entry.alias or '':12}  {_move(entry):>12}  {by}"
        lines.append(printable(line))
    return "\n".join(lines) if entries else "no version was ever promoted"


def aliases_at(entries: list[log.Entry], moment: datetime) -> str:
    """The version that each alias named at a time, and who promoted it when and why."""
    state = state_at(entries, moment)
    lines = []
    for alias, each in sorted(state.aliases.items()):
        since = [entry for entry in entries if entry.alias == alias and entry.number <= state.number][-1]
        reason = f": {since.reason}" if since.reason else ""
        lines.append(printable(f"{alias}: version {each['version']}, since {since.at}, by {since.by}{reason}"))
    when = moment.isoformat(timespec="seconds")
    return "\n".join([f"at {when}", *lines]) if lines else f"at {when} there was no alias"


def _action(entry: log.Entry) -> str:
    return "withdraw" if entry.is_withdrawal else entry.action


def _move(entry: log.Entry) -> str:
    if entry.action == log.DELETE:
        return ""           # the reason names the versions
    if entry.is_withdrawal:
        return str(entry.replaced)
    return f"{entry.replaced or 'none'} -> {entry.version or 'none'}"
