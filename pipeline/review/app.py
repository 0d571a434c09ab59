"""The page on which people decide, and the routes that it uses. Whoever knows the address may decide.

    GET  /TOKEN/                    the page
    GET  /TOKEN/queue               every finding, what may be decided about it, and what was decided
    GET  /TOKEN/pictures/SHA256     an image of a finding, made smaller
    POST /TOKEN/decisions           write decisions, or take them back

The token is drawn at each start. No page of another origin can know it, nor can other users of this machine; and only
JSON is taken, which no form sends.
"""

import io
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from graft.errors import GraftError, UnreadableImage
from graft.images import decode, read_bytes
from graft.pages import SERVED
from graft.server.hosts import KnownHosts
from pipeline.intake.decisions import DROP, KEEP, LABEL, Decision, change, read_decisions
from pipeline.intake.fingerprint import take_remains
from pipeline.intake.report import BROKEN
from pipeline.pages import render
from pipeline.review.inbox import Inbox, fault, of_copies
from pipeline.review.queue import KINDS, Finding, Picture, as_json

PREVIEW_PX = 640        # the longer side of a picture on the page
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
           "Cross-Origin-Resource-Policy": "same-origin"}
Digest = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]


@dataclass
class Review:
    """What is reviewed.

    Attributes:
        images: the folder.
        table: the table of decisions.
        findings: the queue.
        class_names: what a label may be.
        by: who decides.
        commands: what is to be run afterwards.
        inbox: the collected pictures, if findings are about any.
    """

    images: Path
    table: Path
    findings: list[Finding]
    class_names: list[str]
    by: str
    commands: list[str]
    inbox: Inbox | None = None
    by_id: dict[str, Finding] = field(init=False)
    pictures: dict[str, tuple[Picture, Finding]] = field(init=False)

    def __post_init__(self):
        self.by_id = {each.id: each for each in self.findings}
        self.pictures = {each.sha256: (each, finding) for finding in self.findings for each in finding.pictures}

    def decided(self) -> dict[str, str]:
        """sha256 -> decision, as it is on the disk now."""
        return {key: each.decision for key, each in read_decisions(self.table).items()}

    def open(self) -> list[Finding]:
        """The findings that are not settled."""
        decided = self.decided()
        return [each for each in self.findings if not each.is_settled(decided)]

    def decide(self, finding: Finding, decisions: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, str]:
        """Write the decisions on a finding; empty ones are taken back. See `pipeline.intake.decisions.change`."""
        return self.write(self.rows(finding, decisions), with_copies(finding, expected))

    def write(self, rows: dict[str, Decision | None], expected: Mapping[str, str]) -> dict[str, str]:
        """The same for rows of the table; collected pictures are put into the data set, or taken out of it."""
        changed = change(self.table, rows, expected, self.inbox and partial(self.inbox.around, rows))
        if not changed:
            labels = dict.fromkeys(each.label for each in rows.values() if each and each.label)
            self.class_names += [each for each in labels if each not in self.class_names]
        return changed

    def rows(self, finding: Finding, decisions: Mapping[str, str]) -> dict[str, Decision | None]:
        """The rows of the table for the decisions on a finding, and on near-copies of its pictures."""
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {key: self._row(finding, key, each, at) if each else None
                for key, each in with_copies(finding, decisions).items()}

    def _row(self, finding: Finding, sha256: str, decision: str, at: str) -> Decision:
        picture = next(each for each in finding.pictures if sha256 in (each.sha256, *each.copies))
        if not finding.is_collected or not self.inbox:
            return Decision(sha256, picture.path, decision, finding.reason, self.by, at)
        what = f"near-copy of {picture.path}" if sha256 in picture.copies else picture.note
        return Decision(sha256, self.inbox.path_of(sha256, decision), decision,
                        f"collected in {self.inbox.place}: {what}", self.by, at)

    def path_of(self, picture: Picture, finding: Finding) -> Path:
        """Where a picture of a finding is on this machine."""
        return (self.inbox.folder if finding.is_collected and self.inbox else self.images) / picture.path


def with_copies(finding: Finding, decisions: Mapping[str, str]) -> dict[str, str]:
    """The decisions on pictures of a finding, and those that follow on their near-copies."""
    followed = {copy: of_copies(decisions[each.sha256]) for each in finding.pictures if each.sha256 in decisions
                for copy in each.copies}
    return dict(decisions) | followed


