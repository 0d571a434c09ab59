"""uvicorn's HTTP connections, with limits for the head of a request."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10                 # for the head of a request to arrive
HEAD_BYTES = 64 * 1024      # of the head of a request
_REFUSAL = "HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Ends a connection whose head does not arrive in time or is too large; uvicorn itself would wait forever."""

    _waiting: asyncio.TimerHandle | None = None     # for a head; None while a request is read or answered
    _received_bytes = 0                             # of that head

    def connection_made(self, transport: asyncio.Transport) -> None:    # type: ignore[override]
        """Start to wait for the head of the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Parse data; refuse a head that is too large."""
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()                   # the next request on this connection begins
        self._received_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._received_bytes > HEAD_BYTES:
            self._refuse(431, "Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """The head has arrived: stop waiting."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._received_bytes = 0
        self._waiting = self.loop.call_later(HEAD_S, self._refuse, 408, "Request Timeout")

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _refuse(self, status: int, reason: str) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL.format(status, reason).encode())
            self.transport.close()
