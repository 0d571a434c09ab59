"""`graft predict`, run as a script would run it; the oracle is the classifier called by hand."""

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from intake_faults import encode
from PIL import Image
from test_decoding_budget import grey_png
from tiny_bundle import COLOURS, make_bundle, make_images

import graft
from graft.cli import main as cli
from graft.images import UnreadableImage, read_image
from graft.model.bundle import read_description, write_description
from graft.model.classifier import BATCH_SIZE, CHUNKS_AHEAD, Classifier
from graft.predict.decoders import ENDED
from graft.predict.sources import expand
from graft.predict.urls import TIME_LIMIT_S

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def images(tmp_path):
    """blue, green, red with four images each, a text file, a hidden image, and a broken one."""
    folder = make_images(tmp_path / "images", images=4)
    (folder / "red" / "notes.txt").write_text("no image")
    (folder / "red" / ".hidden.png").write_bytes((folder / "red" / "00.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def predict(bundle, capsys):
    """Run the command; its exit code, and what it printed."""
    def run(*arguments, model=bundle):
        with pytest.raises(SystemExit) as ended:
            cli.main(["predict", *map(str, arguments), "--model", str(model)])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def json_rows(printed: str) -> list[dict]:
    return [json.loads(line) for line in printed.splitlines()]


def test_a_row_is_what_the_classifier_says_to_the_last_digit(predict, bundle, images):
    path = images / "green" / "01.png"
    code, out, _ = predict(path, "--json", "--top", "all")
    expected = Classifier(bundle).predict(path)
    assert code == 0
    assert json_rows(out) == [{
        "source": str(path), "label": expected.label, "probability": expected.probability,
        "is_unknown": expected.is_unknown, "is_unsure": False, "unknown_score": expected.unknown_score,
        "probabilities": expected.probabilities,
    }]


def test_broken_images_are_rows_with_their_reason_and_the_rest_goes_on(predict, images):
    names = ("red/00.png", "broken.jpg", "none.png", "blue/00.png")
    code, out, err = predict(*(images / name for name in names), "--json")
    rows = json_rows(out)
    assert code == 1 and "2 of 4 images could not be read" in err
    assert [row.get("label") for row in rows] == ["red", None, None, "blue"]
    assert rows[1] == {"source": str(images / "broken.jpg"), "error": "not an image"}
    assert rows[2]["error"] == "no such file or directory"


def test_an_image_whose_decoding_does_not_end_is_a_row_and_the_rest_goes_on(predict, images, monkeypatch):
    (images / "green" / "00.png").write_bytes(grey_png(10_000, 10_000))     # takes a second, as another takes for ever
    monkeypatch.setattr("graft.predict.decoders.PROCESSOR_S", 0.3)
    code, out, _ = predict(images, "--json")
    said = {Path(row["source"]).relative_to(images).as_posix(): row.get("error") for row in json_rows(out)}
    assert code == 1 and len(said) == 13
    assert {name for name, error in said.items() if error} == {"broken.jpg", "green/00.png"}
    assert said["green/00.png"] == ENDED


def test_a_folder_stands_for_every_image_below_it_in_order(images):
    expected = [f"{images}/{name}/0{number}.png" for name in COLOURS for number in range(4)]
    assert expand([str(images)]).images == sorted([*expected, f"{images}/broken.jpg"])


def test_a_glob_stands_for_its_files_and_folders(images, monkeypatch):
    monkeypatch.chdir(images)
    assert expand(["r*/0[01].png"]).images == ["red/00.png", "red/01.png"]
    assert expand(["*e*"]).images == [*(f"blue/0{n}.png" for n in range(4)), "broken.jpg",
                               *(f"green/0{n}.png" for n in range(4)), *(f"red/0{n}.png" for n in range(4))]
    assert expand(["**/00.png"]).images == ["blue/00.png", "green/00.png", "red/00.png"]
    Path("odd[1].png").write_bytes(b"")
    assert expand(["odd[1].png"]).images == ["odd[1].png"]      # a file that is there is no pattern


def test_every_file_of_a_folder_is_answered_or_named(predict, tmp_path):
    """By content: images of any name have an answer, those of other formats a reason, and the rest is named."""
    red, folder = encode(Image.new("RGB", (24, 32), "red"), "PNG"), tmp_path / "all"
    avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100)
    answered = dict.fromkeys(["a.png", "b.JPEG", "no suffix", "download.php", "photo.jpg.1", "notes.txt"], red)
    refused = {"IMG_1.AVIF": avif, "IMG_2": avif, "IMG_3.jpg": avif, "text.jpg": b"text", "empty.png": b""}
    others = {"README": b"BM, a text", "labels.csv": b"path,label\n", ".DS_Store": b"\0", ".a/b.png": red,
              "x.json": b"{}", "Thumbs.db": b"\xd0\xcf", "__MACOSX/a.png": red, "IMG_1.MOV": b"\0\0\0\x14ftypqt  ",
              "zero": b"", "labels.xml": b"<?xml version='1.0'?><a/>", "page.html": b"<html>", "all.zip": b"PK\3\4"}
    for name, data in (answered | refused | others).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    code, out, err = predict(folder, "--json")
    rows = {row["source"].removeprefix(f"{folder}/"): row for row in json_rows(out)}
    assert {name: rows[name]["label"] for name in answered} == dict.fromkeys(answered, "red")
    assert all("convert it to JPEG" in rows[name]["error"] for name in refused if name.startswith("IMG"))
    assert rows.keys() == answered.keys() | refused.keys()
    assert (code, f"ignored {len(others)} files that are not images: " in err, "… and 2 more" in err) == (1, True, True)
    assert expand([str(folder)]).others.keys() == {f"{folder}/{name}" for name in others}


def test_what_is_not_followed_or_cannot_be_opened_is_named(tmp_path, images):
    (images / "linked").symlink_to(tmp_path)
    (images / "gone.png").symlink_to("nowhere")
    os.mkfifo(images / "pipe")
    found = expand([str(images)])
    assert f"{images}/gone.png" in found.images
    assert found.others[f"{images}/linked"] == "a linked folder, which is not followed"
    assert found.others[f"{images}/pipe"].startswith("not a regular file")


def test_what_stands_for_nothing_says_so(predict, tmp_path):
    (tmp_path / "empty").mkdir()
    _, out, _ = predict(tmp_path / "empty", tmp_path / "*.nothing", "--json")
    assert [row["error"].partition(" (")[0] for row in json_rows(out)] == [
        "the folder contains no image", "no file matches this pattern"]


def test_urls_are_fetched_when_private_ones_are_allowed(predict, images, bundle):
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(images))

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        refused = predict(f"{url}/red/00.png", "--json")
        code, out, _ = predict(f"{url}/red/00.png", f"{url}/none.png", "--json", "--top", "all", "--allow-private-urls")
        server.shutdown()
    assert refused[0] == 1 and "not a public address" in refused[1]
    first, second = json_rows(out)
    assert (code, second["error"]) == (1, "HTTP 404 File not found")
    assert first["probabilities"] == Classifier(bundle).predict(images / "red/00.png").probabilities


