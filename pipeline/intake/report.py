"""The report that people read: one HTML file with the pictures in it, the same bytes for the same images."""

import base64
import hashlib
from collections import defaultdict

from pipeline.intake.scan import Scan
from pipeline.intake.scan_cache import ScanCache

PICTURES = 1500         # on all contact sheets of the classes together: about 5 MB
PER_CLASS = 40
SUSPECTS = 60           # groups of copies, and pictures of other suspects, that are shown


def render_report(findings: dict, scan: Scan, cache: ScanCache, images_folder: str) -> str:
    """The HTML: what failed, then suspects, then a contact sheet of each class."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("pipeline.intake", "."), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    forms = {file.path: _form(fingerprint) for file, fingerprint in scan.fingerprints.items()}
    html = environment.get_template("report.html.jinja").render(
        findings=findings, folder=images_folder, picture_of=lambda path: _as_url(cache.thumbnail(path)), forms=forms,
        remains=_remains(findings, cache), sheets=_sheets(scan, findings), suspects=_suspects(findings), limit=SUSPECTS,
    )
    cache.commit()
    return html


def _sheets(scan: Scan, findings: dict) -> dict[str, list[str]]:
    """The paths on each class's contact sheet: drawn by hash, so that a grown class keeps most of its sheet."""
    by_class = defaultdict(list)
    for file in scan.fingerprints:
        by_class[file.label].append(file.path)
    count = max(4, min(PER_CLASS, PICTURES // max(1, len(by_class))))
    return {label: sorted(by_class[label], key=_drawn)[:count] for label in findings["classes"]}


def _drawn(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _remains(findings: dict, cache: ScanCache) -> dict[str, str]:
    """What is left of the first broken pictures."""
    broken = [path for path, reason in findings["unreadable"].items() if reason.startswith(("truncated", "broken"))]
    found = {path: cache.thumbnail(path, is_broken=True) for path in broken[:SUSPECTS]}
    return {path: _as_url(jpeg) for path, jpeg in found.items() if jpeg}


def _suspects(findings: dict) -> list[dict]:
    """Expectations with offending images that are pictures, not classes."""
    return [each for each in findings["expectations"]
            if each["offending"] and each["name"] in ("size", "aspect ratio", "blank images")]


def _as_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _form(fingerprint) -> str:
    size = f"{fingerprint.width_px} × {fingerprint.height_px}"
    return f"{size} {fingerprint.mode} {fingerprint.format}, {fingerprint.size_bytes:,} bytes"
