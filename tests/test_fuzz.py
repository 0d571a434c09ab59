"""Inputs that Hypothesis makes up: each is read or refused with a reason, and never ends in another exception.

    FUZZ_EXAMPLES=20000 pytest tests/test_fuzz.py       many more of each
    python -m benchmarks.fuzz --minutes 60              as many as there is time for, with limits of memory and time
"""

import contextlib
import json
import os
import socket
import string
import tempfile
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake_faults import FAULTS, ODD
from live_server import live_server
from ruamel.yaml import YAML
from tiny_bundle import make_bundle

from graft.errors import GraftError
from graft.images import UnreadableImage, read_image
from graft.model import bundle as bundles
from graft.model.classifier import Classifier
from graft.predict.sources import expand, read_source
from graft.registry import address, log, manifest
from graft.server.protocol import read_request
from graft.store import Damaged
from pipeline.intake.fingerprint import take_fingerprint
from pipeline.intake.listing import list_files
from tasks.params import read_params, read_sections

settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", 300)), deadline=None,
                          suppress_health_check=list(HealthCheck))
settings.load_profile("fuzz")

SEEDS = [data for data in ({name: each[0] for name, each in FAULTS.items()} | {
    name: each if isinstance(each, bytes) else each[0] for name, each in ODD.items()}).values()
    if isinstance(data, bytes) and len(data) < 50_000]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(string.ascii_letters + string.digits + " ._-éß日", min_size=1, max_size=12)
CELLS = TEXT | st.sampled_from(["a.jpg", "../a.jpg", "/a.jpg", "cat", "train", "", "test", '"', ",", "\n", "a.JPG"])
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8)


