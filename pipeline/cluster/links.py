"""Read objects by signed links: what a worker does that has no credentials for the store."""

import functools
import os
import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.store import StoreError
from graft.store.address import is_on_loopback
from graft.store.s3 import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, READS
from graft.store.s3_errors import code_of, status_of
from pipeline.image_folder import S3_READERS


class Links:
    """Reads links of one store over connections that stay open. Threads may share it."""

    def __init__(self):
        self._session = None

    def read(self, link: str, length: int) -> bytes:
        """The first `length` bytes of an object.

        Raises:
            UnreadableImage: if there is no such object.
            StoreError: if the store does not answer, or refuses. The message has no part of the link that is secret.
        """
        for attempt in range(READS):
            try:
                return self._get(link, length)
            except Exception as error:
                if code_of(error) == "NoSuchKey":
                    raise UnreadableImage("no such object any more") from None
                may_pass = status_of(error) in (None, 429, *range(500, 600))
                if isinstance(error, GraftError) or attempt == READS - 1 or not may_pass:
                    raise _explained(error, link) from error
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _get(self, link: str, length: int) -> bytes:
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import ClientError

        asked = AWSRequest("GET", link, headers={"Range": f"bytes=0-{length - 1}"}, stream_output=True)
        reply = self._opened(link).send(asked.prepare())
        if reply.status_code == 416:        # an empty object
            return b""
        if reply.status_code >= 300:
            code = re.search(rb"<Code>(\w{1,50})</Code>", reply.raw.read(4096))
            raise ClientError({"Error": {"Code": code[1].decode() if code else ""},
                               "ResponseMetadata": {"HTTPStatusCode": reply.status_code}}, "GetObject")
        return reply.raw.read(length)

    def _opened(self, link: str):
        """boto3's own session of connections, with this machine's proxies and certificates."""
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        if not self._session:
            proxies = {} if is_on_loopback(link) else get_environ_proxies(link)
            self._session = URLLib3Session(
                verify=os.environ.get("AWS_CA_BUNDLE", True), proxies=proxies,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), max_pool_connections=S3_READERS)
        return self._session


@dataclass(frozen=True)
class Link:
    """An object by its signed link: a source of `graft.images.read_bytes`, in whichever process reads it."""

    address: str

    def read_start(self, length: int) -> bytes:
        """See `Links.read`."""
        return _links().read(self.address, length)


@functools.cache
def _links() -> Links:
    """One for all that this process reads."""
    return Links()


def _explained(error: Exception, link: str) -> StoreError:
    reason = code_of(error) or status_of(error) or type(error).__name__
    return StoreError(f"the Ray worker on {socket.gethostname()} cannot read from {urlsplit(link).netloc}: {reason}. "
                      "Workers read from a store themselves: give them access to it, or copy the images into a folder "
                      "of this machine, which then sends them.")
