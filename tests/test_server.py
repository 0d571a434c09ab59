"""The HTTP API, over real connections; the oracle is the classifier called by hand."""

import contextlib
import io
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from live_server import live_server
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from tiny_bundle import COLOURS, make_bundle, make_images

from benchmarks.processes import free_port, wait_for
from graft import registry
from graft.cli import main as cli
from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.model.classifier import Classifier
from graft.model.heatmaps import occlusion
from graft.server.batching import Batcher
from graft.server.metrics import Metrics

REPOSITORY = Path(__file__).parent.parent
PNG = {"Content-Type": "image/png"}
LIMIT_S = 120       # for whatever must come to pass; only one that hangs takes so long


@pytest.mark.parametrize(("host", "status"), [
    ("127.0.0.1:1", 200), ("[::1]:80", 200), ("10.1.2.3", 200), ("localhost", 200), ("LOCALHOST.:8000", 200),
    ("a.localhost", 200), ("service:8000", 200), (socket.gethostname(), 200), ("evil.example", 421),
    ("127.0.0.1.evil.example", 421),
    ("localhost.evil.example:80", 421), ("evil.example:localhost", 421), ("[::1].evil.example", 421),
    ("[localhost]", 421), ("evil.example@localhost", 421), ("a\\.localhost.evil", 421),
])
def test_a_request_to_a_name_that_is_not_the_servers_is_refused(server, host, status):
    assert server.get("/healthz", headers={"Host": host}).status_code == status
    answer = server.post("/v1/predict", content=b"x", headers=PNG | {"Host": host})
    assert (answer.status_code == 421) == (status == 421)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return sorted(make_images(tmp_path_factory.mktemp("images"), images=4).glob("*/*.png"))


@pytest.fixture(scope="module")
def server(bundle):
    with live_server(bundle) as client:
        yield client


def close_to(row):
    """The same row, where batches of another size may change the last digits."""
    numbers = {key: pytest.approx(row[key], abs=1e-6) for key in ("probability", "unknown_score", "probabilities")}
    return row | numbers


def expected(bundle, path, source):
    from graft.predict.rows import row

    return close_to(row(source, Classifier(bundle).predict(path)))


