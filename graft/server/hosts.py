"""The names under which a server answers.

A web page can let its own name lead to this server (DNS rebinding); a browser then takes the answers for that page's.
So a request is answered only if its Host header is an address or a name that is known to be this server's.
"""

import re
import socket
from collections.abc import Collection
from ipaddress import ip_address

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MISDIRECTED = 421               # RFC 9110, 15.5.20
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]@/]+))(:[0-9]{0,5})?")


class KnownHosts:
    """ASGI middleware that refuses requests to unknown names with status 421."""

    def __init__(self, app: ASGIApp, names: Collection[str] = ()):
        """Answer to `names`, to this machine's own name, to every IP address, and to every name without a dot.

        No page of the internet has a name without a dot; services beside each other do.
        """
        self._app = app
        self._names = {name.lower().rstrip(".") for name in (socket.gethostname(), *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        hosts = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] != "http" or all(map(self._is_known, hosts)):
            await self._app(scope, receive, send)
        else:
            text = "this server does not answer to this name: start it with `graft serve --name NAME`\n"
            await PlainTextResponse(text, MISDIRECTED)(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        if not (found := _HOST.fullmatch(host.lower())):
            return False
        name = (found["address"] or found["name"]).rstrip(".")
        try:
            return bool(ip_address(name))
        except ValueError:
            return not found["address"] and (name in self._names or "." not in name or name.endswith(".localhost"))
