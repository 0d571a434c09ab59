"""The subcommands that change a registry or this machine's cache: pull, publish, promote, rollback, withdraw, gc."""

import argparse
from typing import TYPE_CHECKING

from graft.cli.arguments import MODEL, NAME, REGISTRY, Subparsers, add_command, add_public_key, add_registry, say
from graft.errors import GraftError

if TYPE_CHECKING:
    from graft.registry.log import Entry


def add_commands(subparsers: Subparsers) -> None:
    """Declare these subcommands."""
    for add in (_add_pull, _add_publish, _add_promote, _add_rollback, _add_withdraw, _add_gc):
        add(subparsers)


def _add_pull(subparsers: Subparsers) -> None:
    from graft.model.bundle import FORMATS

    parser = add_command(subparsers, "pull", _pull, "fetch a published model and check every byte of it")
    parser.add_argument("model", help=MODEL)
    parser.add_argument("--to", metavar="FOLDER", help="also copy it to this folder (default: only the user's cache)")
    add_registry(parser)
    parser.add_argument("--offline", action="store_true", help="use the version pulled before, after checking it again")
    parser.add_argument("--format", choices=[*FORMATS], help="only in this export format (default: in all)")
    parser.add_argument("--attachments", action="store_true", help="also fetch its report, metrics, parameters …")
    add_public_key(parser, "refuse a version")


def _pull(arguments: argparse.Namespace) -> None:
    from graft.registry import pull

    pulled = pull(arguments.model, arguments.to, registry=arguments.registry, offline=arguments.offline,
                  attachments=arguments.attachments, public_key=arguments.public_key, format=arguments.format)
    if pulled.note:
        say(pulled.note, is_note=True)
    amount = f"{pulled.transferred_bytes / 1e6:.1f} MB fetched" if pulled.transferred_bytes else "nothing to fetch"
    say(f"{pulled.name}@{pulled.version}: {amount}, all files checked")
    say(str(pulled.folder))


def _add_publish(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "publish", _publish, "publish a bundle as the next version of a model")
    parser.add_argument("bundle", help="a folder that contains model.onnx and model.json")
    parser.add_argument("name", help=f"{NAME}, as in s3://bucket/prefix/NAME")
    add_registry(parser)
    parser.add_argument("--attach", metavar="FILE", action="append", default=[],
                        help="keep FILE with the version; may be repeated")
    parser.add_argument("--facts", metavar="JSON", help="a JSON file with other information about the version")
    parser.add_argument("--sign", metavar="PEM", help="sign the version with this private key (default: the "
                        "environment variable GRAFT_SIGNING_KEY; needs the extra `sign`)")