@st.composite
def damaged(draw, seeds=SEEDS) -> bytes:
    """The bytes of a picture, or of another file, some of which are changed, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = at + draw(st.integers(0, 64))
        data[at:end] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[at:end]) * 2), st.just(b"")))
    return bytes(data)


@given(damaged() | st.binary(max_size=200))
def test_a_damaged_picture_is_read_or_refused(data):
    try:
        image = read_image(data, (16, 16))
    except UnreadableImage as reason:
        assert 0 < len(str(reason)) < 400 and "\n" not in str(reason)
    else:
        assert image.shape == (16, 16, 3)


@given(damaged())
def test_validate_reads_a_damaged_picture_or_refuses_it(data):
    try:
        take_fingerprint(data)
    except UnreadableImage as reason:
        assert str(reason)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6), st.sampled_from([",", ";", "\t"]), st.booleans())
def test_a_label_table_is_read_or_refused(rows, separator, has_header):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.jpg").write_bytes(b"x")
        lines = [separator.join(row) for row in ([["path", "label", "group", "split"]] if has_header else []) + rows]
        (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
        try:
            list_files(folder)
        except GraftError as error:
            assert str(error)


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8), st.sampled_from(["path", "first", "last"]),
       st.booleans())
def test_any_tree_of_folders_is_listed_or_refused(paths, labels_from, split_folders):
    with tempfile.TemporaryDirectory() as name:
        made = 0
        for parts in paths:
            path = Path(name, *parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
            except OSError:         # a file and a folder of one name, or `..`
                continue
            made += 1
        try:
            listing = list_files(Path(name), labels_from, split_folders)
        except GraftError as error:
            assert str(error)
        else:
            assert len(listing.files) <= made


@given(st.data())
def test_any_value_in_params_yaml_is_taken_or_refused(data):
    sections = read_sections(Path("params.yaml"))
    section = data.draw(st.sampled_from(sorted(sections)))
    inner = sections[section]
    key = data.draw(st.sampled_from(sorted(inner)) | TEXT)
    inner[key] = data.draw(JSON)
    with tempfile.TemporaryDirectory() as name:
        YAML().dump(sections, Path(name, "params.yaml"))
        cls = getattr(import_module(f"tasks.{section}"), f"{section.capitalize()}Params")
        try:
            read_params(section, cls, Path(name, "params.yaml"))
        except GraftError as error:
            assert "params.yaml" in str(error)


@given(st.dictionaries(st.sampled_from(["class_names", "image_size", "temperature", "format", "formats", "backbone",
                                        "training", "unknown_threshold", "other"]), JSON) | JSON)
def test_any_description_of_a_model_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as name:
        Path(name, bundles.DESCRIPTION).write_text(json.dumps(content), encoding="utf-8")
        try:
            bundles.read_description(name)
        except GraftError as error:
            assert name in str(error)


@given(st.binary(max_size=100) | JSON.map(lambda content: json.dumps(content).encode()))
def test_any_entry_and_manifest_of_a_registry_is_refused(data):
    for decode in (lambda: log.decode(data, "there"), lambda: manifest.decode(data, "pets", 1, "there")):
        with pytest.raises(Damaged):
            decode()


VERSION = manifest.Manifest("pets", 1, {name: manifest.File("0" * 64, 9) for name in ("model.onnx", "model.json")},
                            ["cat", "dog"], {"name": "images"}, "2026-01-01T00:00:00+00:00", facts={"a": [1.5]})
ENTRY = log.Entry(1, log.PROMOTE, "champion", 1, at="2026-01-01T00:00:00+00:00", by="me", gate={"verdict": "PROMOTE"},
                  aliases={"champion": {"version": 1, "manifest": "0" * 64}})


@given(damaged([manifest.encode(VERSION), log.encode(ENTRY)]))
def test_a_damaged_entry_or_manifest_is_read_or_refused(data):
    for decode in (lambda: log.decode(data, "there"), lambda: manifest.decode(data, "pets", 1, "there")):
        try:
            assert decode().format == 1
        except Damaged as error:
            assert "there" in str(error)


@given(damaged([b"extract:\n  views: 3\n  backbone: {name: MobileNetV2, cut: auto}\nsplit: &a [1, 2.5, *a]\n"]))
def test_damaged_yaml_is_read_or_refused(data):
    with tempfile.TemporaryDirectory() as name:
        Path(name, "params.yaml").write_bytes(data)
        try:
            assert isinstance(read_sections(Path(name, "params.yaml")), dict)
        except GraftError as error:
            assert "params.yaml" in str(error)


@given(damaged([b"path,label,group,split\na.jpg,cat,1,train\n\"b,\".jpg,\"d\"\"og\",,test\n",
                "path;label\na.jpg;é\n".encode("utf-16")]))
def test_a_damaged_label_table_is_read_or_refused(data):
    with tempfile.TemporaryDirectory() as name:
        for path, content in (("a.jpg", b"x"), ("b,.jpg", b"x"), ("labels.csv", data)):
            Path(name, path).write_bytes(content)
        try:
            list_files(Path(name))
        except GraftError as error:
            assert str(error)


@given(st.data())
def test_a_damaged_bundle_is_read_or_refused(bundle, data):
    with tempfile.TemporaryDirectory() as name:
        changed = data.draw(st.sampled_from([bundles.DESCRIPTION, bundles.UNKNOWN]))
        for file in bundle.iterdir():
            Path(name, file.name).write_bytes(file.read_bytes())
        Path(name, changed).write_bytes(data.draw(damaged([(bundle / changed).read_bytes()])))
        try:
            Classifier(name)
        except GraftError as error:
            assert name in str(error)


@given(TEXT | NAMES)
def test_any_address_is_read_or_refused(text):
    try:
        assert str(address.parse(text))
    except GraftError as error:
        assert str(error)


@given(st.lists(NAMES.filter(lambda name: name != "-"), max_size=4))
def test_any_source_is_read_or_refused(words):
    of_no_folder = [word for word in words if not Path(word).is_dir()]     # "/" is one: the whole machine
    for source in expand(of_no_folder).images:
        try:
            read_source(source)
        except UnreadableImage as reason:
            assert str(reason)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def server(bundle):
    with live_server(bundle) as client:
        yield client


TENSOR = {"name": "images", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [[[[1, 2, 3], [4, 5, 6]]] * 2]}
FILES = {"name": "images", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}
BODIES = [json.dumps({"id": "a", "inputs": [TENSOR], "outputs": [{"name": "label"}]}).encode(),
          json.dumps({"inputs": [FILES | {"data": ["aGVsbG8="]}]}).encode(),
          json.dumps({"inputs": [FILES]}).encode() + b"\5\0\0\0hello"]


@given(damaged(BODIES) | JSON.map(lambda content: json.dumps({"inputs": [content]}).encode()),
       st.none() | st.sampled_from([str(len(BODIES[2]) - 9), "-1", "9" * 5000, "¹", "x"]))
def test_any_request_for_a_tensor_is_read_or_refused(body, json_bytes):
    try:
        content, images = read_request(body, json_bytes, (2, 2), 8)
    except ValueError as error:
        assert str(error)
    else:
        assert len(images) == content["inputs"][0]["shape"][0]


FORM = (b"POST /v1/predict?top=2 HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: %d\r\n\r\n" + b"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.png\"\r\n"
        b"Content-Type: image/png\r\n\r\n" + SEEDS[0] + b"\r\n--b--\r\n")
CHUNKED = (b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"5\r\nhello\r\n3;a=b\r\nxyz\r\n0\r\nDigest: x\r\n\r\n")


@given(damaged([FORM.replace(b"%d", b"%d" % (len(FORM.partition(b"\r\n\r\n")[2]))), CHUNKED]))
def test_any_bytes_sent_to_the_server_leave_it_answering(server, data):
    with socket.create_connection((server.base_url.host, server.base_url.port), timeout=30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while received := sock.recv(65_536):
                answer += received
    assert answer[:9] in (b"HTTP/1.1 ", b"") and not answer[9:].startswith(b"500")
    assert server.get("/healthz").status_code == 200


@given(st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
       st.sampled_from(["/v1/predict", "/v1/model", "/", "/x"]),
       st.dictionaries(st.sampled_from(["top", "x"]), TEXT, max_size=2), damaged() | st.binary(max_size=100),
       st.sampled_from(["image/png", "multipart/form-data", "multipart/form-data; boundary=x", "application/json"]))
def test_any_request_is_answered(server, method, path, query, body, kind):
    answer = server.request(method, path, params=query, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500
