"""The page of `graft page` in headless Chromium beside `graft predict`.

    python -m benchmarks.page --model MODEL --images FOLDER [--rounds 5]

1. Seconds from the first request to the first answer, each time in a new browser. Fastest and median round.
2. Over the folder: how many pictures get the same label, and the same "unknown", on both sides; and the largest
   difference of a probability.
"""

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from benchmarks import browser
from benchmarks.command import begin
from graft.browser.folder import write_page
from graft.errors import reported
from graft.model.classifier import Classifier
from graft.predict.find import find_model
from graft.predict.rows import rows
from graft.predict.sources import files_below

DESK_PX = 1280, 800
PICTURES = "pictures"
SAME = "label", "is_unknown"
AT_ONCE = 50            # pictures per call into the page
CLASSIFY = """(async () => {
    const {classify} = await import(new URL("page.js", location)), rows = [];
    for (const address of %s) {
        const picture = await (await fetch(address)).blob();
        rows.push(await classify(picture).catch((error) => ({error: error.message})));
    }
    return rows;
})()"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a static web server for the block's duration."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def main() -> None:
    options = begin(__doc__, model=str, images=Path, rounds=5)
    folder = options.images.resolve()
    paths = files_below(str(folder)).images
    with TemporaryDirectory() as name:
        page = write_page(options.model, Path(name, "page"))
        print(f"{page.model}, {page.size_bytes / 1e6:.1f} MB, {len(paths)} pictures")
        (page.folder / PICTURES).symlink_to(folder)
        with served(page.folder) as address:
            took = [first_answer_s(address, Path(paths[0])) for _ in range(options.rounds)]
            print(f"first answer  {min(took):.2f} s fastest, {statistics.median(took):.2f} s median (target: below 2)")
            names = [f"{PICTURES}/{quote(Path(path).relative_to(folder).as_posix())}" for path in paths]
            compare(Classifier(find_model(options.model)[1]), paths, answers(address, names))


def first_answer_s(address: str, picture: Path) -> float:
    with browser.tab() as tab:
        began = time.perf_counter()
        tab.open(address, *DESK_PX)
        tab.choose_files("#file", [picture])
        tab.wait_for("document.querySelector('article .row, article .bad')")
        return time.perf_counter() - began


def answers(address: str, names: list[str]) -> list[dict]:
    """The page's answers for pictures beside it, or an `error` each."""
    with browser.tab() as tab:
        tab.open(address, *DESK_PX)
        parts = [names[start:start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
        return [row for part in parts for row in tab.run(CLASSIFY % json.dumps(part))]


def compare(classifier: Classifier, paths: list[str], found: list[dict]) -> None:
    with rows(classifier, paths) as expected:
        pairs = list(zip(found, expected))
    both = [pair for pair in pairs if not any("error" in row for row in pair)]
    labels, unknown = (sum(here[key] == there[key] for here, there in both) / len(both) for key in SAME)
    apart = max(abs(share - there["probabilities"][name])
                for here, there in both for name, share in here["probabilities"])
    one = sum(("error" in here) != ("error" in there) for here, there in pairs)
    print(f"same label    {labels:.2%} of {len(both)} (target: at least 99.5%); same \"unknown\" {unknown:.2%}")
    print(f"probability   {apart:.1e} apart at most; read by one side only: {one}")


if __name__ == "__main__":
    with reported():
        main()
