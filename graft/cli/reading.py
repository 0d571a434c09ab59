"""The subcommands that only read a registry: list, history, report, compare, verify."""

import argparse
import os
import sys

from graft.cli.arguments import MODEL, REGISTRY, Subparsers, add_command, add_public_key, add_registry, say


def add_commands(subparsers: Subparsers) -> None:
    """Declare these subcommands."""
    for add in (_add_list, _add_history, _add_report, _add_compare, _add_verify):
        add(subparsers)


def _add_history(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "history", _history, "list who promoted which version when and why",
                         "For one version, also show its card: what it is for, and where it fails.")
    parser.add_argument("model", metavar="NAME[@NUMBER]", help=f"the model's name, or one version of it: {MODEL}")
    parser.add_argument("--at", metavar="TIME",
                        help="show the aliases at this time: 2026-05-01 (the end of that day, UTC) or 2026-05-01T12:00")
    add_registry(parser)


def _history(arguments: argparse.Namespace) -> None:
    from graft.registry import history
    from graft.registry.log_text import aliases_at, as_table, read_moment

    moment = read_moment(arguments.at) if arguments.at else None
    if "@" in arguments.model.rpartition("/")[2] and not moment:
        _show_version(arguments.model, arguments.registry)
    else:
        entries = history(arguments.model, arguments.registry)
        say(aliases_at(entries, moment) if moment else as_table(entries))


def _show_version(model: str, registry: str | None) -> None:
    """Show the entries of the log that are about one version, and its card."""
    from graft.registry import history
    from graft.registry.log_text import as_table
    from graft.registry.reports import read_card

    pulled, card = read_card(model, registry)
    entries = history(model.rpartition("@")[0], registry)
    if about := [entry for entry in entries if pulled.version in (entry.version, entry.replaced)]:
        say(as_table(about) + "\n")
    if card is None:
        say(f"{pulled.name}@{pulled.version} carries no card: it was published without one.", is_note=True)
    else:
        say(card)


def _add_verify(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "verify", _verify, "read a whole registry and report everything that is damaged",
                         "Exit codes: 0 if it is sound, 1 if anything is damaged.")
    parser.add_argument("registry", nargs="?", help=REGISTRY)
    add_public_key(parser, "report every version")


def _verify(arguments: argparse.Namespace) -> int:
    from graft.registry import verify

    report = verify(arguments.registry, arguments.public_key)
    for finding in report.findings:
        say(f"{finding.kind:8}  {finding.where}: {finding.what}")
    say(f"{report.models} models, {report.versions} versions, {report.blobs} files "
          f"({report.size_bytes / 1e6:.1f} MB) read: {report.verdict}")
    return 0 if report.is_sound else 1


def _add_compare(subparsers: Subparsers) -> None:
    parser = add_command(
        subparsers, "compare", _compare, "compare two models: classes, data, parameters, metrics",
        "A model that is not published is named by its folder, or the folder that contains it and its metrics: "
        "graft compare pets@champion outputs")
    parser.add_argument("left", help=f"a folder, or {MODEL}")
    parser.add_argument("right", help="the other model; @NUMBER or @ALIAS alone means the same name")
    add_registry(parser)


def _compare(arguments: argparse.Namespace) -> None:
    from graft.registry.compare import compare, describe

    folder, slash, name = arguments.left.rpartition("/")
    same = folder + slash + name.partition("@")[0] if arguments.right.startswith("@") else ""
    say(compare(*(describe(model, arguments.registry) for model in (arguments.left, same + arguments.right))))


def _add_list(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "list", _list, "list the published versions and which of them is in use")
    parser.add_argument("model", metavar="NAME", nargs="?", help="only this model's (default: every model's)")
    add_registry(parser)


def _list(arguments: argparse.Namespace) -> None:
    from graft.registry.listing import list_versions

    say(list_versions(arguments.model, arguments.registry))


def _add_report(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "report", _report, "fetch the reports of a published model, and open the first",
                         "The browser is opened from a terminal with a display; the addresses are printed anyway.")
    parser.add_argument("model", help=MODEL)
    add_registry(parser)
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="only print the addresses")


def _report(arguments: argparse.Namespace) -> None:
    import webbrowser

    from graft.registry.manifest import README
    from graft.registry.reports import fetch_reports

    model, reports = fetch_reports(arguments.model, arguments.registry)
    say(f"the reports of {model}:")
    for path in reports:
        say(f"  {path.as_uri()}")
    if (card := reports[0].parents[1] / README).exists():
        say(f"  {card.as_uri()}")
    if arguments.browser and _has_browser():
        webbrowser.open(reports[0].as_uri())


def _has_browser() -> bool:
    """Whether a browser opens in a window, not in this terminal; a log or a pipe gets none."""
    has_display = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return sys.stdout.isatty() and has_display
