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
    """

    images: Path
    table: Path
    findings: list[Finding]
    class_names: list[str]
    by: str
    commands: list[str]
    by_id: dict[str, Finding] = field(init=False)
    pictures: dict[str, tuple[Picture, str]] = field(init=False)

    def __post_init__(self):
        self.by_id = {each.id: each for each in self.findings}
        self.pictures = {each.sha256: (each, finding.kind) for finding in self.findings for each in finding.pictures}

    def decided(self) -> dict[str, str]:
        """sha256 -> decision, as it is on the disk now."""
        return {key: each.decision for key, each in read_decisions(self.table).items()}

    def open(self) -> list[Finding]:
        """The findings that are not settled."""
        decided = self.decided()
        return [each for each in self.findings if not each.is_settled(decided)]

    def decide(self, finding: Finding, decisions: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, str]:
        """Write the decisions on a finding; empty ones are taken back. See `pipeline.intake.decisions.change`."""
        return change(self.table, self.rows(finding, decisions), expected)

    def rows(self, finding: Finding, decisions: Mapping[str, str]) -> dict[str, Decision | None]:
        """The rows of the table for the decisions on a finding."""
        paths = {each.sha256: each.path for each in reversed(finding.pictures)}
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {key: Decision(key, paths[key], each, finding.reason, self.by, at) if each else None
                for key, each in decisions.items()}


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

    @app.exception_handler(GraftError)
    async def explain(_: object, error: GraftError) -> Response:
        return JSONResponse({"detail": str(error)}, 500)

    return app


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(16)


def _add_reading(router: APIRouter, review: Review) -> None:
    page = render(Path(__file__).with_name("page.html"), f"{review.images.name}: review", policy=SERVED,
                  commands=review.commands)
    found = json.dumps({"kinds": {name: asdict(kind) for name, kind in KINDS.items()}, "classes": review.class_names,
                        "findings": [as_json(each) for each in review.findings]})

    @router.get("/")
    def show() -> HTMLResponse:
        return HTMLResponse(page, headers={**HEADERS, "Content-Security-Policy": f"{SERVED}; frame-ancestors 'none'"})

    @router.get("/queue")
    def queue() -> Response:
        return Response(f'{{"decided": {json.dumps(review.decided())}, {found[1:]}', media_type="application/json",
                        headers={**HEADERS, "Cache-Control": "no-store"})

    @router.get("/pictures/{sha256}")
    def picture(sha256: Digest) -> Response:
        if sha256 not in review.pictures:
            raise HTTPException(404, "no picture of a finding")
        shown, kind = review.pictures[sha256]
        jpeg = (remains if kind == "unreadable" else preview)(review.images / shown.path, shown.note)
        return Response(jpeg, 200 if jpeg else 404, media_type="image/jpeg",
                        headers={**HEADERS, "Cache-Control": "private, max-age=86400, immutable"})


def _add_writing(router: APIRouter, review: Review) -> None:
    @router.post("/decisions")
    def decide(request: Request, asked: Asked) -> JSONResponse:
        _require_own_page(request)
        finding = review.by_id.get(asked.id)
        if finding is None or not asked.decisions.keys() <= set(finding.sha256s):
            raise HTTPException(404, "no such finding: open the page again")
        if wrong := [each for each in asked.decisions.values() if not _is_decision(each, review.class_names)]:
            raise HTTPException(422, f"'{wrong[0]}' is no decision")
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


def _is_decision(text: str, class_names: Collection[str]) -> bool:
    return text in ("", KEEP, DROP) or (text.startswith(LABEL) and text.removeprefix(LABEL) in class_names)


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