def _publish(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from graft.model.classifier import Classifier
    from graft.model.trial import require_finite_answers
    from graft.registry import publish
    from graft.registry.address import parse_name

    address = parse_name(arguments.name, arguments.registry)
    require_finite_answers(Classifier(arguments.bundle))        # as a training run's export has made sure of
    attachments = {Path(path).name: Path(path) for path in arguments.attach}
    if len(attachments) < len(arguments.attach):
        raise GraftError(f"--attach: expected files of different names, received {', '.join(arguments.attach)}.")
    published = publish(arguments.bundle, address.name, address.registry, attachments=attachments,
                        facts=_read_json(arguments.facts) if arguments.facts else {}, signing_key=arguments.sign)
    signed = ", signed with this key" if arguments.sign else ""
    say(("published " if published.is_new else "already published as ") + published.address + signed)
    if not published.is_new and (attachments or arguments.facts):
        say("note: a version keeps the attachments and facts of its first publication", is_note=True)


def _read_json(path: str) -> dict:
    from pathlib import Path

    from graft.model.json_rules import parse

    try:
        content = parse(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GraftError(f"--facts {path} cannot be read as JSON: {reason}.") from None
    if not isinstance(content, dict):
        raise GraftError(f"--facts {path}: expected a JSON object, received {type(content).__name__}.")
    return content


def _add_promote(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "promote", _promote, "let an alias such as `champion` name a version")
    parser.add_argument("model", help="NAME@NUMBER, or NAME@latest for the newest version")
    _add_alias(parser)


def _add_alias(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="alias", metavar="ALIAS", default="champion", help="the alias (default: champion)")
    parser.add_argument("--expect", metavar="NUMBER", type=int,
                        help="change nothing unless the alias names this version now; 0 means no version")
    parser.add_argument("--reason", default="", help="a text to keep in the history")
    add_registry(parser)


def _promote(arguments: argparse.Namespace) -> None:
    from graft.registry import promote
    from graft.registry.withdrawal import find_objections

    objections = find_objections(arguments.model, arguments.registry)
    entry = promote(arguments.model, alias=arguments.alias, expect=arguments.expect, reason=arguments.reason,
                    registry=arguments.registry)
    _print_move(arguments.alias, entry)
    for objection in objections:
        say(f"note: {objection}", is_note=True)


def _add_rollback(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "rollback", _rollback, "undo the last promotion of an alias")
    parser.add_argument("model", metavar="NAME", help=NAME)
    parser.add_argument("--to-none", action="store_true",
                        help="leave the model without a champion if no other version ever was")
    _add_alias(parser)


def _rollback(arguments: argparse.Namespace) -> None:
    from graft.registry import rollback

    entry = rollback(arguments.model, alias=arguments.alias, expect=arguments.expect, reason=arguments.reason,
                     registry=arguments.registry, to_none=arguments.to_none)
    _print_move(arguments.alias, entry)


def _print_move(alias: str, entry: "Entry | None") -> None:
    if entry is None:
        say(f"{alias} already names this version: nothing to do")
    elif entry.version is None:
        say(f"{alias} is removed: it named version {entry.replaced}, and no version before")
    else:
        before = f", before: version {entry.replaced}" if entry.replaced else ""
        say(f"{alias} now names version {entry.version}{before} (entry {entry.number} of the log)")


def _add_withdraw(subparsers: Subparsers) -> None:
    parser = add_command(
        subparsers, "withdraw", _withdraw, "declare that a version must not be used",
        "If it is the champion, the champion is rolled back. No training run promotes it again; a person can.")
    parser.add_argument("model", metavar="NAME@NUMBER", help="the version, optionally with its registry")
    parser.add_argument("--reason", required=True, help="a text to keep in the history")
    add_registry(parser)


def _withdraw(arguments: argparse.Namespace) -> None:
    from graft.registry import withdraw

    entry = withdraw(arguments.model, reason=arguments.reason, registry=arguments.registry)
    if entry is None:
        say(f"{arguments.model} was rolled back or withdrawn before: nothing to do")
        return
    if not entry.is_withdrawal:
        _print_move(str(entry.alias), entry)
    say(f"version {entry.replaced} is withdrawn (entry {entry.number} of the log): no training run promotes it again")


def _add_gc(subparsers: Subparsers) -> None:
    parser = add_command(subparsers, "gc", _gc, "remove old versions without an alias, and files without a version",
                         "Without --delete, it only lists them.")
    parser.add_argument("registry", nargs="?", help=REGISTRY)
    parser.add_argument("--keep", type=int, default=5, metavar="N",
                        help="keep the N newest versions of each model (default: %(default)s)")
    parser.add_argument("--days", type=float, default=90, metavar="D",
                        help="keep versions that an alias named in the last D days (default: %(default)s)")
    parser.add_argument("--delete", action="store_true", help="remove them")


def _gc(arguments: argparse.Namespace) -> None:
    from graft.registry import gc

    swept = gc(arguments.registry, keep=arguments.keep, days=arguments.days, delete=arguments.delete)
    for version in swept.versions:
        say(f"version  {version}")
    for blob in swept.blobs:
        say(f"file     {blob.key} ({blob.size_bytes / 1e6:.1f} MB)")
    done = "removed" if arguments.delete else "would be removed; repeat with --delete to remove them"
    say(f"{len(swept.versions)} versions, {len(swept.blobs)} files ({swept.size_bytes / 1e6:.1f} MB) {done}")
