"""Render pages from templates, with every value escaped, and the number formats that all pages share."""

import re
from pathlib import Path

import jinja2

from graft.errors import printable
from graft.pages import POLICY, frame

NAMES = {       # key -> how it reads, if that is not just its words
    "held_out_accuracy": "held-out accuracy", "roc_auc": "ROC AUC", "f1": "F1",
    "log_loss_uncalibrated": "log loss before calibration",
    "calibration_error_uncalibrated": "calibration error before calibration",
    "unknown_share": "share of “unknown” answers", "weights_sha256": "SHA-256 of the weights",
}


def render(template: Path, title: str, policy: str = POLICY, **values) -> str:
    """Render a template as a page. A value that the template uses and does not get is an error.

    Args:
        template: the page's body; it may include other files of its folder.
        title: of the page; the template has it, too.
        policy: what the page may do, see `graft.pages.frame`.
        values: what the template uses.
    """
    return frame(title, _fill(template, True, title=title, **values), policy)


def render_markdown(template: Path, **values) -> str:
    """Render a template of Markdown, which passes what others wrote through `quoted`."""
    return _fill(template, False, **values) + "\n"


def _fill(template: Path, is_html: bool, **values) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent), autoescape=is_html, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, words=words, short=short, quoted=quoted)
    environment.globals.update(percent=percent, number=number)
    return environment.get_template(template.name).render(**values)


def percent(share: float | None) -> str:
    """Format a share as `97.3%`; an undefined one as a dash."""
    return "–" if share is None or share != share else f"{share:.1%}"


def number(value: float | None) -> str:
    """Format a number with three significant digits; an undefined one as a dash."""
    return "–" if value is None or value != value else f"{value:.3g}"


def words(name: str) -> str:
    """How a key reads: `val_loss` -> `val loss`."""
    return NAMES.get(name, name.replace("_", " "))


def short(name: str, at_most: int = 22) -> str:
    """Shorten a long name in its middle: class names differ at the end as often as at the beginning."""
    kept = at_most - 1
    return name if len(name) <= at_most else f"{name[:kept - kept // 2].rstrip()}…{name[-(kept // 2):].lstrip()}"


def quoted(text: str) -> str:
    """Markdown that shows a text of others, such as a class's name, as it is: no link, picture or HTML in it works."""
    return re.sub(r"([\\`*_\[\]<>|#!~&]|:(?=//))", r"\\\1", printable(text))
