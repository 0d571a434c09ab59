"""The served version's model card as a page. Whoever published it wrote the text: it stays text."""

import re
from html import escape

from graft.errors import LINES, printable
from graft.pages import frame

LONGEST = 200_000       # characters that are shown
NO_CARD = "It carries no card: it was published without one."
HEADING = re.compile(r"^(#{1,3}) (.*)$", re.MULTILINE)
# Markdown inside a line, as the card has it: an escaped character, bold words, code
INLINE = re.compile(r"\\([^\w\s])|\*\*(.+?)\*\*|`([^`]+)`")


def as_page(name: str, card: str | None) -> str:
    """A page with a version's card.

    Args:
        name: NAME@NUMBER, or that of a folder.
        card: Markdown without its front matter; None if the version has none.
    """
    text = printable(card, LINES)[:LONGEST] if card else ""
    body = as_html(text) if text else f"<h1>{escape(name)}</h1>\n<p>{NO_CARD}</p>"
    return frame(f"{name} · card", f'<nav><a href="./">Predict</a></nav>\n{body}')


def as_html(text: str) -> str:
    """The headings, tables, lists, code and paragraphs of a card; other Markdown and all HTML stay text."""
    apart = HEADING.sub(r"\n\n\g<0>\n\n", text)
    return "\n".join(map(_block, re.split(r"\n{2,}", apart.strip())))


def _block(block: str) -> str:
    lines = block.split("\n")
    first = lines[0]
    if heading := HEADING.match(first):
        level = len(heading[1])
        return f"<h{level}>{_inline(heading[2])}</h{level}>"
    if first.startswith("```"):
        code = "\n".join(line for line in lines if not line.startswith("```"))
        return f"<pre><code>{escape(code)}</code></pre>"
    if first.startswith("|"):
        return _table(lines)
    if first.startswith("- "):
        return "<ul>" + "".join(f"<li>{_inline(line.removeprefix('- '))}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines: list[str]) -> str:
    rows = [re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|")) for line in lines]
    head, *others = rows
    cells = [f"<tr>{''.join(f'<td>{_inline(each.strip())}</td>' for each in row)}</tr>" for row in others[1:]]
    names = "".join(f"<th>{_inline(each.strip())}</th>" for each in head)
    return f'<div class="scroll"><table class="words"><tr>{names}</tr>{"".join(cells)}</table></div>'


def _inline(text: str) -> str:
    parts, at = [], 0
    for found in INLINE.finditer(text):
        plain, bold, code = found.groups()
        inside = escape(plain) if plain else f"<b>{_inline(bold)}</b>" if bold else f"<code>{escape(code)}</code>"
        parts += [escape(text[at : found.start()]), inside]
        at = found.end()
    return "".join([*parts, escape(text[at:])])
