"""What `graft serve` and batch prediction keep of their answers, and that a place that is gone disturbs nobody."""

import asyncio
import hashlib
import io
import json
import random
from dataclasses import replace
from datetime import timedelta

import httpx
import numpy as np
import pytest
import s3_server
from live_server import serving
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from watched import NOON, draw, publish

from benchmarks.processes import wait_for
from graft.cli import main as cli
from graft.errors import GraftError
from graft.server.app import create_app
from graft.server.served_model import ServedModel
from graft.store import LocalStore
from graft.watch.collection import SHARE, Collection
from graft.watch.recorder import Keeping, Notes
from graft.watch.windows import newest, open_place
from pipeline.cluster.batch import Batch

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("served")
        patch.setenv("GRAFT_HOME", str(folder / "home"))
        publish(folder, str(folder / "registry"))
        yield folder


def served(where, **keeping):
    return serving(create_app(ServedModel("colours", str(where / "registry")), keeping=Keeping(**keeping)))


def as_png(pixels: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def strange() -> bytes:
    """An image that is unknown, with a name in its metadata."""
    exif = Image.Exif()
    exif[0x013B] = "Jane Doe"
    return as_png(np.full((50, 50, 3), (255, 0, 255), np.uint8), exif=exif.tobytes())


def kept(client: httpx.Client, what: str, outcome: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(sample.value for family in families for sample in family.samples
               if sample.name == "graft_kept_total" and sample.labels == {"what": what, "outcome": outcome})


def test_a_server_keeps_figures_of_all_answers_and_the_unknown_images(where, tmp_path):
    with served(where, log=str(tmp_path / "log"), collect=str(tmp_path / "images")) as client:
        for pixels in draw(20, seed=3)[0]:
            client.post("/v1/predict", content=as_png(pixels), headers=PNG)
        client.post("/v1/explain", content=strange(), headers=PNG)          # is no answer to be counted
        answer = client.post("/v1/predict", content=strange(), headers=PNG).json()["predictions"][0]
        assert answer["is_unknown"]
        assert client.get("/v1/model").json()["collects_images"]
        client.post("/v1/predict", files=[("a", strange()), ("b", b"no image")])
        wait_for(lambda: kept(client, "image", "kept") >= 1 and kept(client, "image", "there") >= 1)
    [window] = newest(LocalStore(tmp_path / "log"), "colours")          # written when the server ends
    assert window.figures.images == 22 and window.model == "colours@1"
    files = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir() if path.is_file()}
    [name] = [name for name, data in files.items()
              if name[-4:] == ".png" and Image.open(io.BytesIO(data)).size == (50, 50)]
    assert hashlib.sha256(files[name]).hexdigest() + ".png" == name and b"Jane" not in files[name]
    about = json.loads(files[name.replace(".png", ".json")])
    assert (about["model"], about["why"], about["is_unknown"]) == ("colours@1", "unknown", True)
    assert set(about) == {"model", "time", "why", *answer} - {"source", "error"}


def test_a_place_that_is_gone_slows_no_answer_and_is_told(where, tmp_path):
    (tmp_path / "gone").write_text("a file where the folder should be")
    gone = str(tmp_path / "gone")
    with served(where, log=gone, collect=gone) as client:
        assert client.post("/v1/predict", content=strange(), headers=PNG).status_code == 200
        wait_for(lambda: kept(client, "image", "lost"))
        told = client.get("/metrics").text.splitlines()
        assert [line for line in told if line.startswith("graft_keep_error_info{") and "gone" in line]
        assert client.post("/v1/predict", content=strange(), headers=PNG).status_code == 200


def test_a_model_that_is_no_version_cannot_be_logged_and_a_place_that_is_none_is_refused(where):
    for keeping, words in ((Keeping(log="x"), "no published version"), (Keeping(collect="ftp://x"), "'ftp' is not")):
        with pytest.raises(GraftError, match=words):
            create_app(ServedModel(str(where / "bundle")), keeping=keeping)


def test_serve_says_what_it_keeps(where, monkeypatch, capsys):
    async def begin_and_end(app):
        async with app.router.lifespan_context(app):
            pass

    monkeypatch.setattr("graft.server.app.run", lambda app, *_: asyncio.run(begin_and_end(app)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "colours", "--registry", str(where / "registry"), "--collect", str(where / "images")])
    assert ended.value.code is None
    assert capsys.readouterr().out == ("unknown and unsure images and 1% of all, at most 500 a day, are kept in "
                                       f"{where}/images without metadata\n")


def test_a_collection_keeps_to_its_quota_and_takes_a_random_share(where, tmp_path):
    classifier = ServedModel("colours", str(where / "registry")).now.classifier
    told, now = [], [NOON]
    collection = Collection(LocalStore(tmp_path), lambda *each: told.append(each[1]), 6, now=lambda: now[0],
                            rng=random.Random(1))
    pictures = draw(2000, seed=4)[0]
    answers = classifier.predict_batch(pictures)
    chosen = [why for each in answers if (why := collection.why(each))]
    assert chosen.count("random") == pytest.approx(2000 * SHARE, abs=15)
    assert chosen.count("unknown") == pytest.approx(sum(each.is_unknown for each in answers), rel=0.05)
    for _ in range(2):
        for pixels, each, why in zip(pictures[:8], answers, ["random"] * 4 + ["unknown"] * 4):
            collection.keep("colours@1", each, as_png(pixels), why)
        now[0] += timedelta(days=1)
    assert told == (["kept"] * 3 + ["over_quota"]) * 2 + (["there"] * 3 + ["kept"]) * 2
    collection.keep("colours@1", answers[0], b"GIF89a", "random")
    assert told[-1] == "refused"


def test_batch_prediction_keeps_the_same(where, tmp_path):
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(draw(30, seed=3)[0]):
        (tmp_path / f"images/{number}.png").write_bytes(as_png(pixels))
    (tmp_path / "images/strange.png").write_bytes(strange())
    batch = Batch(str(tmp_path / "images"), tmp_path / "out.csv", where / "bundle", shard_size=10)
    keeping, told = Keeping(str(tmp_path / "log"), str(tmp_path / "kept")), []
    with batch.predict(batch.pending) as done:
        list(done)
    summary = batch.finish(Notes(keeping, "colours@1", batch.classifier.class_names, lambda *each: told.append(each)))
    [window] = newest(LocalStore(tmp_path / "log"), "colours")
    assert (window.figures.images, window.figures.unknown) == (31, summary.unknown)
    assert ("window", "written", None) in told and told.count(("image", "kept", None)) >= 1


def test_a_batch_prediction_ends_although_nothing_can_be_kept(where, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/strange.png").write_bytes(strange())
    (tmp_path / "gone").write_text("a file where the folder should be")
    batch = Batch(str(tmp_path / "images"), tmp_path / "out.csv", where / "bundle")
    told = []
    with batch.predict(batch.pending) as done:
        list(done)
    gone = Keeping(str(tmp_path / "gone"), str(tmp_path / "gone"))
    batch.finish(Notes(gone, "colours@1", batch.classifier.class_names, lambda *each: told.append(each[:2])))
    assert told == [("image", "lost")] and (tmp_path / "out.csv").exists()


def test_a_place_may_be_on_s3(where, monkeypatch):
    place = s3_server.use(monkeypatch, s3_server.moto())
    classifier, told = ServedModel("colours", str(where / "registry")).now.classifier, []
    answers = classifier.predict_batch(draw(5, seed=3)[0])
    notes = Notes(Keeping(f"{place}/log", f"{place}/kept"), "colours@1", classifier.class_names,
                  lambda *each: told.append(each[:2]))
    for each in answers:
        notes.add(replace(each, is_unknown=True), strange)
    notes.close()
    [window] = newest(open_place(f"{place}/log"), "colours")
    assert window.figures.images == 5
    names = [each.key.rpartition(".") for each in open_place(f"{place}/kept").scan("")]
    assert [suffix for _, _, suffix in names] == ["json", "png"] and names[0][0] == names[1][0]
    assert told[0] == ("image", "kept") and told[-1] == ("window", "written")