def metric(server, name, **labels) -> float:
    for family in text_string_to_metric_families(server.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0.0


def test_an_image_as_the_body(server, bundle, images):
    answer = server.post("/v1/predict?top=all", content=images[0].read_bytes(), headers=PNG)
    assert answer.status_code == 200
    assert answer.json() == {"model": "colours", "predictions": [expected(bundle, images[0], "image")]}
    assert len(server.post("/v1/predict?top=2", content=images[0].read_bytes(), headers=PNG).json()["predictions"][0]
               ["probabilities"]) == 2


def test_many_images_of_a_form_and_broken_ones_among_them(server, bundle, images):
    files = [("images", (path.name, path.read_bytes())) for path in images]
    files.insert(3, ("any", ("broken.jpg", b"no image")))
    answer = server.post("/v1/predict?top=all", files=files)
    rows = answer.json()["predictions"]
    assert answer.status_code == 200
    assert rows.pop(3) == {"source": "broken.jpg", "error": "not an image"}
    assert rows == [expected(bundle, path, path.name) for path in images]


def test_an_explanation_is_the_heat_map_of_the_classifier(server, bundle, images):
    path = images[0]
    answer = server.post("/v1/explain", content=path.read_bytes(), headers={"Content-Type": "image/png"}).json()
    classifier = Classifier(bundle)
    expected = occlusion(classifier, classifier.read(path))
    assert answer["label"] == classifier.predict(path).label and len(answer["heat"]) == 8
    assert np.array(answer["heat"]) == pytest.approx(expected, abs=1e-2)
    broken = server.post("/v1/explain", content=b"text", headers={"Content-Type": "image/png"})
    assert (broken.status_code, broken.json()["detail"]) == (422, "not an image")
    two = server.post("/v1/explain", files=[("image", each.read_bytes()) for each in images[:2]])
    assert (two.status_code, two.json()["detail"]) == (400, "expected one image, received 2")


def test_when_no_image_can_be_read_the_status_says_so(server):
    answer = server.post("/v1/predict", content=b"text", headers=PNG)
    assert (answer.status_code, answer.json()["predictions"]) == (422, [{"source": "image", "error": "not an image"}])
    assert server.post("/v1/predict", content=b"", headers=PNG).json()["predictions"][0]["error"] == "empty file"


FORM = b'--b\r\nContent-Disposition: form-data; name="a"; filename="\\ud800.png"\r\n\r\n%b\r\n--b--\r\n'


def test_a_file_of_any_name_and_size_is_answered_without_the_disk(server, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/full")
    stream = io.BytesIO()
    Image.new("RGB", (700, 700), "red").save(stream, "BMP")
    answer = server.post("/v1/predict", content=FORM % stream.getvalue(),
                         headers={"Content-Type": "multipart/form-data; boundary=b; charset=unicode_escape"})
    assert answer.status_code == 200 and answer.json()["predictions"][0]["source"] == "\\ud800.png"


@pytest.mark.parametrize("kind, body, status, said", [
    ("text/plain", b"x", 415, "'text/plain' is not supported"),
    ("application/x-www-form-urlencoded", b"x", 415, "send an image as the body"),
    ("multipart/form-data", b"x", 400, "Missing boundary"),
    ("multipart/form-data; boundary=b", b"no parts at all", 400, "form"),
    ("multipart/form-data; boundary=", b"x", 400, "form"),
    ("multipart/form-data; boundary=b; charset=undefined", FORM, 400, "form"),
    ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n', 400,
     "contains no file"),
])
def test_what_is_no_image_is_refused(server, kind, body, status, said):
    answer = server.post("/v1/predict", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status and said in answer.json()["detail"]


@pytest.mark.parametrize("top", ["0", "-1", "some", ""])
def test_top_must_be_a_number_or_all(server, images, top):
    assert server.post(f"/v1/predict?top={top}", content=images[0].read_bytes(), headers=PNG).status_code == 422


def test_limits_of_size_are_told(bundle, images):
    data = images[0].read_bytes()
    with live_server(bundle, body_bytes=2 * len(data), images=3) as server:
        assert server.post("/v1/predict", content=data, headers=PNG).status_code == 200
        for body in (bytes(2 * len(data) + 1), (data for _ in range(3))):       # its length declared; in chunks
            refused = server.post("/v1/predict", content=body, headers=PNG)
            assert refused.status_code == 413 and "larger than" in refused.json()["detail"]
        many = server.post("/v1/predict", files=[("images", (f"{n}.png", b"x")) for n in range(4)])
        assert many.status_code == 413 and "expected at most 3" in many.json()["detail"]
        assert server.post("/v1/predict", content=data, headers=PNG).status_code == 200


@contextlib.contextmanager
def begun(server, data):
    """A request that has sent all but the last byte of its body."""
    with socket.create_connection((server.base_url.host, server.base_url.port)) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(data), data[:-1]))
        yield sock


def status_of(sock) -> int:
    return int(sock.makefile("rb").readline().split()[1])


def test_a_request_that_arrives_too_slowly_is_ended(bundle, images):
    with live_server(bundle, body_s=0.2) as server, begun(server, images[0].read_bytes()) as sock:
        assert status_of(sock) == 408
        assert metric(server, "graft_requests_total", status="408") == 1


def test_a_connection_that_sends_no_whole_head_is_ended(bundle, images, monkeypatch):
    monkeypatch.setattr("graft.server.connections.HEAD_S", 1.0)
    with live_server(bundle) as server:
        address = server.base_url.host, server.base_url.port
        with socket.create_connection(address) as silent, socket.create_connection(address) as slow:
            for line in (b"POST /v1/predict HTTP/1.1\r\n", b"X-More: x\r\n", b"X-More: x\r\n"):
                slow.sendall(line)
                time.sleep(0.05)
            assert (status_of(silent), status_of(slow)) == (408, 408)
        with socket.create_connection(address) as endless:
            endless.sendall(b"GET / HTTP/1.1\r\n" + b"X-More: x\r\n" * 10_000)
            assert status_of(endless) == 431
        with begun(server, images[0].read_bytes()) as sock:     # its head is whole: its body has another limit
            time.sleep(1.1)
            sock.sendall(images[0].read_bytes()[-1:])
            assert status_of(sock) == 200
            time.sleep(1.1)                                     # between two requests a connection may be silent
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while b'{"status":"ok"}' not in received:
                received += sock.recv(1000) or pytest.fail("the connection was ended")


