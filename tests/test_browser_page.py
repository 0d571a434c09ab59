"""The page without a server, in a real browser: its pixels, answers and words, and what it takes to write it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_server import live_server
from PIL import Image, ImageCms, ImageDraw
from tiny_bundle import IMAGE_SIZE, make_bundle, make_images

from benchmarks import browser
from benchmarks.page import CLASSIFY, served
from graft.browser import runtime
from graft.browser.folder import FILES, NEVER_UNKNOWN, NEVER_UNSURE, write_page
from graft.cli import main as cli
from graft.errors import GraftError
from graft.images import read_image
from graft.model import bundle
from graft.model.bundle import read_description, write_description
from graft.model.classifier import Classifier

SCREENSHOTS = os.environ.get("GRAFT_SCREENSHOTS")       # a folder, to look at them
in_browser = pytest.mark.skipif(browser.executable() is None, reason="Chromium is not installed")
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """onnxruntime-web, fetched as a user's first page does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_HOME", str(tmp_path_factory.mktemp("home")))
        try:
            runtime.read_runtime()
        except GraftError as error:
            pytest.skip(str(error))
        return runtime.home() / runtime.PACKAGE / runtime.ARCHIVE


@pytest.fixture(scope="module")
def write(archive, tmp_path_factory):
    return lambda bundle, **options: write_page(bundle, tmp_path_factory.mktemp("page"), runtime=archive, **options)


@pytest.fixture(scope="module")
def page(write, model):
    return write(model)


@pytest.fixture(scope="module")
def address(page):
    with served(page.folder) as url:
        yield url


@pytest.fixture(scope="module")
def tab():
    with browser.tab() as opened:
        yield opened