class Asked(BaseModel):
    """A request to write decisions: sha256 -> decision, or empty; and what the page believes to be written."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=64)
    decisions: dict[str, str] = Field(min_length=1)
    expected: dict[str, str]


def create_app(review: Review, token: str, names: Collection[str] = ()) -> FastAPI:
    """Create the application.

    Args:
        token: the first part of every path, see `new_token`.
        names: the host names to which it answers; see `graft.server.hosts`.
    """
    app, router = FastAPI(openapi_url=None), APIRouter(prefix=f"/{token}")
    app.add_middleware(KnownHosts, names=names)
    _add_reading(router, review)
    _add_writing(router, review)
    app.include_router(router)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)        # browsers ask for it, and would complain

    @app.exception_handler(GraftError)
    @app.exception_handler(OSError)
    async def explain(_: object, error: Exception) -> Response:
        why = f"{error.filename}: {error.strerror}. Nothing was written." if isinstance(error, OSError) else str(error)
        return JSONResponse({"detail": why}, 500)

    return app


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(16)


def _add_reading(router: APIRouter, review: Review) -> None:
    page = render(Path(__file__).with_name("page.html"), f"{review.images.name}: review", policy=SERVED,
                  commands=review.commands, has_inbox=review.inbox is not None)
    found = json.dumps({"kinds": {name: asdict(kind) for name, kind in KINDS.items()},
                        "findings": [as_json(each) for each in review.findings]})

    @router.get("/")
    def show() -> HTMLResponse:
        return HTMLResponse(page, headers={**HEADERS, "Content-Security-Policy": f"{SERVED}; frame-ancestors 'none'"})

    @router.get("/queue")
    def queue() -> Response:
        now = json.dumps({"decided": review.decided(), "classes": review.class_names})
        return Response(f"{now[:-1]}, {found[1:]}", media_type="application/json",
                        headers={**HEADERS, "Cache-Control": "no-store"})

    @router.get("/pictures/{sha256}")
    def picture(sha256: Digest) -> Response:
        if sha256 not in review.pictures:
            raise HTTPException(404, "no picture of a finding")
        shown, finding = review.pictures[sha256]
        make = remains if finding.kind == "unreadable" else preview
        jpeg = make(review.path_of(shown, finding), shown.note)
        return Response(jpeg, 200 if jpeg else 404, media_type="image/jpeg",
                        headers={**HEADERS, "Cache-Control": "private, max-age=86400, immutable"})


def _add_writing(router: APIRouter, review: Review) -> None:
    @router.post("/decisions")
    def decide(request: Request, asked: Asked) -> JSONResponse:
        _require_own_page(request)
        finding = review.by_id.get(asked.id)
        if finding is None or not asked.decisions.keys() <= set(finding.sha256s):
            raise HTTPException(404, "no such finding: open the page again")
        is_wrong = fault if finding.is_collected else _fault
        if wrong := [why for each in asked.decisions.values() if (why := is_wrong(each, review.class_names))]:
            raise HTTPException(422, wrong[0])
        if changed := review.decide(finding, asked.decisions, asked.expected):
            return JSONResponse({"decided": changed}, 409)
        return JSONResponse({"decided": asked.decisions})


def _require_own_page(request: Request) -> None:
    """Refuse what no page of this server sent. A page of another origin may send a form, or say whose it is."""
    origin, kind = request.headers.get("origin"), request.headers.get("content-type", "")
    if kind.partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "expected JSON")
    if origin is not None and origin != f"http://{request.headers.get('host')}":
        raise HTTPException(403, "the request comes from a page of another origin")


def _fault(decision: str, class_names: Collection[str]) -> str:
    is_label = decision.startswith(LABEL) and decision.removeprefix(LABEL) in class_names
    return "" if decision in ("", KEEP, DROP) or is_label else f"'{decision}' is no decision"


def remains(path: Path, reason: str) -> bytes:
    """What can still be seen of a broken file, as JPEG; b"" if nothing can."""
    return take_remains(path) if reason.startswith(BROKEN) else b""


def preview(path: Path, _: str) -> bytes:
    """A picture of at most `PREVIEW_PX` as JPEG; b"" if the file cannot be read by now."""
    try:
        image = decode(read_bytes(path), at_least=(PREVIEW_PX // 2, PREVIEW_PX // 2))
    except UnreadableImage:
        return b""
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
