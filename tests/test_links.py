"""Objects read by signed links from a real store, through a proxy that does what networks do."""

import pytest
import s3_server
from faults import Fault, faulty

from graft.store import StoreError, open_store
from pipeline.cluster.links import Links

DATA = bytes(range(256)) * 400


@pytest.fixture
def proxy(ceph, monkeypatch):
    """A proxy before the store, and a link through it to an object of `DATA`."""
    with faulty(s3_server.radosgw()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.server.url)
        store = open_store(ceph)
        assert store.create("a", DATA)
        proxy.requests.clear()
        proxy.link = store.link("a", "image/png")
        yield proxy


def test_what_passes_is_tried_again(proxy):
    proxy.add(Fault("GET", "/a", 503), Fault("GET", "/a", "cut"), Fault("GET", "/a", "drop"))
    assert Links().read(proxy.link, len(DATA) + 1) == DATA
    assert len(proxy.requests) == 4


def test_no_more_is_read_than_was_asked_for(proxy):
    assert Links().read(proxy.link, 10) == DATA[:10]


@pytest.mark.parametrize("times, status, said", [
    (9, 503, "Injected503"), (9, "drop", "ConnectionClosedError"), (1, 403, "Injected403"),
])
def test_what_does_not_pass_is_one_message_without_the_signature(proxy, times, status, said):
    proxy.add(Fault("GET", "/a", status, times))
    with pytest.raises(StoreError, match=rf"cannot read from 127.0.0.1:\d+: {said}\. Workers read") as caught:
        Links().read(proxy.link, 10)
    assert "Signature" not in str(caught.value) and len(proxy.requests) == (1 if status == 403 else 4)


def test_a_signature_that_was_changed_is_refused(proxy):
    with pytest.raises(StoreError, match="SignatureDoesNotMatch|AccessDenied"):
        Links().read(proxy.link[:-1] + ("0" if proxy.link[-1] != "0" else "1"), 10)