def photograph(side_px=(300, 200)) -> Image.Image:
    """A picture with edges and gradients, whose every part is different."""
    width, height = side_px
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((width // 9, height // 7, width // 2, height // 2), (255, 240, 10), "black", 5)
    return image


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = 6           # a quarter turn
    return exif


def transparent() -> Image.Image:
    image = photograph().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def swapped() -> bytes:
    """A colour profile that takes red for green. Graft reads the values as they are stored."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


PICTURES = {        # file -> how it is made, and by how much a pixel may differ
    "plain.png": (lambda path: photograph().save(path), 0),
    "small.png": (lambda path: photograph((7, 9)).save(path), 0),
    "same.png": (lambda path: photograph(IMAGE_SIZE[::-1]).save(path), 0),
    "line.png": (lambda path: photograph((900, 1)).save(path), 0),
    "tall.png": (lambda path: photograph((11, 700)).save(path), 0),         # more rows than are drawn at once
    "palette.gif": (lambda path: photograph().quantize(16).save(path), 0),
    "grey.png": (lambda path: photograph().convert("L").save(path), 0),
    "alpha.png": (lambda path: transparent().save(path), 1),
    "lossless.webp": (lambda path: photograph().save(path, lossless=True), 0),
    "photo.jpg": (lambda path: photograph((60, 44)).save(path), 1),
    "turned.jpg": (lambda path: photograph((60, 44)).save(path, exif=turned()), 1),
    "grey.jpg": (lambda path: photograph((60, 44)).convert("L").save(path), 1),
    "large.jpg": (lambda path: photograph((1600, 1205)).save(path), 4),     # Pillow decodes an eighth of its size
    "profile.jpg": (lambda path: photograph((60, 44)).save(path, icc_profile=swapped()), 1),
}


@pytest.fixture(scope="module")
def pictures(page):
    """The pictures, beside the page and so in reach of its scripts."""
    folder = page.folder / "pictures"
    folder.mkdir()
    for name, (save, _) in PICTURES.items():
        save(folder / name)
    return folder


@in_browser
@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_that_graft_reads(tab, address, pictures, name):
    if tab.run("location.href") != address:
        tab.open(address, 1280, 800)
    height, width = IMAGE_SIZE
    found = tab.run(f"""(async () => {{
        const {{readPixels}} = await import(new URL("pixels.js", location));
        return [...await readPixels(await (await fetch("pictures/{name}")).blob(), {height}, {width})];
    }})()""")
    expected = read_image(pictures / name, IMAGE_SIZE).astype(int)
    differences = np.abs(np.reshape(found, expected.shape) - expected)
    assert differences.max() <= PICTURES[name][1]
    assert differences.mean() <= 0.5


@in_browser
def test_answers_are_those_of_predict(tab, address, model, pictures):
    tab.open(address, 1280, 800)
    rows = tab.run(CLASSIFY % json.dumps([f"pictures/{name}" for name in PICTURES]))
    classifier = Classifier(model)
    for (name, (_, apart)), row in zip(PICTURES.items(), rows):
        expected, abs_error = classifier.predict(pictures / name), 1e-3 if apart else 1e-6
        assert (row["label"], row["is_unknown"], row["is_unsure"]) == (expected.label, expected.is_unknown, False)
        assert dict(row["probabilities"]) == pytest.approx(expected.probabilities, abs=abs_error)
        assert row["unknown_score"] == pytest.approx(expected.unknown_score, rel=10 * abs_error)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = make_images(tmp_path_factory.mktemp("images"), images=1, spread=5)
    Image.new("RGB", (400, 300), (255, 0, 255)).save(folder / "strange.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    Image.fromarray(np.full((9, 9), 1000, np.uint16)).save(folder / "deep.png")
    return folder


def read_cards(tab) -> list[dict]:
    return tab.run("""[...document.querySelectorAll('article')].map((card) => ({
        said: card.querySelector('h2').textContent, text: card.textContent,
        shares: Object.fromEntries([...card.querySelectorAll('.row')].map((row) =>
            [row.firstChild.textContent, row.lastChild.textContent])),
        widths: [...card.querySelectorAll('.bar')].map((bar) => bar.offsetWidth / bar.parentNode.offsetWidth),
    }))""")


def keep(tab, name: str) -> None:
    if SCREENSHOTS:
        tab.screenshot(Path(SCREENSHOTS, name))


@in_browser
@pytest.mark.parametrize("name, width_px, is_phone, scheme", [
    ("desk", 1280, False, "light"), ("phone", 390, True, "light"),
    ("desk-dark", 1280, False, "dark"), ("phone-dark", 390, True, "dark"),
])
def test_pictures_are_dropped_or_chosen_and_answered(tab, address, model, images, name, width_px, is_phone, scheme):
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.open(address, width_px, 800, is_phone)
    tab.drop_files("#drop", [images / "red" / "00.png"])
    tab.wait_for("document.querySelectorAll('article .bar').length === 3")
    (card,) = read_cards(tab)
    expected = Classifier(model).predict(images / "red" / "00.png").probabilities
    assert card["said"] == "red" and "00.png" in card["text"]
    assert card["shares"] == {label: f"{100 * share:.1f}%" for label, share in expected.items()}
    assert card["widths"] == pytest.approx(list(expected.values()), abs=0.02)
    tab.choose_files("#file", [images / each for each in ("strange.png", "broken.jpg", "deep.png")])
    tab.wait_for("document.querySelectorAll('article h2').length === 4 && ![...document.querySelectorAll('article h2')]"
                 ".some((said) => said.textContent === '…')")
    deep, broken, strange, _ = read_cards(tab)
    assert broken["said"] == deep["said"] == "Cannot be read"
    assert "this browser cannot decode it" in broken["text"] and "broken.jpg" in broken["text"]
    assert "16 bits per channel" in deep["text"]
    assert strange["said"] == "Unknown" and "Its best guesses:" in strange["text"] and len(strange["shares"]) == 3
    assert tab.run("document.querySelector('#model').textContent") == "colours recognises: blue, green, red"
    keep(tab, f"{name}.png")
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than the screen"
    assert [each for each in tab.requests if not each.startswith((address, "data:", f"blob:{address}"))] == []
    assert tab.complaints == []


@in_browser
def test_the_file_chooser_is_reached_by_the_keyboard(tab, address):
    tab.open(address, 1280, 800)
    for kind in ("rawKeyDown", "keyUp"):
        tab.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert tab.run("document.activeElement.id") == "file"
    shown = "getComputedStyle(document.querySelector('#drop')).borderColor"
    focused = tab.run(shown)
    tab.run("document.activeElement.blur()")
    assert tab.run(shown) != focused


@in_browser
def test_a_version_of_an_older_release_works_and_each_missing_part_is_named_once(tab, write, images, tmp_path):
    folder = make_bundle(tmp_path / "old")
    write_description(folder, replace(read_description(folder), unknown_threshold=None))
    (folder / bundle.UNKNOWN).unlink()
    page = write(folder)
    assert page.notes == (NEVER_UNKNOWN, NEVER_UNSURE)
    with served(page.folder) as address:
        tab.open(address, 390, 800, True)
        tab.choose_files("#file", [images / "strange.png"])
        tab.wait_for("document.querySelectorAll('article .bar').length === 3")
        said = tab.run("[...document.querySelectorAll('#notes li')].map((note) => note.textContent)")
        assert said == list(page.notes)
        assert read_cards(tab)[0]["said"] == Classifier(folder).predict(images / "strange.png").label
        assert tab.complaints == []


@in_browser
def test_an_unsure_answer_says_so_and_names_are_text(tab, write, images, tmp_path):
    folder = make_bundle(tmp_path / "unsure")
    names = ["blue", "green", "<img src=x onerror=alert(1)>"]
    write_description(folder, replace(read_description(folder), unsure_up_to=1.0, class_names=names))
    with served(write(folder).folder) as address:
        tab.open(address, 390, 800, True)
        tab.choose_files("#file", [images / "red" / "00.png"])
        tab.wait_for("document.querySelectorAll('article .bar').length === 3")
        (card,) = read_cards(tab)
    assert card["said"] == f"Unsure: {names[2]}" and "let a person decide" in card["text"]
    assert tab.run("document.querySelectorAll('article img').length") == 1
    keep(tab, "unsure.png")


@in_browser
def test_once_opened_the_page_needs_no_network(tab, write, model, images):
    with served(write(model).folder) as address:
        tab.open(address, 390, 800, True)
        tab.run("navigator.serviceWorker.ready.then(() => true)")         # it has kept all files
    tab.open(address, 390, 800, True)
    tab.choose_files("#file", [images / "red" / "00.png"])
    tab.wait_for("document.querySelectorAll('article .bar').length === 3")
    assert read_cards(tab)[0]["said"] == "red"


@in_browser
def test_another_model_than_the_published_one_is_refused(tab, write, model, tmp_path):
    page = write(model)
    (page.folder / bundle.MODEL).write_bytes((page.folder / bundle.MODEL).read_bytes() + b"\0")
    with served(page.folder) as address:
        tab.open(address, 390, 800, True)
        tab.wait_for("document.querySelector('#message').textContent")
    assert "not the file that was published" in tab.run("document.querySelector('#message').textContent")


@in_browser
def test_opened_as_a_file_the_page_says_what_it_needs(tab, page):
    tab.open((page.folder / "index.html").as_uri(), 390, 800, True)
    tab.wait_for("document.querySelector('#unstarted') && "
                 "getComputedStyle(document.querySelector('#unstarted')).visibility === 'visible'")
    keep(tab, "file.png")


def test_pictures_and_answers_look_as_on_the_page_of_the_server(page, model):
    with live_server(model) as server:
        script = server.get("/answers.js")
        assert 'from "./answers.js"' in server.get("/").text
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert script.content == (page.folder / "answers.js").read_bytes()


@in_browser
def test_the_page_of_the_server_answers(tab, model, images):
    with live_server(model) as server:
        for width_px in (1280, 390):
            tab.open(str(server.base_url), width_px, 800, width_px < 400)
            tab.drop_files("#drop", [images / "red" / "00.png"])
            tab.wait_for("document.querySelectorAll('article .bar').length === 3")
            assert read_cards(tab)[0]["said"] == "red"
            tab.run("document.querySelector('.why').click()")
            tab.wait_for("document.querySelector('article canvas')")
            keep(tab, f"server-{width_px}.png")


def test_the_folder_has_the_published_bytes_and_is_written_anew_with_the_same(page, model, archive, capsys):
    assert {path.relative_to(page.folder).as_posix() for path in page.folder.rglob("*")
            if path.is_file() and path.parent.name != "pictures"} == set(FILES)
    assert (page.folder / bundle.MODEL).read_bytes() == (model / bundle.MODEL).read_bytes()
    assert "MIT License" in (page.folder / "onnxruntime-web/LICENSE").read_text()
    before = {name: (page.folder / name).read_bytes() for name in FILES}
    other = page.folder.with_name("other")
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            cli.main(["page", str(model), str(other), "--runtime", str(archive)])
        assert not ended.value.code
    assert {name: (other / name).read_bytes() for name in FILES} == before
    said, notes = capsys.readouterr()
    assert f"{other}: a page for colours, " in said and notes.count(NEVER_UNSURE) == 2
    assert f"python3 -m http.server --directory {other}\n" in said


def test_a_folder_with_other_files_is_refused(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(GraftError, match=r"holds files that are no part of a page: mine\.txt\. Nothing was written"):
        write_page(model, tmp_path)
    for place in ("mine.txt", "mine.txt/page"):
        with pytest.raises(GraftError, match=r"mine\.txt is a file"):
            write_page(model, tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_archive_than_the_expected_is_neither_used_nor_kept(model, tmp_path, monkeypatch):
    registry = tmp_path / "registry"
    (registry / runtime.PACKAGE / "-").mkdir(parents=True)
    bad = registry / runtime.PACKAGE / "-" / runtime.ARCHIVE
    bad.write_bytes(b"another archive")
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    with served(registry) as address:
        monkeypatch.setenv(runtime.REGISTRY_VARIABLE, address)
        with pytest.raises(GraftError, match=r"^127\.0\.0\.1: this is not onnxruntime-web-.*its SHA-512 is"):
            write_page(model, tmp_path / "page")
        bad.unlink()
        with pytest.raises(GraftError, match=r"cannot be fetched from 127\.0\.0\.1: HTTP Error 404.*--runtime"):
            write_page(model, tmp_path / "page")
    bad.write_bytes(b"another archive")
    with pytest.raises(GraftError, match=r"tgz: this is not onnxruntime-web-"):
        write_page(model, tmp_path / "page", runtime=bad)
    with pytest.raises(GraftError, match=r"none\.tgz cannot be read: No such file"):
        write_page(model, tmp_path / "page", runtime=tmp_path / "none.tgz")
    assert not (tmp_path / "page").exists() and not (tmp_path / "home").exists()


def test_a_damaged_archive_in_the_cache_is_fetched_again(archive, tmp_path, monkeypatch):
    folder = tmp_path / "registry" / runtime.PACKAGE / "-"
    folder.mkdir(parents=True)
    (folder / runtime.ARCHIVE).symlink_to(archive)
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    kept = runtime.home() / runtime.PACKAGE / runtime.ARCHIVE
    kept.parent.mkdir(parents=True)
    kept.write_bytes(archive.read_bytes()[:-1])
    with served(tmp_path / "registry") as address:
        monkeypatch.setenv(runtime.REGISTRY_VARIABLE.upper(), address)
        assert set(runtime.read_runtime()) == set(runtime.FILES)
    assert kept.read_bytes() == archive.read_bytes()
    assert set(runtime.read_runtime()) == set(runtime.FILES)        # without a registry
