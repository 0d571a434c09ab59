"""A comparison as text for a terminal, and as a page."""

from collections.abc import Sequence
from html import escape

from graft.errors import printable
from graft.pages import frame
from graft.watch.comparison import DRIFTED, ClassChange, Comparison
from graft.watch.statistics import Share, share

CHANGED = "changed"
SHOWN = 50              # classes, and windows
CAVEAT = ("The accuracy is expected from the probabilities of the answers that are not “unknown”; it is not "
          "measured. Only images that people have labelled tell the true one.")


def headline(found: Comparison) -> str:
    """The verdict in a line."""
    return f"{found.model}: {found.verdict}"


def basis(found: Comparison) -> str:
    """What was compared with what, as a sentence; empty if nothing was."""
    if not found.windows:
        return ""
    first, last, number = found.windows[-1].began, found.windows[0].ended, len(found.windows)
    return (f"{found.images:,} images in {number} {'window' if number == 1 else 'windows'}, {first:%Y-%m-%d %H:%M} to "
            f"{last:%Y-%m-%d %H:%M} UTC, beside {found.test_images:,} test images.")


def measures(found: Comparison) -> list[tuple[str, Share | None, Share | None]]:
    """What is measured, in use, and in test; empty if nothing was compared."""
    rows = [("accuracy to expect", found.accuracy, found.accuracy_before),
            ("answered “unknown”", found.unknown, found.unknown_before)]
    return [row for row in rows if row[1]]


def as_text(found: Comparison) -> str:
    """The comparison as lines for a terminal."""
    lines = [headline(found), basis(found), *(f"- {each}" for each in found.changes)]
    lines += [f"{name}: {now}, in test {before}" for name, now, before in measures(found)]
    return "\n".join(filter(None, lines))


def make_page(found: Comparison) -> str:
    """The comparison as a page."""
    parts = [f"<h1>{_text(found.model)} in use</h1>", f'<p class="soft">{_text(basis(found))}</p>', _verdict(found)]
    if found.classes:
        parts += [_table(("", "in use", "in test"), measures(found)), f'<p class="soft">{CAVEAT}</p>',
                  "<h2>Classes</h2>", _class_table(found.classes)]
    if found.windows:
        parts += ["<h2>Windows</h2>", _window_table(found)]
    return frame(f"{found.model} in use", "\n".join(parts))


def _verdict(found: Comparison) -> str:
    tone = "bad" if found.verdict == DRIFTED else "good" if found.classes else "fair"
    changes = "".join(f"<li>{_text(each)}</li>" for each in found.changes)
    said = f"<ul>{changes}</ul>" if changes else "<p>No test finds a difference to the answers to the test images.</p>"
    return f'<div class="verdict"><div><h2>Verdict</h2><p class="{tone}">{_text(found.verdict)}</p>{said}</div></div>'


def _class_table(classes: list[ClassChange]) -> str:
    """The classes, those that have changed first."""
    order = sorted(classes, key=lambda each: (not each.has_changed, -each.gap))
    rows = [(each.name, each.now, each.before, f"{each.gap:.0%}", CHANGED if each.has_changed else "")
            for each in order[:SHOWN]]
    left_out = f"<p class=soft>{len(order) - SHOWN} more classes are not shown.</p>" if len(order) > SHOWN else ""
    return _table(("class", "share in use", "share in test", "probabilities that moved", ""), rows) + left_out


def _window_table(found: Comparison) -> str:
    rows = [(f"{each.ended:%Y-%m-%d %H:%M}", f"{each.figures.images:,}",
             share(each.figures.unknown, each.figures.images), share(each.figures.unsure, each.figures.images))
            for each in found.windows[:SHOWN]]
    return _table(("ended, UTC", "images", "unknown", "unsure"), rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple]) -> str:
    head = "".join(f"<th>{_text(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, Share):
        return f"{value.value:.1%}<small>{value.low:.1%} to {value.high:.1%}</small>"
    return _text(str(value))


def _text(text: str) -> str:
    return escape(printable(text))
