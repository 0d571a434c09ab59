"""Fetch an image from an untrusted URL: http and https only, public addresses only, within limits.

Each host is resolved once, all its addresses are checked, and the connection goes to a checked address, so a name that
resolves differently a moment later (DNS rebinding) has no effect. Redirects are checked in the same way. Proxies from
the environment are not used, because a proxy would connect to unchecked addresses.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit

from graft.errors import printable
from graft.images import UnreadableImage

MAX_DOWNLOAD_BYTES = 30_000_000     # of one response; camera JPEGs have up to 25 MB
TIME_LIMIT_S = 20.0         # for one URL including its redirects
MAX_REDIRECTS = 5
_CHUNK = 65536              # bytes
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, (     # which `is_global` of some versions of Python takes for public
    "192.0.0.0/24",         # protocol assignments (RFC 6890)
    "192.88.99.0/24",       # relays from 6to4, deprecated (RFC 7526)
    "168.63.129.16/32",     # Azure's own services on every virtual machine
    "64:ff9b:1::/48",       # local translation (RFC 8215)
    "3fff::/20",            # documentation (RFC 9637)
    "5f00::/16",            # segment routing (RFC 9602)
    "100::/64",             # discarded (RFC 6666)
)))
_REDIRECTS = (301, 302, 303, 307, 308)


def is_url(source: object) -> bool:
    """Whether this is text with a scheme; `ftp://…` is too, although `fetch` refuses it."""
    return isinstance(source, str) and "://" in source


def fetch(
    url: str, allow_private: bool = False, max_bytes: int = MAX_DOWNLOAD_BYTES, time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """The contents of a URL.

    Args:
        allow_private: also connect to addresses that are not public, such as private and loopback ones.
        max_bytes: the largest response that is accepted.
        time_limit_s: for everything but name resolution, which has the limits of the system's resolver.

    Raises:
        UnreadableImage: with the reason: refused, failed, too large or too slow.
    """
    deadline = time.monotonic() + time_limit_s
    for _ in range(MAX_REDIRECTS + 1):
        try:
            url, data = _get(url, allow_private, max_bytes, deadline)
            if time.monotonic() >= deadline:    # a connection cut by us looks like one that ended
                raise TimeoutError
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise UnreadableImage(f"timed out after {time_limit_s:g} s") from error
            raise error if isinstance(error, UnreadableImage) else _failed(error) from error
        if data is not None:
            return data
    raise UnreadableImage(f"more than {MAX_REDIRECTS} redirects")


def _get(url: str, allow_private: bool, max_bytes: int, deadline: float) -> tuple[str, bytes | None]:
    """Make one request: returns the URL and its contents, or the URL that it redirects to and None."""
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
            raise UnreadableImage(printable(f"HTTP {response.status} {response.reason[:100]}".strip()))
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
        raise UnreadableImage(f"cannot be fetched: the connection closed {response.length} bytes early")
    return bytes(data)


def _connect(url: str, allow_private: bool, deadline: float) -> http.client.HTTPConnection:
    """A connection to a checked address. For https, the TLS handshake, for the URL's host name, is still to be done."""
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
        connection.default_port = http.client.HTTPS_PORT        # so that the Host header omits the port
    connection.sock = sock
    return connection


def _parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises `UnreadableImage` if one of them is missing or not supported."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise UnreadableImage(f"not a URL: {error}") from error
    if scheme not in ("http", "https"):
        raise UnreadableImage(f"'{scheme}' is not supported; expected http or https")
    if not host:
        raise UnreadableImage("not a URL: it has no host")
    if parts.username is not None or parts.password is not None:
        raise UnreadableImage("a user or password in a URL is not supported")
    return scheme, host, port or (443 if scheme == "https" else 80)


def _target(url: str) -> str:
    """Path and query as a request needs them: spaces and non-ASCII characters are percent-encoded."""
    parts = urlsplit(url)
    return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="/?%:@!$&'()*+,;=~-._[]|")


def _addresses(host: str, port: int, allow_private: bool) -> list[str]:
    """All addresses of a host, after checking them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreadableImage(f"unknown host {host}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and (refused := [each for each in addresses if not is_public(each)]):
        raise UnreadableImage(f"{host} is at {refused[0]}, not a public address: allow private URLs to fetch it")
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address, or the IPv4 address that it wraps, is on the public internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    wrapped = _wrapped(parsed) if parsed.version == 6 else None
    if wrapped is not None:
        return is_public(str(wrapped))
    local = parsed.is_multicast or parsed.is_reserved or getattr(parsed, "is_site_local", False)
    return parsed.is_global and not local and not any(parsed in each for each in _NOT_PUBLIC)


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address within: mapped, 6to4, Teredo, or NAT64 (the well-known prefix of RFC 6052)."""
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])


@contextlib.contextmanager
def _cut_at(deadline: float, sock: socket.socket) -> Iterator[None]:
    """Cut the connection at the deadline even if it keeps sending slowly: a socket's timeout applies to one read."""
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
        socket.socket.shutdown(sock, socket.SHUT_RDWR)      # SSLSocket.shutdown would drop TLS state in use


def _failed(error: Exception) -> UnreadableImage:
    reason = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return UnreadableImage(f"cannot be fetched: {reason or type(error).__name__}")
