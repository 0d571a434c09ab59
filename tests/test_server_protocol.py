"""The Open Inference Protocol: a public client against our server, and requests that break it."""

import base64
import json

import numpy as np
import pytest
from live_server import live_server
from tiny_bundle import COLOURS, IMAGE_SIZE, make_bundle, make_images

from graft import registry
from graft.model.classifier import Classifier

INFER, LENGTH = "/v2/models/colours/infer", "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return sorted(make_images(tmp_path_factory.mktemp("images"), images=3).glob("*/*.png"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory, paths):
    classifier = Classifier(make_bundle(tmp_path_factory.mktemp("expected") / "colours"))
    return classifier.predict(paths), np.stack([classifier.read(path) for path in paths])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serves colours@1 from a registry."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_HOME", str(folder / "home"))
        registry.publish(make_bundle(folder / "colours"), "colours", str(folder / "registry"))
        with live_server("colours", str(folder / "registry")) as client:
            yield client


@pytest.fixture
def client(server):
    """Triton's own client."""
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(f"{server.base_url.host}:{server.base_url.port}") as triton:
        yield triton


def test_tritons_client_finds_out_what_is_served(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("colours", "1")
    assert not client.is_model_ready("colours", "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    described = client.get_model_metadata("colours")
    assert described["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, *IMAGE_SIZE, 3]}]
    assert described["versions"] == ["1"]
    assert {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]} in described["outputs"]


@pytest.mark.parametrize("kind, is_binary", [("UINT8", True), ("UINT8", False), ("BYTES", True)])
def test_tritons_client_gets_the_classifiers_answers(client, paths, expected, kind, is_binary):
    import tritonclient.http as http

    predictions, pixels = expected
    files = np.array([path.read_bytes() for path in paths], dtype=object)
    sent = http.InferInput("images", list(pixels.shape) if kind == "UINT8" else [len(files)], kind)
    sent.set_data_from_numpy(pixels if kind == "UINT8" else files, binary_data=is_binary)
    answer = client.infer("colours", [sent], request_id="7")
    assert answer.get_response()["id"] == "7" and answer.get_response()["model_version"] == "1"
    assert answer.as_numpy("label").tolist() == [each.label for each in predictions]
    assert answer.as_numpy("is_unknown").tolist() == [each.is_unknown for each in predictions]
    assert answer.as_numpy("probabilities") == pytest.approx(
        np.array([[each.probabilities[name] for name in COLOURS] for each in predictions]), abs=1e-6)


def tensor(**changes) -> dict:
    content = {"name": "images", "datatype": "UINT8", "shape": [1, *IMAGE_SIZE, 3],
               "data": np.full((1, *IMAGE_SIZE, 3), 7).tolist()}
    return {"inputs": [{key: value for key, value in (content | changes).items() if value is not None}]}


def test_files_in_base64_and_chosen_outputs(server, paths, expected):
    data = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    wanted = {"outputs": [{"name": "label"}]}
    answer = server.post(INFER, json=tensor(datatype="BYTES", shape=[len(data)], data=data) | wanted)
    assert answer.json() == {"model_name": "colours", "model_version": "1", "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [9], "data": [each.label for each in expected[0]]}]}


@pytest.mark.parametrize("content, said", [
    (b"", "Expecting value"), (b"[1]", "expected a JSON object"), ({"inputs": []}, "expected one input, images"),
    (tensor(name="pictures"), "expected one input, images"), (tensor(datatype="FP32"), "received FP32"),
    (tensor(shape=[1, 2, 2, 3]), "received UINT8 (1, 2, 2, 3)"), (tensor(data=[1, 2]), "expected 2304 values"),
    (tensor(data=[[1], [1, 2]]), "inhomogeneous"), (tensor(data=[-1] * 2304), "from 0 to 255"),
    (tensor(data=[0.5] * 2304), "from 0 to 255"), (tensor(shape=[99, *IMAGE_SIZE, 3]), "at most 32"),
    (tensor(data=None), "expected `data`"), (tensor(datatype="BYTES", shape=[1], data=["%"]), "base64"),
    (tensor(datatype="BYTES", shape=[1], data=["aGk="]), "image 0: not an image"),
    (tensor() | {"outputs": [{"name": "logits"}]}, "outputs: expected"), (tensor() | {"more": 1}, "more: unknown"),
    (b" " * 4_000_001, "larger than 4,000,000 bytes"), (tensor() | {"id": "\ud800"}, "id: expected a text"),
])
def test_a_wrong_request_gets_the_protocols_own_error(server, content, said):
    answer = server.post(INFER, content=content if isinstance(content, bytes) else json.dumps(content))
    assert answer.status_code == 400 and list(answer.json()) == ["error"] and said.lower() in answer.text.lower()


@pytest.mark.parametrize("header, said", [("9", "at most the body's 3"), ("x", "a number of"), ("1", "Expecting")])
def test_a_wrong_length_of_the_json_is_told(server, header, said):
    answer = server.post(INFER, content=b"{}x", headers={LENGTH: header})
    assert answer.status_code == 400 and said in answer.json()["error"]


def test_files_that_end_early_are_told(server):
    head = json.dumps(tensor(datatype="BYTES", shape=[2], data=None, parameters={"binary_data_size": 5})).encode()
    answer = server.post(INFER, content=head + b"\x01\0\0\0a", headers={LENGTH: str(len(head))})
    assert answer.json() == {"error": "images: expected 2 files, received 1"}


@pytest.mark.parametrize("path", ["models/other", "models/colours/versions/2", "models/colours/x", "nothing"])
def test_what_is_not_served_is_the_protocols_error_too(server, path):
    answer = server.get(f"/v2/{path}")
    assert answer.status_code == 404 and list(answer.json()) == ["error"]
    assert list(server.get("/nothing").json()) == ["detail"]


def test_sagemakers_routes(server, paths, expected):
    assert server.get("/ping").json() == {"status": "ready", "model": "colours@1"}
    answer = server.post("/invocations", content=paths[0].read_bytes(), headers={"Content-Type": "image/png"})
    assert answer.json()["predictions"][0]["label"] == expected[0][0].label
