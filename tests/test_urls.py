"""The guarded fetch, against real servers on two loopback addresses of which one plays the public internet."""

import contextlib
import datetime
import ipaddress
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from graft.images import UnreadableImage
from graft.predict import urls
from graft.predict.urls import fetch

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
PICTURE = b"\x89PNG and so on" * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers by path; every request is noted in `server.seen` with its Host header."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, self.headers["Host"]))
        getattr(self, self.path.strip("/").partition("?")[0].partition("/")[0])()

    def picture(self):
        self._send(200, PICTURE)

    def missing(self):
        self._send(404, b"no")

    def redirect(self):
        self._send(302, b"", Location=self.path.partition("?")[2])

    def early(self):
        self._send(200, PICTURE[:500], length=len(PICTURE))
        self.close_connection = True

    def chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self._slowly(lambda: b"x")

    def headers_drip(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._slowly(lambda: b"X-More: x\r\n")

    def _slowly(self, piece):
        with contextlib.suppress(OSError):
            for _ in range(100):
                self.wfile.write(piece())
                self.wfile.flush()
                time.sleep(0.05)

    def _send(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(address, context=None):
    server = ThreadingHTTPServer((address, 0), Handler)
    server.seen, server.daemon_threads = [], True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    server.url = f"{'https' if context else 'http'}://{address}:{server.server_port}"
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def public(monkeypatch):
    """A server whose address counts as public, while every other keeps what it is."""
    really = urls.is_public
    monkeypatch.setattr(urls, "is_public", lambda address: address == PUBLIC or really(address))
    with serving(PUBLIC) as server:
        yield server


@pytest.fixture
def private():
    with serving(PRIVATE) as server:
        yield server


def refused(url, **options) -> str:
    with pytest.raises(UnreadableImage) as caught:
        fetch(url, **options)
    return str(caught.value)


def test_fetches_the_bytes(public):
    assert fetch(f"{public.url}/picture?size=big 1&name=ä") == PICTURE
    assert public.seen == [("/picture?size=big%201&name=%C3%A4", public.url.removeprefix("http://"))]


def test_follows_redirects_but_not_for_ever(public):
    assert fetch(f"{public.url}/redirect?/redirect?/picture") == PICTURE
    assert refused(f"{public.url}/redirect?/redirect" + "?/redirect" * 8) == "more than 5 redirects"


def test_a_private_address_is_refused_before_anything_is_sent(private):
    assert "127.0.0.1, not a public address" in refused(f"{private.url}/picture")
    assert private.seen == []
    assert fetch(f"{private.url}/picture", allow_private=True) == PICTURE


def test_a_redirect_to_a_private_address_is_refused(public, private):
    assert "not a public address" in refused(f"{public.url}/redirect?{private.url}/picture")
    assert private.seen == []


@pytest.mark.parametrize("address", [
    "192.0.0.1", "192.0.0.9", "192.0.0.255", "168.63.129.16", "3fff::1", "3fff:fff::1", "::ffff:168.63.129.16",
    "64:ff9b::a83f:8110", "2002:c000:0001::", "100::1", "192.88.99.1", "169.254.169.254", "100.100.100.200", "fd00::1",
    "2001:db8::1", "240.0.0.1", "0.0.0.0", "::", "fe80::1%eth0", "ff02::1", "5f00::1", "64:ff9b:1::1",
])
def test_an_address_of_the_special_registries_is_not_public(address):
    """RFC 6890 and the registries of IANA that it founded; Azure's is its own."""
    assert not urls.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "192.0.1.1", "168.63.129.17", "2606:4700::1111", "2002:0808:0808::1"])
def test_other_addresses_are_public(address):
    assert urls.is_public(address)


def test_a_redirect_to_another_scheme_is_refused(public):
    assert refused(f"{public.url}/redirect?file:///etc/passwd") == "'file' is not supported; expected http or https"


def test_a_name_that_changes_its_address_is_connected_where_it_was_checked(public, private, monkeypatch):
    answers, really = [], socket.getaddrinfo

    def rebinding(host, port, *args, **kwargs):
        if host != "rebinding.example":
            return really(host, port, *args, **kwargs)
        answers.append(PRIVATE if answers else PUBLIC)
        return really(answers[-1], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = public.server_port
    assert fetch(f"http://rebinding.example:{port}/picture") == PICTURE
    assert answers == [PUBLIC]
    assert public.seen == [("/picture", f"rebinding.example:{port}")] and private.seen == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    assert "10.0.0.1, not a public address" in refused("http://both.example/picture")


@pytest.mark.parametrize("url, reason", [
    ("ftp://example.org/a.png", "'ftp' is not supported; expected http or https"),
    ("file:///etc/passwd", "'file' is not supported; expected http or https"),
    ("http:///a.png", "not a URL: it has no host"),
    ("http://[::1/a.png", "not a URL: Invalid IPv6 URL"),
    ("http://example.org:99999/a.png", "not a URL: Port out of range 0-65535"),
    ("http://me:secret@example.org/a.png", "a user or password in a URL is not supported"),
    ("http://no-such-host.invalid/a.png", "unknown host no-such-host.invalid"),
])
def test_what_cannot_be_fetched_has_a_reason(url, reason):
    assert refused(url) == reason


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_loopback_is_refused_however_it_is_spelled(host):
    assert "not a public address" in refused(f"http://{host}/picture")


def test_errors_of_the_server_are_told(public):
    assert refused(f"{public.url}/missing") == "HTTP 404 Not Found"
    assert "bytes early" in refused(f"{public.url}/early")
    with socket.create_server((PUBLIC, 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in refused(f"http://{PUBLIC}:{port}/picture").lower()


def test_no_more_than_the_limit_is_read(public):
    assert refused(f"{public.url}/picture", max_bytes=len(PICTURE) - 1).startswith("larger than")
    assert fetch(f"{public.url}/picture", max_bytes=len(PICTURE)) == PICTURE
    assert refused(f"{public.url}/chunked", max_bytes=50_000) == "larger than 0.05 MB"


@pytest.mark.parametrize("path", ["drip", "headers_drip"])
def test_a_server_that_keeps_sending_slowly_is_cut_off(public, path):
    assert refused(f"{public.url}/{path}", time_limit_s=0.3) == "timed out after 0.3 s"


def test_https_is_verified_for_the_name_in_the_url(public, tmp_path, monkeypatch):
    import ssl

    authority = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with serving(PUBLIC, context) as server:
        assert "self-signed certificate" in refused(f"{server.url}/picture")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert fetch(f"{server.url}/picture") == PICTURE
        really = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **kwargs: really(PUBLIC, *args, **kwargs))
        assert "certificate is not valid for 'other.example'" in refused(
            f"https://other.example:{server.server_port}/picture")


def _certificate(folder):
    """A self-signed certificate for the public address, with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(PUBLIC))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize("address, expected", [
    ("8.8.8.8", True), ("2606:4700::1", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
    ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False),
    ("169.254.169.254", False),
    ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("0.0.0.0", False), ("::1", False),
    ("fe80::1%eth0", False), ("fc00::1", False), ("fec0::1", False), ("ff02::1", False), ("::ffff:10.0.0.1", False),
    ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("::127.0.0.1", False),
])
def test_which_addresses_are_public(address, expected):
    assert urls.is_public(address) is expected
