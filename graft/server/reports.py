"""Serve the pages that published versions carry, for links that open in any browser.

    GET /                       every version, the newest of each model first, with its pages
    GET /pets@7/report.html     a page of a version; /pets/report.html of the champion
"""

from collections.abc import Collection
from html import escape
from typing import Annotated

from fastapi import FastAPI, Path
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from graft.errors import GraftError, printable
from graft.pages import POLICY, SCRIPTED, frame
from graft.registry.address import NAME_PATTERN
from graft.registry.listing import HEADER, find_versions, row_of
from graft.registry.manifest import Manifest
from graft.registry.reports import fetch_reports, pages_of
from graft.server.hosts import KnownHosts

Model = Annotated[str, Path(pattern=f"^{NAME_PATTERN}(@{NAME_PATTERN})?$")]
TITLE = "Published models"
READS = {"report.html": "report", "gate.html": "gate", "data.html": "data", "data_docs.html": "expectations"}
# what a page contains was written by whoever published it: its scripts get an origin of their own
FOREIGN = {"Content-Security-Policy": f"{SCRIPTED}; frame-ancestors 'none'; sandbox allow-scripts",
           "X-Content-Type-Options": "nosniff"}


def create_reports_app(registry: str | None, names: Collection[str] = ()) -> FastAPI:
    """Create the application.

    Args:
        registry: `s3://bucket/prefix` or a folder; by default `default_registry()`.
        names: the host names to which it answers, beside this machine's; see `graft.server.hosts`.
    """
    app = FastAPI(openapi_url=None)
    app.add_middleware(KnownHosts, names=names)

    @app.exception_handler(GraftError)
    async def explain(_: object, error: GraftError) -> Response:
        return PlainTextResponse(printable(error) + "\n", 404)

    @app.get("/")
    def show_versions() -> HTMLResponse:
        return HTMLResponse(list_as_page(*find_versions(registry)), headers={"Content-Security-Policy": POLICY})

    @app.get("/{model}/{page}")
    def show_page(model: Model, page: str) -> Response:
        name, pages = fetch_reports(model, registry)
        for path in pages:
            if path.name == page:
                return FileResponse(path, media_type="text/html; charset=utf-8", headers=FOREIGN)
        raise GraftError(f"{name} carries no page {page}, but {', '.join(path.name for path in pages)}.")

    return app


def list_as_page(versions: list[tuple[Manifest, str]], damaged: list[str]) -> str:
    """A page with a row for each version and its state, and links to its pages; and what is damaged."""
    heads = "".join(f"<th>{each}</th>" for each in (*HEADER, "commit", "pages"))
    rows = "".join(f"<tr>{_cells(*each)}</tr>\n" for each in versions)
    table = f'<div class="scroll"><table class="words">\n<tr>{heads}</tr>\n{rows}</table></div>'
    notes = "".join(f'<p class="bad">Not listed: {escape(printable(each))}</p>\n' for each in damaged)
    return frame(TITLE, f"<h1>{TITLE}</h1>\n{table}\n{notes}")


def _cells(version: Manifest, state: str) -> str:
    texts = [*row_of(version, state), str(version.facts.get("commit") or "")[:7]]
    links = [f'<a href="/{version.name}@{version.number}/{escape(page)}">{escape(READS.get(page, page))}</a>'
             for page in pages_of(version.attachments)]
    return "".join(f"<td>{escape(printable(text))}</td>" for text in texts) + f"<td>{' '.join(links)}</td>"
