"""The registry's subcommands of `graft`: pull, publish, promote, rollback, history, verify, gc."""

import sys

from graft.errors import GraftError

MODEL = "NAME, NAME@ALIAS or NAME@NUMBER; the registry may stand in front, as in s3://bucket/prefix/NAME@champion"
REGISTRY = "s3://bucket/prefix or a folder (default: the environment's GRAFT_REGISTRY, else ./registry)"


def add_commands(subparsers) -> None:
    """Declare them all."""
    for add in (_add_pull, _add_publish, _add_promote, _add_rollback, _add_history, _add_verify, _add_gc):
        add(subparsers)


def _add_pull(subparsers) -> None:
    parser = subparsers.add_parser("pull", help="fetch a published model and check every byte of it")
    parser.add_argument("model", help=MODEL)
    parser.add_argument("--to", metavar="FOLDER", help="copy it there too (default: the user's cache alone)")
    parser.add_argument("--registry", help=REGISTRY)
    parser.add_argument("--offline", action="store_true", help="take what was pulled before, after checking it again")
    parser.add_argument("--attachments", action="store_true", help="fetch its report, metrics, parameters … too")
    parser.add_argument("--public-key", metavar="PEM", help="refuse a version that this key's owner did not sign")
    parser.set_defaults(run=_pull)


def _pull(arguments) -> None:
    from graft.registry import pull

    pulled = pull(arguments.model, arguments.to, registry=arguments.registry, offline=arguments.offline,
                  attachments=arguments.attachments, public_key=arguments.public_key)
    if pulled.note:
        print(pulled.note, file=sys.stderr)
    amount = f"{pulled.transferred_bytes / 1e6:.1f} MB fetched" if pulled.transferred_bytes else "nothing to fetch"
    print(f"{pulled.name}@{pulled.version}: {amount}, all files checked")
    print(pulled.folder)


def _add_publish(subparsers) -> None:
    parser = subparsers.add_parser("publish", help="publish a bundle's folder as a model's next version")
    parser.add_argument("bundle", help="a folder with model.onnx and model.json, as the stage `export` writes it")
    parser.add_argument("name", help="the model's name, with the registry in front or not")
    parser.add_argument("--registry", help=REGISTRY)
    parser.add_argument("--attach", metavar="FILE", action="append", default=[], help="a file to keep with the version")
    parser.add_argument("--facts", metavar="JSON", help="a JSON file of whatever else should be known of the version")
    parser.add_argument("--sign", metavar="PEM", help="sign it with this private key (needs the extra `sign`)")
    parser.set_defaults(run=_publish)


def _publish(arguments) -> None:
    from pathlib import Path

    from graft.registry import publish
    from graft.registry.address import parse

    address = parse(arguments.name, arguments.registry)
    attachments = {Path(path).name: Path(path) for path in arguments.attach}
    published = publish(arguments.bundle, address.name, address.registry, attachments=attachments,
                        facts=_read_json(arguments.facts) if arguments.facts else {}, signing_key=arguments.sign)
    print(f"published {published.address}" if published.is_new else f"already published as {published.address}")


def _read_json(path: str) -> dict:
    import json
    from pathlib import Path

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GraftError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise GraftError(f"{path}: expected a JSON object, received {type(content).__name__}.")
    return content


def _add_promote(subparsers) -> None:
    parser = subparsers.add_parser("promote", help="let an alias such as `champion` name a version")
    parser.add_argument("model", help="NAME@NUMBER, or NAME@latest for the newest version")
    _add_alias(parser)
    parser.set_defaults(run=_promote)


def _add_alias(parser) -> None:
    parser.add_argument("--as", dest="alias", default="champion", help="the alias (default: champion)")
    parser.add_argument("--expect", metavar="NUMBER", type=int,
                        help="the version that the alias must name now, 0 for none; otherwise nothing is changed")
    parser.add_argument("--reason", default="", help="is kept in the history")
    parser.add_argument("--registry", help=REGISTRY)


