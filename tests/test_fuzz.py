"""Inputs that Hypothesis makes up: each is read or refused with a reason, and never ends in another exception.

    FUZZ_EXAMPLES=20000 pytest tests/test_fuzz.py       many more of each
"""

import json
import os
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
from graft.predict.sources import expand, read_source
from graft.registry import address, log, manifest
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
def damaged(draw) -> bytes:
    """The bytes of a picture, some of which are changed, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
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
        module = "params" if section == "data" else section
        cls = getattr(import_module(f"tasks.{module}"), f"{section.capitalize()}Params")
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


@given(TEXT | NAMES)
def test_any_address_is_read_or_refused(text):
    try:
        assert str(address.parse(text))
    except GraftError as error:
        assert str(error)


@given(st.lists(NAMES.filter(lambda name: name != "-"), max_size=4))
def test_any_source_is_read_or_refused(words):
    for source in expand(words).images:
        try:
            read_source(source)
        except UnreadableImage as reason:
            assert str(reason)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(make_bundle(tmp_path_factory.mktemp("models") / "colours")) as client:
        yield client


@given(st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
       st.sampled_from(["/v1/predict", "/v1/model", "/", "/x"]),
       st.dictionaries(st.sampled_from(["top", "x"]), TEXT, max_size=2), damaged() | st.binary(max_size=100),
       st.sampled_from(["image/png", "multipart/form-data", "multipart/form-data; boundary=x", "application/json"]))
def test_any_request_is_answered(server, method, path, query, body, kind):
    answer = server.request(method, path, params=query, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500