def test_too_many_requests_at_one_time_are_turned_away_and_the_others_answered(bundle, images):
    data = images[0].read_bytes()
    with live_server(bundle, requests=2) as server, begun(server, data) as one, begun(server, data) as other:
        wait_for(lambda: metric(server, "graft_requests_in_flight") == 2)
        refused = server.post("/v1/predict", content=data, headers=PNG)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert server.get("/healthz").status_code == server.get("/readyz").status_code == 200
        for sock in (one, other):
            sock.sendall(data[-1:])
            assert status_of(sock) == 200
        assert server.post("/v1/predict", content=data, headers=PNG).status_code == 200


def test_a_client_that_goes_away_leaves_nothing_behind(bundle, images):
    with live_server(bundle, requests=1) as server:
        with begun(server, images[0].read_bytes()):
            wait_for(lambda: metric(server, "graft_requests_in_flight") == 1)
        wait_for(lambda: metric(server, "graft_requests_in_flight") == 0)
        assert server.post("/v1/predict", content=images[0].read_bytes(), headers=PNG).status_code == 200


def test_many_clients_each_get_the_answer_to_their_own_image(server, bundle, images):
    alone = {path: expected(bundle, path, "image") for path in images}
    before = metric(server, "graft_batch_size_sum")

    def ask(path):
        return server.post("/v1/predict?top=all", content=path.read_bytes(), headers=PNG).json()["predictions"][0]

    with ThreadPoolExecutor(16) as pool:
        asked = images * 20
        answers = list(pool.map(ask, asked))
    assert all(answer == alone[path] for path, answer in zip(asked, answers))
    assert metric(server, "graft_batch_size_sum") - before == len(asked)


def test_the_model_and_the_api_are_described(server, bundle):
    assert server.get("/v1/model").json() == {
        "name": "colours", "class_names": list(COLOURS), "image_size": [24, 32], "can_say_unknown": True,
        "collects_images": False}
    api = server.get("/openapi.json").json()
    predict = api["paths"]["/v1/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    assert set(predict["responses"]) == {"200", "400", "408", "413", "415", "422", "429", "503"}


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_ask_no_other_host_for_anything(server, page):
    answer = server.get(page)
    assert answer.status_code == 200
    assert re.findall(r"""(?:src|href|url)\s*[=(:]\s*["']?(?:https?:)?//[^"')\s]+""", answer.text) == []
    for asset in re.findall(r"""(?:src|href)="(/[^"]+)""", answer.text):
        assert server.get(asset).status_code == 200


def test_metrics_count_what_happened(bundle, images):
    with live_server(bundle) as server:
        strange = io.BytesIO()
        Image.new("RGB", (50, 50), (255, 0, 255)).save(strange, "PNG")
        files = {"a": images[0].read_bytes(), "b": strange.getvalue(), "c": b"text"}
        rows = server.post("/v1/predict", files=files).json()["predictions"]
        server.post("/v1/predict", content=b"", headers=PNG)
        assert [row.get("is_unknown") for row in rows] == [False, True, None]
        for outcome, count in {"known": 1, "unknown": 1, "unreadable": 2}.items():
            assert metric(server, "graft_images_total", outcome=outcome) == count
        assert [metric(server, "graft_requests_total", status=each) for each in ("200", "422")] == [1, 1]
        assert metric(server, "graft_request_seconds_count") == 2
        assert metric(server, "graft_model_info", model="colours") == 1


def test_metrics_can_tell_a_reason_in_any_words():
    metrics = Metrics()
    metrics.count_reload(GraftError("manifest.json: \ud800: unknown"))
    assert b'reason="manifest.json: \\\\ud800: unknown"' in metrics.as_text()


def test_the_model_is_replaced_when_the_alias_moves_and_no_request_is_lost(bundle, images, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    store = str(tmp_path / "registry")
    renamed = make_bundle(tmp_path / "renamed", class_names=("red", "green", "blue"), temperature=3.0)
    registry.publish(bundle, "colours", store)
    registry.promote("colours@1", registry=store)
    answers = []
    with live_server("colours", store, poll_s=0.05) as server:
        done = threading.Event()

        def ask():
            while not done.is_set():
                answers.append(server.post("/v1/predict?top=all", content=images[0].read_bytes(), headers=PNG))

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            wait_for(lambda: len(answers) > 20)
            registry.publish(renamed, "colours", store)
            registry.promote("colours@2", registry=store)
            wait_for(lambda: server.get("/readyz").json()["model"] == "colours@2")
            count = len(answers)
            wait_for(lambda: len(answers) > count + 20)
            done.set()
        assert all(future.exception() is None for future in asking)
        assert metric(server, "graft_model_info", model="colours@2") == 1
        shutil.rmtree(store)
        wait_for(lambda: metric(server, "graft_reloads_total", outcome="failed") > 0)
        assert server.get("/readyz").json()["not_loaded"].startswith(store)
        assert server.post("/v1/predict", content=images[0].read_bytes(), headers=PNG).json()["model"] == "colours@2"
    right = {f"colours@{n}": expected(folder, images[0], "image") for n, folder in ((1, bundle), (2, renamed))}
    assert {each.json()["model"] for each in answers} == set(right)
    for each in answers:
        assert each.status_code == 200 and each.json()["predictions"] == [right[each.json()["model"]]]


@pytest.fixture
def process(bundle):
    """`graft serve` as a process, and the address that it told."""
    port = free_port()
    command = [sys.executable, "-m", "graft.cli", "serve", str(bundle), "--port", str(port)]
    running = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    running.base_url = httpx.URL(f"http://127.0.0.1:{port}")
    wait_for(lambda: running.poll() is not None or is_up(running.base_url))
    yield running
    running.kill()
    running.communicate()


def is_up(url) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url.join("/readyz"), trust_env=False).status_code == 200
    return False


def test_told_to_end_it_answers_what_is_under_way_and_takes_no_more(process, images):
    data = images[0].read_bytes()
    with begun(process, data) as sock:
        metrics = process.base_url.join("/metrics")
        wait_for(lambda: "requests_in_flight 1.0" in httpx.get(metrics, trust_env=False).text)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_up(process.base_url))
        assert process.poll() is None
        sock.sendall(data[-1:])
        assert status_of(sock) == 200
    assert process.wait(LIMIT_S) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("arguments, said", [
    (["no-such-model", "--registry", "no-such-folder"], "no-such-"), ([], "required"),
    (["{bundle}", "--port", "70000"], "--port 70000"),
    (["{bundle}", "--port", "{taken}"], "Address already in use. --port 0 uses any free port"),
    (["{bundle}", "--host", "no.such.host.invalid"], "--host no.such"), (["{bundle}", "--host", ""], "no address"),
    (["{bundle}", "--poll", "0"], "--poll"),
])
def test_a_mistake_is_one_message(bundle, arguments, said, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SystemExit) as ended:
        taken = other.getsockname()[1]
        cli.main(["serve", *(each.format(bundle=bundle, taken=taken) for each in arguments)])
    assert ended.value.code == 2 and said in capsys.readouterr().err