def _promote(arguments) -> None:
    from graft.registry import promote
    from graft.registry.compare import read_manifest

    entry = promote(arguments.model, alias=arguments.alias, expect=arguments.expect, reason=arguments.reason,
                    registry=arguments.registry)
    _print_move(arguments, entry)
    verdict = read_manifest(arguments.model, arguments.registry).facts.get("gate")
    if isinstance(verdict, dict) and verdict.get("verdict") == "HOLD":
        reasons = "; ".join(map(str, verdict.get("reasons", [])))
        print(f"note: the gate had held this version: {reasons}", file=sys.stderr)


def _add_rollback(subparsers) -> None:
    parser = subparsers.add_parser("rollback", help="undo the last promotion of an alias")
    parser.add_argument("model", metavar="NAME")
    parser.add_argument("--to-none", action="store_true",
                        help="leave the model without a champion if no other version ever was")
    _add_alias(parser)
    parser.set_defaults(run=_rollback)


def _rollback(arguments) -> None:
    from graft.registry import rollback

    entry = rollback(arguments.model, alias=arguments.alias, expect=arguments.expect, reason=arguments.reason,
                     registry=arguments.registry, to_none=arguments.to_none)
    _print_move(arguments, entry)


def _print_move(arguments, entry) -> None:
    if entry is None:
        print(f"{arguments.alias} names that version already: nothing to do")
    elif entry.version is None:
        print(f"{arguments.alias} is removed: it named version {entry.replaced}, and none before")
    else:
        before = f", before: version {entry.replaced}" if entry.replaced else ""
        print(f"{arguments.alias} names version {entry.version} now{before} (entry {entry.number} of the log)")


def _add_history(subparsers) -> None:
    parser = subparsers.add_parser("history", help="which version was named what, when, by whom and why")
    parser.add_argument("model", metavar="NAME")
    parser.add_argument("--at", metavar="TIME", help="what held then: 2026-05-01 (its end, in UTC) or 2026-05-01T12:00")
    parser.add_argument("--registry", help=REGISTRY)
    parser.set_defaults(run=_history)


def _history(arguments) -> None:
    from graft.registry import history
    from graft.registry.log_text import aliases_at, as_table, read_moment

    moment = read_moment(arguments.at) if arguments.at else None
    entries = history(arguments.model, arguments.registry)
    print(aliases_at(entries, moment) if moment else as_table(entries))


def _add_verify(subparsers) -> None:
    parser = subparsers.add_parser("verify", help="read a whole registry and tell what is not as it was written")
    parser.add_argument("registry", nargs="?", help=REGISTRY)
    parser.set_defaults(run=_verify)


def _verify(arguments) -> int:
    from graft.registry import verify

    report = verify(arguments.registry)
    for finding in report.findings:
        print(f"{finding.kind:8}  {finding.where}: {finding.what}")
    print(f"{report.models} models, {report.versions} versions, {report.blobs} files "
          f"({report.size_bytes / 1e6:.1f} MB) read: {report.verdict}")
    return 0 if report.is_sound else 1


def _add_gc(subparsers) -> None:
    parser = subparsers.add_parser("gc", help="remove old versions that no alias names, and files that nothing needs")
    parser.add_argument("registry", nargs="?", help=REGISTRY)
    parser.add_argument("--keep", type=int, default=5, help="how many of the newest versions stay (default: 5)")
    parser.add_argument("--days", type=float, default=90, help="what was promoted in so many days stays (default: 90)")
    parser.add_argument("--delete", action="store_true", help="do it; without this it is only said what would be done")
    parser.set_defaults(run=_gc)


def _gc(arguments) -> None:
    from graft.registry import gc

    swept = gc(arguments.registry, keep=arguments.keep, days=arguments.days, delete=arguments.delete)
    for each in swept.versions:
        print(f"version  {each}")
    for each in swept.blobs:
        print(f"file     {each.key} ({each.size_bytes / 1e6:.1f} MB)")
    done = "removed" if arguments.delete else "would be removed; --delete does it"
    print(f"{len(swept.versions)} versions, {len(swept.blobs)} files ({swept.size_bytes / 1e6:.1f} MB) {done}")
