"""Render pages from templates, with every value escaped, and the number formats that all pages share."""

import re
from pathlib import Path

import jinja2

from graft.errors import printable

TEMPLATES = Path(__file__).parent / "templates"
NAMES = {       # key -> how it reads, if that is not just its words
    "roc_auc": "ROC AUC", "f1": "F1", "log_loss_uncalibrated": "log loss before calibration",
    "calibration_error_uncalibrated": "calibration error before calibration",
    "unknown_share": "share of “unknown” answers", "weights_sha256": "SHA-256 of the weights",
}


def render(template: str, **values) -> str:
    """Render a template of `templates/`. A value that the template uses and does not get is an error.

    HTML is escaped everywhere; a template of Markdown passes what others wrote through `quoted`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=not template.endswith(".md"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, number=number, words=words, short=short,
                               quoted=quoted)
    environment.globals.update(percent=percent, number=number)
    return environment.get_template(template).render(**values)


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
