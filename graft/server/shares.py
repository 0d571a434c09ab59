"""Share something between clients, so that none of them can take all of it."""

import ipaddress
import math
from collections import Counter
from contextlib import suppress

from fastapi import HTTPException

LARGEST = 0.75          # of the whole, for one client
NETWORK_BITS = 64       # of an address of IPv6 name a client, who has all addresses that begin with them


class Shares:
    """Places or bytes, of which one client may have three quarters. Used in the event loop's thread only."""

    def __init__(self, total: int):
        self.total = total
        self.taken: Counter[str] = Counter()        # client -> its share

    def take(self, client: str, amount: int = 1) -> None:
        """Take a share, to be given back.

        Raises:
            HTTPException: 429 if that is more than is left, or more than one client may have.
        """
        if self.taken.total() + amount > self.total or self.taken[client] + amount > math.ceil(LARGEST * self.total):
            raise HTTPException(429, "too many concurrent requests: try again", {"Retry-After": "1"})
        self.taken[client] += amount

    def give_back(self, client: str, amount: int = 1) -> None:
        """Give back a share or a part of it."""
        self.taken[client] -= amount
        if not self.taken[client]:
            del self.taken[client]


def client_of(host: str) -> str:
    """Whose address that is: of IPv6, the first 64 bits."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.version == 6:
            return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))
    return host
