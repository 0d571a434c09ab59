"""Draw the pictures of README.md: a run in Prefect's UI, the evaluation report, the page of `graft serve`.

    python -m docs.pictures [FOLDER]

Runs the demo against a Prefect server of its own, on a copy of the project in FOLDER (default: a temporary folder),
then photographs each page in headless Chromium, which takes two minutes. Look at the pictures before you commit them.
"""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from PIL import Image, ImageDraw

from benchmarks import browser
from benchmarks.prefect_server import Server, end, free_port, wait_for
from benchmarks.scratch import ROOT, Project
from graft.errors import reported

PICTURES = ROOT / "docs"
SCALE = 2                               # pixels of a picture per CSS pixel
RUN_PX, PORTRAIT_PX = (1160, 575), (600, 950)
UNSURE = "data/sample/3/1130.png"       # a test image whose answer is right, but not certain
SHORTEN = """                           // the report is ten screens long: keep what fits into one
    const part = name => document.querySelector(name).closest("body > *");
    const heading = each => each.matches("h2, h3") ? each : heading(each.previousElementSibling);
    const [matrix, heatmaps] = [part(".matrix"), part(".pairs")];
    document.body.replaceChildren(part("h1"), part(".verdict"), heading(matrix), matrix, heading(heatmaps), heatmaps);
    document.querySelectorAll(".pairs figure").forEach((figure, index) => index < 2 || figure.remove());
    document.body.style.zoom = 0.87;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="an empty or missing folder, which is kept")
    folder = parser.parse_args().folder
    with TemporaryDirectory() as temporary:
        draw((folder or Path(temporary)).resolve())


def draw(folder: Path) -> None:
    """Run the demo in `folder` and photograph the three pages."""
    # a relative registry: its address is in the picture
    project, places = Project(folder / "project"), {"GRAFT_REGISTRY": "registry", "GRAFT_HOME": str(folder / "home")}
    server = Server(folder / "prefect")
    try:
        print(project.run("python", "-m", "flows.demo", **places, PREFECT_API_URL=server.api).stdout)
        with browser.tab() as tab, served("digits", project.folder, project.environment(**places)) as address:
            photograph_run(tab, server, PICTURES / "run.png")
            photograph_report(tab, project.folder / "outputs/gate/report.html", PICTURES / "report.png")
            images = [project.folder / UNSURE, draw_smile(folder / "smile.png")]
            photograph_page(tab, address, images, PICTURES / "page.png")
    finally:
        server.stop()


def photograph_run(tab: browser.Tab, server: Server, path: Path) -> None:
    """The page of the server's only run, in Prefect's UI."""
    [run] = server.ask("flow_runs/filter", {})
    tab.open(server.api.replace("/api", f"/runs/flow-run/{run['id']}"), *RUN_PX, scale=SCALE)
    tab.wait_for("document.querySelector('canvas')")
    tab.run("new Promise(resolve => setTimeout(resolve, 4000))")        # the graph glides to its place
    save(tab, path)


def photograph_report(tab: browser.Tab, report: Path, path: Path) -> None:
    """Parts of an evaluation report."""
    tab.open(report.as_uri(), *PORTRAIT_PX, scale=SCALE)
    tab.run(SHORTEN)
    save(tab, path)


def photograph_page(tab: browser.Tab, address: str, images: list[Path], path: Path) -> None:
    """The web page of `graft serve` with its answers for `images`, the first on top."""
    tab.open(address, *PORTRAIT_PX, scale=SCALE)
    for number, image in enumerate(reversed(images), 1):
        tab.drop_files("#drop", [image])
        tab.wait_for(f"document.querySelectorAll('article ol').length == {number}")
    save(tab, path)


@contextmanager
def served(model: str, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of `graft serve MODEL`, run in `folder` until the block ends."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "graft.cli", "serve", model, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        wait_for(lambda: is_ready(address))
        yield address
    finally:
        end(process)


def is_ready(address: str) -> bool:
    try:
        return urlopen(f"{address}/readyz", timeout=5).status == 200
    except URLError:
        return False


def draw_smile(path: Path) -> Path:
    """A picture unlike any digit."""
    image = Image.new("RGB", (1280, 1280), "#2f6f8f")
    brush = ImageDraw.Draw(image)
    brush.ellipse((200, 200, 1080, 1080), fill="#ffd34d")
    for left in (440, 720):
        brush.ellipse((left, 460, left + 120, 600), fill="#333333")
    brush.arc((400, 480, 880, 900), 20, 160, fill="#333333", width=40)
    image.resize((320, 320)).save(path)
    return path


def save(tab: browser.Tab, path: Path) -> None:
    """Save what the window shows, with a palette: a third of the bytes."""
    tab.screenshot(path, whole_page=False)
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {image.width} × {image.height} px, {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    with reported():
        main()