class Gated(Classifier):
    """A classifier whose model waits until it is let go, so that a test knows what waits meanwhile."""

    def __init__(self, folder):
        super().__init__(folder)
        self.started, self.gate, self.sizes = threading.Event(), threading.Event(), []

    def predict_batch(self, images):
        self.started.set()
        assert self.gate.wait(LIMIT_S)
        self.sizes.append(len(images))
        return super().predict_batch(images)


def test_what_waits_for_one_model_becomes_one_batch_up_to_the_largest(bundle, images):
    batcher, classifier, other = Batcher(largest=4), Gated(bundle), Gated(bundle)
    other.gate.set()
    first = batcher.submit(classifier, images[0].read_bytes())
    assert classifier.started.wait(LIMIT_S)
    waiting = [batcher.submit(classifier, path.read_bytes()) for path in images[:6]]
    wait_for(lambda: batcher.waiting == 6)
    last = [batcher.submit(other, path.read_bytes()) for path in images[:2]]
    broken = batcher.submit(other, b"text")
    assert isinstance(broken.result(LIMIT_S), UnreadableImage)
    wait_for(lambda: batcher.waiting == 8)
    classifier.gate.set()
    assert first.result(LIMIT_S) == Classifier(bundle).predict(images[0])
    assert all(future.result(LIMIT_S).label for future in waiting + last)
    batcher.close()
    assert (classifier.sizes, other.sizes) == ([1, 4, 2], [2])


def test_a_model_that_fails_fails_its_callers_and_not_the_next(bundle, images):
    class Failing(Classifier):
        def predict_batch(self, images):
            raise RuntimeError("out of memory")

    batcher = Batcher()
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.submit(Failing(bundle), images[0].read_bytes()).result(LIMIT_S)
    assert batcher.submit(Classifier(bundle), images[0].read_bytes()).result(LIMIT_S).label
    batcher.close()
    assert not batcher.is_alive()
