"""The frame of every page for people: one look, light and dark, on a desk and a phone, and nothing from outside."""

from html import escape
from pathlib import Path

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SCRIPTED = f"{POLICY}; script-src 'unsafe-inline'"
SERVED = f"{SCRIPTED}; connect-src 'self'".replace("img-src data:", "img-src 'self' data:")     # talks to its server
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def frame(title: str, body: str, policy: str = POLICY) -> str:
    """A whole page.

    Args:
        title: as text.
        body: as HTML.
        policy: its Content-Security-Policy, such as `SCRIPTED` (its scripts may run) or `SERVED`.
    """
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return _FRAME.format(title=escape(title), body=body, style=style, policy=policy)
