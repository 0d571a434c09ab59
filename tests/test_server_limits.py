"""What one client can take of a server: none of them takes all, whatever it sends, and whatever it does not read."""

import contextlib
import socket
import time

import pytest
from fastapi import HTTPException
from live_server import live_server
from tiny_bundle import make_bundle, make_images

from graft.server.shares import Shares, client_of

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return (make_images(tmp_path_factory.mktemp("images"), images=1) / "red/00.png").read_bytes()


@pytest.fixture(scope="module")
def server(bundle):
    with live_server(bundle) as client:
        yield client


def connect(server, receive_bytes=None):
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(120)
    sock.connect((server.base_url.host, server.base_url.port))
    return sock


def sent_until_closed(sock, piece: bytes, limit: int = 50_000_000) -> int:
    """How many bytes the server took before it closed the connection."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < limit:
            sock.sendall(piece)
            sent += len(piece)
    return sent


def test_trailers_and_chunks_of_one_byte_have_a_limit(server):
    for begin, piece in ((b"0\r\n", b"a:\r\n" * 4000), (b"", b"1\r\nx\r\n" * 4000), (b"", b"1;" + b"x" * 9000)):
        with connect(server) as sock:
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + begin)
            assert sent_until_closed(sock, piece) < 10_000_000


def test_a_body_in_chunks_with_a_trailer_is_read(server, image):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (image[:100], image[100:]))
    with connect(server) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nDigest: x\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"


def test_one_request_may_wait_on_a_connection_and_not_a_thousand(server):
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(2 * get)
        received = b""
        while received.count(b'"ok"') < 2:
            received += sock.recv(1000) or pytest.fail("closed")
    with connect(server) as sock:
        assert sent_until_closed(sock, 1000 * get) < 10_000_000


def test_a_client_that_does_not_read_is_left(bundle, monkeypatch):
    monkeypatch.setattr("graft.server.connections.WRITE_S", 0.2)
    with live_server(bundle) as server, connect(server, receive_bytes=4096) as sock:
        for _ in range(20):
            with contextlib.suppress(OSError):
                sock.sendall(b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.05)
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := sock.recv(1_000_000):
                received += len(part)
        assert received < 10_000_000


def test_a_body_that_trickles_in_is_ended(bundle, image):
    with live_server(bundle, slow_s=1, rate_bytes=10**6) as server, connect(server) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + image)
        for _ in range(8):
            with contextlib.suppress(OSError):
                sock.sendall(b"x")
            time.sleep(0.2)
        assert sock.recv(12) == b"HTTP/1.1 408"
        fast = server.post("/v1/predict", content=image, headers={"Content-Type": "image/png"})
        assert fast.status_code == 200


def test_connections_of_one_client_have_a_limit(bundle, monkeypatch):
    monkeypatch.setattr("graft.server.connections.CLIENT_CONNECTIONS", 3)
    with live_server(bundle) as server, contextlib.ExitStack() as kept:
        socks = [kept.enter_context(connect(server)) for _ in range(4)]
        assert socks[3].recv(12) == b"HTTP/1.1 503"


def test_bodies_have_a_limit_together(bundle, image):
    with live_server(bundle, all_bytes=len(image) - 1) as server:
        assert server.post("/v1/predict", content=image, headers={"Content-Type": "image/png"}).status_code == 429
        assert server.post("/v1/predict", content=b"x", headers={"Content-Type": "image/png"}).status_code == 422


def test_one_client_gets_three_quarters_and_gives_them_back():
    places = Shares(8)
    for _ in range(6):
        places.take("one")
    with pytest.raises(HTTPException):
        places.take("one")
    places.take("other", 2)
    with pytest.raises(HTTPException):
        places.take("third")
    places.give_back("one")
    places.take("third")
    for client, amount in (("one", 5), ("other", 2), ("third", 1)):
        places.give_back(client, amount)
    assert not places.taken


@pytest.mark.parametrize("host, client", [
    ("10.0.0.1", "10.0.0.1"), ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff:1", "2001:db8::/64"), ("", ""),
])
def test_who_a_client_is(host, client):
    assert client_of(host) == client
