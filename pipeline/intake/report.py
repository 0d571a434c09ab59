"""The data report: one self-contained HTML file with thumbnails; the same images give the same bytes."""

import base64
import hashlib
from collections import defaultdict
from pathlib import Path

from pipeline.intake.scan import Scan
from pipeline.intake.scan_cache import ScanCache
from pipeline.pages import render

PICTURES = 1500         # thumbnails on the contact sheets of all classes together: about 5 MB
PER_CLASS = 40
BROKEN = ("truncated", "broken")       # the beginnings of the reasons with which a part of a picture remains
SUSPECTS = 60           # groups of duplicates, and pictures of other suspects, that are shown


def render_report(findings: dict, scan: Scan, cache: ScanCache, images_folder: str) -> str:
    """Render the HTML: the expectations, then suspects, then a contact sheet of each class.

    Args:
        findings: see `findings.collect`.
        scan: what was read of each file.
        cache: has the thumbnails, or makes them.
        images_folder: the name in the title.
    """
    forms = {file.path: _form(fingerprint) for file, fingerprint in scan.fingerprints.items()}
    sheets = _sheets(scan, findings)
    cache.make_thumbnails([path for paths in sheets.values() for path in paths])
    html = render(
        Path(__file__).with_name("data_report.html"), f"{images_folder}: data report",
        findings=findings, picture_of=lambda path: _as_url(cache.thumbnail(path)), forms=forms,
        remains=_remains(findings, cache), sheets=sheets, suspects=_suspects(findings), limit=SUSPECTS,
    )
    cache.commit()
    return html


def _sheets(scan: Scan, findings: dict) -> dict[str, list[str]]:
    """The paths on each class's contact sheet, drawn by hash so that a growing class keeps most of its sheet."""
    by_class = defaultdict(list)
    for file in scan.fingerprints:
        by_class[file.label].append(file.path)
    count = max(1, min(PER_CLASS, PICTURES // max(1, len(by_class))))
    return {label: sorted(by_class[label], key=_drawn)[:count] for label in findings["classes"]}


def _drawn(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _remains(findings: dict, cache: ScanCache) -> dict[str, str]:
    """Path -> thumbnail of what remains, for the first broken pictures."""
    broken = [path for path, reason in findings["unreadable"].items() if reason.startswith(BROKEN)]
    found = {path: cache.thumbnail(path, is_broken=True) for path in broken[:SUSPECTS]}
    return {path: _as_url(jpeg) for path, jpeg in found.items() if jpeg}


def _suspects(findings: dict) -> list[dict]:
    """The expectations whose offending images are worth looking at."""
    return [each for each in findings["expectations"]
            if each["offending"] and each["name"] in ("size", "aspect ratio", "blank images")]


def _as_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _form(fingerprint) -> str:
    size = f"{fingerprint.width_px} × {fingerprint.height_px}"
    values = f" ({fingerprint.value_range})" if fingerprint.value_range else ""
    return f"{size} {fingerprint.mode}{values} {fingerprint.format}, {fingerprint.size_bytes:,} bytes"
