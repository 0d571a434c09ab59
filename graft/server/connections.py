"""uvicorn's HTTP connections, with limits on what a client sends besides bodies, leaves unread and keeps open."""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10                 # for the head of a request to arrive
HEAD_BYTES = 64 * 1024      # of a head, and of all that is neither head nor body: trailers, the lengths of chunks
WRITE_S = 20                # for a client to take what waits to be sent
CLIENT_CONNECTIONS = 512    # at the same time from one address
_REFUSAL = "HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Ends a connection that arrives too slowly, sends too much or reads too little; uvicorn itself has no limits."""

    _waiting: asyncio.TimerHandle | None = None     # for a head; None while a request is read or answered
    _sending: asyncio.TimerHandle | None = None     # for the client to read, while too much waits to be sent
    _surplus_bytes = 0                              # received that are no body; a body allows for as many beside it
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:    # type: ignore[override]
        """Start to wait for the head of the first request."""
        super().connection_made(transport)
        self._wait_for_head()
        hosts = [each.client and each.client[0] for each in self.connections if isinstance(each, LimitedProtocol)]
        if hosts.count(self.client and self.client[0]) > CLIENT_CONNECTIONS:
            self._refuse(503, "Service Unavailable")

    def data_received(self, data: bytes) -> None:
        """Parse data; refuse a head, trailers or lengths of chunks that are too large."""
        if self.transport.is_closing():
            return
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()                   # the next request on this connection begins
        self._surplus_bytes += len(data)
        super().data_received(data)
        if self._surplus_bytes > HEAD_BYTES:
            self._refuse(431, "Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A head begins; one request may wait while another is answered, and a third is refused."""
        if self.pipeline:
            raise httptools.HttpParserError("too many requests wait on one connection")
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which nobody reads, are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has arrived: stop waiting."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived, which `graft.server.uploads` limits."""
        self._surplus_bytes = max(0, self._surplus_bytes - 2 * len(body))
        super().on_body(body)

    def pause_writing(self) -> None:
        """Much waits to be sent: give the client some time to read it."""
        super().pause_writing()
        self._sending = self.loop.call_later(WRITE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read: stop waiting for it."""
        self._stop_sending()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """No other request came: end the connection, whether or not the client reads the last answer."""
        super().timeout_keep_alive_handler()
        self._stop_sending()
        self._sending = self.loop.call_later(WRITE_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: stop waiting."""
        self._stop_waiting()
        self._stop_sending()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._surplus_bytes = 0
        self._waiting = self.loop.call_later(HEAD_S, self._refuse, 408, "Request Timeout")

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _refuse(self, status: int, reason: str) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL.format(status, reason).encode())
            self.transport.close()
