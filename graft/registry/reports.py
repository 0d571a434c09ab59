"""The pages that a version carries: what its training run reported."""

from collections.abc import Iterable
from pathlib import Path

from graft.errors import GraftError
from graft.registry.manifest import README
from graft.registry.retrieval import Pulled, pull

FIRST = ("report.html", "gate.html", "data.html")      # what people look at first


def fetch_reports(model: str, registry: str | None = None) -> tuple[str, list[Path]]:
    """Fetch and check a version's attachments.

    Args:
        model: an address such as `pets` (the champion) or `pets@3`; see `graft.registry.pull`.
        registry: the registry of an address that does not include one.

    Returns:
        `NAME@NUMBER`; and its pages, the report on the model first.

    Raises:
        GraftError: if there is no such version, or it carries no page.
    """
    pulled = pull(model, registry=registry, attachments=True)
    name, folder = f"{pulled.name}@{pulled.version}", pulled.folder / "attachments"
    if pages := pages_of(path.name for path in folder.glob("*")):
        return name, [folder / page for page in pages]
    raise GraftError(f"{name} carries no report: it was published without one. `graft publish … --attach "
                     "report.html`, or a training run, gives one to the next version.")


def pages_of(attachments: Iterable[str]) -> list[str]:
    """The names of the HTML pages among these names, the report on the model first."""
    pages = sorted(name for name in attachments if name.endswith(".html"))
    return [*(name for name in FIRST if name in pages), *(name for name in pages if name not in FIRST)]


def read_card(model: str, registry: str | None = None) -> tuple[Pulled, str | None]:
    """A version, and the text of its card without the front matter; None if it was published without a card.

    Args:
        model, registry: see `fetch_reports`.

    Raises:
        GraftError: if there is no such version.
    """
    pulled = pull(model, registry=registry, attachments=True)
    return pulled, card_in(pulled.folder)


def card_in(folder: Path) -> str | None:
    """The text of the card in a version's folder, without the front matter; None if there is none."""
    path = folder / README
    if not path.is_file():
        return None
    return path.read_text(encoding="utf-8", errors="replace").split("\n---\n", 1)[-1].strip()
