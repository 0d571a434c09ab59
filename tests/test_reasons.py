"""A reason that travels as a value keeps nothing of what it saw: no image that cannot be read stays in memory."""

import gc
import sys
from concurrent.futures import Future

import pytest
from intake_faults import FAULTS
from tiny_bundle import make_bundle

from graft.errors import as_value
from graft.images import UnreadableImage, read_bytes, read_image
from graft.model.classifier import Classifier
from graft.predict.rows import rows
from graft.server.batching import Batcher
from pipeline.cluster.ray_cluster import content
from pipeline.intake.scan import _read_chunk

BROKEN = FAULTS["half_photo.png"][0]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return Classifier(make_bundle(tmp_path_factory.mktemp("models") / "colours"))


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def predicted(classifier, data):
    with classifier.predict_many([data] * 3) as answers:
        return list(answers)


def in_rows(classifier, data):
    with rows(classifier, ["a", "b"], read=lambda source: data) as answers:
        return list(answers)


def served(classifier, data):
    batcher = Batcher()
    futures: list[Future] = [batcher.submit(classifier, data) for _ in range(3)]
    answers = [each.result(20) for each in futures]
    batcher.close()
    return answers


def read_elsewhere(classifier, data):
    return [content(data, lambda source: read_image(source, (8, 8)))]


def passed_on(classifier, data):
    reason = content(data, lambda source: read_image(source, (8, 8)))
    with pytest.raises(UnreadableImage, match=str(reason)):
        read_bytes(reason)
    return [reason]


@pytest.mark.parametrize("way", [predicted, in_rows, served, read_elsewhere, passed_on,
                                 lambda classifier, data: _read_chunk([data])])
def test_a_reason_keeps_nothing(classifier, no_collector, way):
    data = bytes(bytearray(BROKEN))         # of its own, so that its references can be counted
    before = sys.getrefcount(data)
    answers = way(classifier, data)
    assert answers and sys.getrefcount(data) == before
    for each in answers:
        if isinstance(each, Exception):
            assert each.__traceback__ is each.__cause__ is each.__context__ is None


def test_an_error_as_a_value_has_its_message_alone():
    try:
        try:
            raise KeyError("seen")
        except KeyError as cause:
            raise UnreadableImage("why") from cause
    except UnreadableImage as error:
        value = as_value(error)
    assert str(value) == "why"
    assert value.__traceback__ is value.__cause__ is value.__context__ is None