class Noting(io.BytesIO):
    """Standard input that notes which thread reads it."""

    def read(self, *arguments):
        self.reader = threading.current_thread()
        return super().read(*arguments)


def test_ctrl_c_waits_for_no_server(bundle):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
        command = [sys.executable, "-m", "graft.cli", "predict", url, "--allow-private-urls", "--model", bundle]
        with (subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as running,
              silent.accept()[0]):
            running.send_signal(signal.SIGINT)
            assert running.wait(TIME_LIMIT_S / 2) == 130 and running.stderr.read() == "interrupted\n"


def test_standard_input_is_an_image_or_a_list(predict, images, monkeypatch):
    stream = Noting((images / "blue/02.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    assert [row["label"] for row in json_rows(predict("-", "-", "--json")[1])] == ["blue"] * 2
    assert stream.reader is threading.main_thread(), "Ctrl-C ends no other thread that waits"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert [row["error"] for row in json_rows(predict("-", "--json")[1])] == ["empty file"]
    monkeypatch.setattr(sys, "stdin", None)
    assert [row["error"] for row in json_rows(predict("-", "--json")[1])] == ["standard input is closed"]
    assert "standard input is closed" in predict("--files-from", "-")[2]
    data = f"{images}/red\r\n\n{images}/blue/00.png\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, _ = predict("--files-from", "-", "--json")
    assert (code, [row["label"] for row in json_rows(out)]) == (0, ["red"] * 4 + ["blue"])
    code, _, err = predict("-", "--files-from", "-")
    assert code == 2 and "standard input" in err


def test_files_from_a_file_and_names_that_are_no_utf8(predict, images, bundle, tmp_path):
    name = os.fsencode(images) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes((images / "red/00.png").read_bytes())
    (tmp_path / "list").write_bytes(name + b"\n")
    command = [sys.executable, "-m", "graft.cli", "predict", "--files-from", tmp_path / "list", "--model", bundle,
               "--csv"]
    run = subprocess.run(command, capture_output=True, cwd=REPOSITORY)
    assert run.returncode == 0 and name in run.stdout
    code, out, _ = predict("--files-from", tmp_path / "list", "--json")
    assert (code, os.fsencode(json_rows(out)[0]["source"])) == (0, name)
    code, _, err = predict("--files-from", tmp_path / "no list")
    assert code == 2 and "No such file" in err


def test_a_list_from_windows_is_read_or_refused_and_no_name_ends_the_run(predict, images, tmp_path):
    lines = f"{images}/red/00.png\r\n{'x' * 300}.png\r\n"
    (tmp_path / "list").write_text(lines, encoding="utf-8-sig")
    code, out, _ = predict("--files-from", tmp_path / "list", "--json")
    first, second = json_rows(out)
    assert (code, first["label"], second["error"]) == (1, "red", "file name too long")
    (tmp_path / "list").write_text(lines, encoding="utf-16")
    code, _, err = predict("--files-from", tmp_path / "list")
    assert code == 2 and "Expected text in UTF-8 with one source per line" in err


def test_csv_has_a_column_for_every_class(predict, bundle, images):
    code, out, _ = predict(images, "--csv", "--top", "1")
    table = list(csv.DictReader(io.StringIO(out)))
    assert (code, len(table)) == (1, 13)
    assert list(table[0])[7:] == ["probability_blue", "probability_green", "probability_red"]
    expected = Classifier(bundle)
    for row in table:
        if row["error"]:
            assert row["source"].endswith("broken.jpg") and not row["label"]
        else:
            alone = expected.predict(row["source"])
            assert {name: float(row[f"probability_{name}"]) for name in COLOURS} == pytest.approx(alone.probabilities)
            assert (row["label"], row["is_unknown"]) == (alone.label, str(alone.is_unknown))


def test_text_names_the_top_classes_and_what_is_unknown(predict, images, tmp_path):
    code, out, _ = predict(images / "red/00.png", "--top", "2")
    assert code == 0 and out.startswith(f"{images}/red/00.png: red 99.") and out.count("%") == 2
    Image.new("RGB", (50, 50), (255, 0, 255)).save(tmp_path / "strange.png")
    assert "strange.png: unknown, most similar to " in predict(tmp_path / "strange.png")[1]


def test_an_answer_that_is_not_sure_enough_says_so(predict, bundle, images, tmp_path):
    sure, unsure = Classifier(bundle).predict(images / "red/00.png"), Classifier(bundle).predict(images / "blue/01.png")
    assert unsure.probability < sure.probability and not unsure.is_unknown
    wanting = shutil.copytree(bundle, tmp_path / "wanting")
    write_description(wanting, replace(read_description(bundle), unsure_up_to=unsure.probability))
    both = [images / "red/00.png", images / "blue/01.png"]
    lines = predict(*both, model=wanting)[1].splitlines()
    assert ": red 9" in lines[0] and ": unsure, most likely blue 9" in lines[1]
    assert [row["is_unsure"] for row in json_rows(predict(*both, "--json", model=wanting)[1])] == [False, True]
    assert [row["is_unsure"] for row in csv.DictReader(io.StringIO(predict(*both, "--csv", model=wanting)[1]))] == [
        "False", "True"]


@pytest.mark.parametrize("arguments, said", [
    ([], "nothing to predict"),
    (["a.png", "--top", "0"], "whole number from 1"),
    (["a.png", "--top", "many"], "whole number from 1"),
    (["a.png", "--json", "--csv"], "not allowed with"),
    (["a.png", "--plot", "out.jpg"], "ends in .png"),
    (["a.png", "--plot", "no/such/folder/out.png"], "does not exist"),
    ([*["a.png"] * 21, "--plot", "out.png"], "at most 20 images, received 21"),
])
def test_a_mistake_ends_with_one_message(predict, arguments, said):
    code, out, err = predict(*arguments)
    assert (code, out) == (2, "") and said in err and "Traceback" not in err


def test_a_model_that_is_not_there_is_one_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "a.png", "--model", "nothing", "--registry", str(tmp_path)])
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err


