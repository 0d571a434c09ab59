"""Fetch an image from a URL that a stranger may have written: http and https, public addresses, within limits.

Each host is resolved once, every address of it is checked, and the connection goes to a checked address: a name that
resolves differently a moment later (DNS rebinding) changes nothing. Each redirect is checked in the same way. Proxies
that the environment names are not used, because they would connect to addresses that nobody checked.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import quote, urljoin, urlsplit

from graft.images import UnreadableImage

MAX_DOWNLOAD_BYTES = 30_000_000     # of one response; camera JPEGs have up to 25 MB
TIME_LIMIT_S = 20.0         # for one URL with all its redirects
MAX_REDIRECTS = 5
_CHUNK = 65536              # bytes
_REDIRECTS = (301, 302, 303, 307, 308)


def is_url(source) -> bool:
    """Whether this names a scheme: `ftp://…` does too, and is refused when it is fetched."""
    return isinstance(source, str) and "://" in source


def fetch(
    url: str, allow_private: bool = False, max_bytes: int = MAX_DOWNLOAD_BYTES, time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """The bytes behind a URL.

    Args:
        allow_private: also connect to private, loopback and other addresses that are not public.
        time_limit_s: for all but the lookup of names, which has the time limits of the system's resolver.

    Raises:
        UnreadableImage: with the reason: refused, failed, too large or too slow.
    """
    deadline = time.monotonic() + time_limit_s
    for _ in range(MAX_REDIRECTS + 1):
        try:
            url, data = _get(url, allow_private, max_bytes, deadline)
            if time.monotonic() >= deadline:    # a connection that was cut looks like one that has ended
                raise TimeoutError
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise UnreadableImage(f"timed out after {time_limit_s:g} s") from error
            raise error if isinstance(error, UnreadableImage) else _failed(error) from error
        if data is not None:
            return data
    raise UnreadableImage(f"more than {MAX_REDIRECTS} redirects")


def _get(url: str, allow_private: bool, max_bytes: int, deadline: float) -> tuple[str, bytes | None]:
    """One request: the URL and its bytes, or the URL that it redirects to and None."""
    with contextlib.closing(_connect(url, allow_private, deadline)) as connection, _cut_at(deadline, connection.sock):
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        connection.request("GET", _target(url), headers={
            "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "graft",
        })
        response = connection.getresponse()
        location = response.headers.get("Location")
        if response.status in _REDIRECTS and location:
            return urljoin(url, location), None
        if response.status != 200:
            raise UnreadableImage(f"HTTP {response.status} {response.reason}".strip())
        return url, _read(response, max_bytes)


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    too_large = UnreadableImage(f"larger than {max_bytes / 1e6:g} MB")
    if (response.length or 0) > max_bytes:
        raise too_large
    data = bytearray()
    while chunk := response.read(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    if response.length:
        raise UnreadableImage(f"cannot be fetched: the connection ended {response.length} bytes early")
    return bytes(data)


def _connect(url: str, allow_private: bool, deadline: float) -> http.client.HTTPConnection:
    """Connected to a checked address; over TLS the handshake is yet to come, for the name in the URL."""
    scheme, host, port = _parts(url)
    connection = http.client.HTTPConnection(host, port)
    for address in _addresses(host, port, allow_private):
        try:
            sock = socket.create_connection((address, port), timeout=max(deadline - time.monotonic(), 0.001))
            break
        except OSError as error:
            failure = error
    else:
        raise failure
    if scheme == "https":
        context = ssl.create_default_context()
        sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        connection.default_port = http.client.HTTPS_PORT        # so that the Host header leaves it out
    connection.sock = sock
    return connection


def _parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises `UnreadableImage` when one of them will not do."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise UnreadableImage(f"not a URL: {error}") from error
    if scheme not in ("http", "https"):
        raise UnreadableImage(f"'{scheme}' is not supported: only http and https")
    if not host:
        raise UnreadableImage("not a URL: it names no host")
    if parts.username is not None or parts.password is not None:
        raise UnreadableImage("a user or password in a URL is not supported")
    return scheme, host, port or (443 if scheme == "https" else 80)


def _target(url: str) -> str:
    """Path and query as they stand in a request: whatever is not ASCII, or a blank, percent-encoded."""
    parts = urlsplit(url)
    return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="/?%:@!$&'()*+,;=~-._[]|")


def _addresses(host: str, port: int, allow_private: bool) -> list[str]:
    """Every address of a host, each of them checked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreadableImage(f"unknown host {host}") from error
    addresses = list(dict.fromkeys(entry[4][0] for entry in found))
    if not allow_private and (refused := [each for each in addresses if not is_public(each)]):
        raise UnreadableImage(f"{host} is at {refused[0]}, no public address: refused unless private ones are allowed")
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, also when it only wraps an IPv4 one."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    wrapped = _wrapped(parsed) if parsed.version == 6 else None
    if wrapped is not None:
        return is_public(str(wrapped))
    local = parsed.is_multicast or parsed.is_reserved or getattr(parsed, "is_site_local", False)
    return parsed.is_global and not local


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside: mapped, 6to4, Teredo, or NAT64 (RFC 6052's well-known prefix)."""
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])


@contextlib.contextmanager
def _cut_at(deadline: float, sock: socket.socket):
    """Cut the connection at the deadline, however slowly it keeps sending: a socket's own timeout is for one read."""
    remaining = max(deadline - time.monotonic(), 0.001)
    sock.settimeout(remaining)
    timer = threading.Timer(remaining, _cut, [sock])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)      # TLS's own would drop its state under the reader


def _failed(error: Exception) -> UnreadableImage:
    reason = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return UnreadableImage(f"cannot be fetched: {reason or type(error).__name__}")
