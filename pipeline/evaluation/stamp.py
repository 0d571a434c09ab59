"""What the report learns after it was made: when its model was judged, and how. It imports nothing that draws."""

from markupsafe import escape

CANDIDATE, GATE = "A candidate, not published.", "The gate has not judged it yet."        # what `stamp` replaces


def stamp(report: str, head: str, verdict: str) -> str:
    """The report with what is known of its model later: its day and commit in the head, and the gate's verdict."""
    return report.replace(CANDIDATE, escape(head), 1).replace(GATE, escape(verdict), 1)