def test_the_plot_shows_the_picture_and_bars_as_long_as_the_probabilities(predict, images, tmp_path):
    (images / "bro\nken.jpg").write_bytes(b"no image")
    code, _, _ = predict(images / "red/00.png", images / "bro\nken.jpg", "--plot", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as plot:
        pixels = np.asarray(plot.convert("RGB")).astype(int)
    panel = pixels[: len(pixels) // 2]
    picture = panel[150:200, 150:200].reshape(-1, 3).mean(axis=0)
    assert code == 1 and np.abs(picture - read_image(images / "red/00.png", (24, 32)).mean(axis=(0, 1))).max() < 15
    bar = (panel == (0x2B, 0x6C, 0xB0)).all(axis=2)[:, 530:]       # right of the class names
    assert 235 < bar.sum(axis=1).max() <= 242                      # red with more than 99 % of 240 pixels
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.png"]


def test_the_explanation_is_a_heat_map_beside_the_picture(predict, images, tmp_path):
    """Half red, half grey: hiding a part of the red half costs more of the answer "red"."""
    picture = np.full((240, 320, 3), 128, dtype=np.uint8)
    picture[:, :160] = COLOURS["red"]
    Image.fromarray(picture).save(tmp_path / "half.png")
    code, _, _ = predict(tmp_path / "half.png", images / "broken.jpg", "--explain", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as plot:
        heat = np.asarray(plot.convert("RGB"), dtype=float)[24:344, 368:688]    # the second column, first panel
    left, right = heat[100:220, 20:140], heat[100:220, 180:300]
    assert code == 1 and left[..., 0].mean() > right[..., 0].mean() + 50
    assert "--explain out.jpg: expected a file name that ends in .png" in predict("a.png", "--explain", "out.jpg")[2]


@pytest.mark.parametrize("top, bars", [("1", 1), ("2", 2), ("all", 3)])
def test_the_plot_of_a_csv_has_a_bar_for_each_of_the_top_classes(predict, images, tmp_path, top, bars):
    code, out, _ = predict(images / "red/00.png", "--csv", "--top", top, "--plot", tmp_path / "out.png")
    assert code == 0 and len(out.splitlines()[0].split(",")) == 7 + 3
    with Image.open(tmp_path / "out.png") as plot:
        column = (np.asarray(plot.convert("RGB"))[:, 766] < 250).any(axis=1)        # through the end of each bar
    assert (np.diff(column.astype(int)) == 1).sum() == bars


def test_whoever_stops_listening_causes_no_traceback(bundle, images):
    command = f"{sys.executable} -m graft.cli predict {images} --model {bundle} | head -n 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=REPOSITORY)
    assert len(run.stdout.splitlines()) == 2 and "Traceback" not in run.stderr and "Broken" not in run.stderr


def test_images_are_read_ahead_but_not_all_at_once(bundle, images):
    classifier, read = Classifier(bundle), []

    def noted(path):
        read.append(path)
        return classifier.read(path)

    many = classifier.predict_many([images / "red/00.png"] * 20 * BATCH_SIZE, noted)
    assert next(many).label == "red"
    assert BATCH_SIZE <= len(read) <= (CHUNKS_AHEAD + 1) * BATCH_SIZE
    many.close()


def test_load_predicts_whatever_holds_an_image(bundle, images):
    path = images / "green/03.png"
    classifier, opened = graft.load(str(bundle)), Image.open(path)
    expected = classifier.predict(path)
    sources = [str(path), path, path.read_bytes(), opened, np.asarray(opened)]
    assert classifier.predict(sources) == [classifier.predict(each) for each in sources] == [expected] * 5
    assert classifier.predict([]) == []
    larger = np.asarray(opened.resize((64, 48), Image.Resampling.NEAREST))
    assert classifier.predict(larger).probabilities == pytest.approx(expected.probabilities, abs=0.01)


def test_a_pillow_image_is_turned_upright_and_laid_on_white(bundle):
    classifier = Classifier(bundle)
    turned = Image.new("RGB", (40, 20), "red")
    turned.paste("blue", (0, 0, 20, 20))
    turned.getexif()[0x0112] = 6                # shown turned right by a quarter: the left half comes to the top
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=turned.getexif())
    upright = classifier.read(Image.open(buffer))
    assert (upright[0, 0] == (0, 0, 255)).all() and (upright[-1, -1] == (255, 0, 0)).all()
    assert (classifier.read(Image.new("RGBA", (9, 9), (0, 0, 0, 0))) == 255).all()


@pytest.mark.parametrize("shape, dtype", [((8, 8), "uint8"), ((8, 8, 3), "float32"), ((0, 8, 3), "uint8")])
def test_an_array_of_another_kind_is_refused(bundle, shape, dtype):
    with pytest.raises(UnreadableImage, match="expected a uint8 array"):
        Classifier(bundle).predict(np.zeros(shape, dtype))


def test_a_list_with_a_broken_image_names_it(bundle, images):
    with pytest.raises(UnreadableImage, match="image 1 of the list: not an image"):
        Classifier(bundle).predict([images / "red/00.png", images / "broken.jpg"])
