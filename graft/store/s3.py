"""A registry's objects on S3, or on anything that speaks its protocol, with AWS's usual credentials.

Requests go through botocore, which boto3 is made of and which starts in half the time.

`create` is a PUT with `If-None-Match: *`. A reply that is lost leaves open whether the write happened; so after any
reply that is no plain yes or no, the object is read back and compared with what was sent.
"""

import base64
import functools
import hashlib
import io
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from graft.store.address import endpoint_url
from graft.store.contract import Missing, Store, Stored, StoreError
from graft.store.s3_errors import explain, status_of

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 30
ATTEMPTS = 4                        # of each request by botocore, with growing pauses: up to 7 s on a failing server
READS = 4                           # of a body that was cut short, which botocore does not repeat
CONNECTIONS = 16
LINK_SECONDS = 7 * 86400            # the longest that S3 lets a signed link live


class S3Store(Store):
    """Objects below `s3://bucket/prefix`."""

    def __init__(self, registry: str):
        self.address = registry
        self._bucket, _, prefix = registry.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock: tuple[datetime, float] | None = None       # the server's, and our monotonic clock at that moment
        self._client = _connect(registry)
        self._client.meta.events.register("after-call.s3", self._read_clock)

    def create(self, key: str, data: bytes | Path) -> bool:
        for pause_s in (0.1, 0.5, None):
            try:
                self._put(key, data, IfNoneMatch="*")
                return True
            except Exception as error:
                if status_of(error) == 412 and not _was_repeated(error):
                    return False
                if status_of(error) in range(400, 409):
                    raise explain(error, self.address) from error
                stored = self._holds(key, data)
                if stored is not None:
                    return stored
                if status_of(error) != 409 or pause_s is None:
                    raise explain(error, self.address) from error
                time.sleep(pause_s)
        raise AssertionError("unreachable")

    def replace(self, key: str, data: bytes | Path) -> None:
        self._call(self._put, key, data)

    def read(self, key: str, start: int, length: int) -> bytes:
        for attempt in range(READS):
            body = self._open(key, start, length)
            try:
                return body.read() if body else b""
            except Exception as error:          # botocore repeats requests, but not the reading of a body
                if attempt == READS - 1:
                    raise explain(error, self.address) from error
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def stat(self, key: str) -> Stored | None:
        try:
            reply = self._call(self._client.head_object, Bucket=self._bucket, Key=self._prefix + key)
        except Missing:
            return None
        return Stored(key, reply["ContentLength"], reply["LastModified"])

    def scan(self, prefix: str) -> Iterator[Stored]:
        for page in self._pages(Prefix=self._prefix + prefix):
            for entry in page.get("Contents", ()):
                yield Stored(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["LastModified"])

    def folders(self, prefix: str) -> list[str]:
        pages = self._pages(Prefix=self._prefix + prefix, Delimiter="/")
        paths = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def delete(self, key: str) -> None:
        self._call(self._client.delete_object, Bucket=self._bucket, Key=self._prefix + key)

    def link(self, key: str, media_type: str) -> str:
        query = {"Bucket": self._bucket, "Key": self._prefix + key, "ResponseContentType": media_type}
        return self._call(self._client.generate_presigned_url, "get_object", Params=query, ExpiresIn=LINK_SECONDS)

    def now(self) -> datetime:
        if self._clock is None:
            self._call(self._client.list_objects_v2, Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        date, read_at_s = self._clock
        return date + timedelta(seconds=time.monotonic() - read_at_s)

    def _read_clock(self, parsed: dict, **_) -> None:
        """Every reply carries the server's time."""
        if date := parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"):
            self._clock = parsedate_to_datetime(date), time.monotonic()

    def _put(self, key: str, data: bytes | Path, **conditions) -> None:
        where = {"Bucket": self._bucket, "Key": self._prefix + key, **conditions}
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
            file.seek(0)
            # a server refuses what was damaged on its way: of all checksums, each kind of server knows this one
            self._client.put_object(Body=file, ContentMD5=base64.b64encode(md5).decode(), **where)

    def _open(self, key: str, start: int, length: int):
        """The body of a range; None when nothing is left from `start` on."""
        query = {"Bucket": self._bucket, "Key": self._prefix + key, "Range": f"bytes={start}-{start + length - 1}"}
        try:
            reply = self._client.get_object(**query)
        except Exception as error:
            if status_of(error) == 416:
                return None
            raise self._explained(error) from error
        if reply["ContentLength"] > length:
            raise StoreError(f"{self.address}: the server sends more than it was asked for. Use another store.")
        return reply["Body"]

    def _holds(self, key: str, data: bytes | Path) -> bool | None:
        """Whether `data` stands under the key; None when nothing does. A file is content-addressed: its size tells."""
        if isinstance(data, Path):
            stored = self.stat(key)
            return None if stored is None else stored.size_bytes == data.stat().st_size
        try:
            return self.read(key, 0, len(data) + 1) == data
        except Missing:
            return None

    def _pages(self, **query) -> Iterator[dict]:
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **query))
        while page := self._call(next, pages, None):
            yield page

    def _call(self, function, *args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        missing = status_of(error) == 404 and "NoSuchBucket" not in str(error)
        return Missing(str(error)) if missing else explain(error, self.address)


def _connect(registry: str):
    from botocore.config import Config
    from botocore.session import get_session

    endpoint = endpoint_url()
    config = Config(
        signature_version="s3v4",       # of links, botocore's default is one that newer buckets refuse
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        # virtual hosts (bucket.host) need a DNS that only AWS is sure to have
        s3={"addressing_style": "path" if endpoint else "auto"},
        # newer kinds of checksums are unknown to many servers; our own sha256 checks what is read
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = get_session()
        session.register_component("data_loader", _descriptions())
        client = session.create_client("s3", config=config)
    except Exception as error:
        raise explain(error, registry) from error
    client.meta.events.register("needs-retry.s3", _pause_when_busy)
    return client


@functools.cache
def _descriptions():
    """botocore's descriptions of AWS, read once; credentials and settings are read anew for each client."""
    from botocore.loaders import create_loader

    return create_loader()


def _pause_when_busy(response, attempts: int, **_) -> float | None:
    """Seconds until a request is repeated. botocore knows busy servers by their words; some only say 429."""
    busy = response is not None and response[0].status_code == 429 and attempts < ATTEMPTS
    return random.uniform(0.5, 1) * 2 ** (attempts - 1) if busy else None


def _was_repeated(error: Exception) -> bool:
    """Whether botocore sent this request more than once: then the one that won may have been our own."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))
