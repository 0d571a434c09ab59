"""A store on S3 or a compatible service, with AWS's usual credentials.

`create` is a PUT with `If-None-Match: *`. If the reply is lost, the write may have happened or not; so after any reply
other than a clear success or refusal, the object is read back and compared with what was sent.
"""

import base64
import functools
import hashlib
import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from graft.store.address import endpoint_url, is_on_loopback
from graft.store.contract import Missing, Store, Stored, StoreError
from graft.store.s3_errors import explain, status_of

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 30
ATTEMPTS = 4                        # per request, with growing pauses: up to 7 s if the server keeps failing
READS = 4                           # attempts to read a body, which boto3 does not repeat if it was cut short
CONNECTIONS = 16
LINK_SECONDS = 7 * 86400            # the longest lifetime that S3 allows for a signed link


class S3Store(Store):
    """A store below `s3://bucket/prefix`."""

    def __init__(self, address: str, what: str = "registry"):
        self.address, self._name = address, f"{what} {address}"
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock: tuple[datetime, float] | None = None       # the server's time, and our monotonic clock then
        self._client = self._call(connect)
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
                    raise explain(error, self._name) from error
                stored = self._holds(key, data)
                if stored is not None:
                    return stored
                if status_of(error) != 409 or pause_s is None:
                    raise explain(error, self._name) from error
                time.sleep(pause_s)
        raise AssertionError("unreachable")

    def replace(self, key: str, data: bytes | Path) -> None:
        self._call(self._put, key, data)

    def read(self, key: str, start: int, length: int) -> bytes:
        for attempt in range(READS):
            body = self._open(key, start, length)
            try:
                return body.read() if body else b""
            except Exception as error:          # boto3 repeats requests, but not reading a body
                if attempt == READS - 1:
                    raise explain(error, self._name) from error
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
                yield Stored(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["LastModified"],
                             entry["ETag"])

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
        if self._clock is None:
            raise StoreError(f"{self._name}: the server sends no date. Use another store.")
        date, read_at_s = self._clock
        return date + timedelta(seconds=time.monotonic() - read_at_s)

    def _read_clock(self, parsed: dict, **_: object) -> None:
        """Take the server's time from a reply: every reply has it, and behind a gateway perhaps two."""
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        with suppress(ValueError):
            self._clock = parsedate_to_datetime(date).replace(tzinfo=UTC), time.monotonic()

    def _put(self, key: str, data: bytes | Path, **conditions: str) -> None:
        where = {"Bucket": self._bucket, "Key": self._prefix + key, **conditions}
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
            file.seek(0)
            # lets the server refuse an upload that was damaged on its way; MD5 is the only checksum that all support
            self._client.put_object(Body=file, ContentMD5=base64.b64encode(md5).decode(), **where)

    def _open(self, key: str, start: int, length: int) -> Any:
        """The body of a range of an object; None if the object ends before `start`."""
        query = {"Bucket": self._bucket, "Key": self._prefix + key, "Range": f"bytes={start}-{start + length - 1}"}
        try:
            reply = self._client.get_object(**query)
        except Exception as error:
            if status_of(error) == 416:
                return None
            raise self._explained(error) from error
        if reply["ContentLength"] > length:
            raise StoreError(f"{self.address}: the server sends more than was requested. Use another store.")
        return reply["Body"]

    def _holds(self, key: str, data: bytes | Path) -> bool | None:
        """Whether `data` is the object with this key; None if there is no object. Of a file only the size is compared:
        its key contains its hash."""
        if isinstance(data, Path):
            stored = self.stat(key)
            return None if stored is None else stored.size_bytes == data.stat().st_size
        try:
            return self.read(key, 0, len(data) + 1) == data
        except Missing:
            return None

    def _pages(self, **query: str) -> Iterator[dict]:
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **query))
        while page := self._call(next, pages, None):
            yield page

    def _call(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call a function of boto3; its errors become `Missing` or `StoreError`."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        missing = status_of(error) == 404 and "NoSuchBucket" not in str(error)
        return Missing(str(error)) if missing else explain(error, self._name)


def connect() -> Any:
    """A boto3 client for S3, with AWS's usual credentials. Raises what boto3 raises."""
    import boto3
    from botocore.config import Config
    from botocore.session import get_session

    endpoint = endpoint_url()
    config = Config(
        signature_version="s3v4",       # for links, boto3's default is one that newer buckets refuse
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        # a proxy cannot reach the servers of this machine, but boto3 asks it for them, too
        proxies={} if endpoint and is_on_loopback(endpoint) else None,
        # virtual hosts (bucket.host) need DNS entries that only AWS is sure to have
        s3={"addressing_style": "path" if endpoint else "auto"},
        # many servers do not support the newer checksums; our own sha256 verifies what is read
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    core = get_session()
    session = boto3.Session(botocore_session=core)
    core.register_component("data_loader", _descriptions())     # after boto3 has extended the session's own loader
    client = session.client("s3", config=config)
    client.meta.events.register("needs-retry.s3", _pause_when_busy)
    return client


@functools.cache
def _descriptions() -> Any:
    """botocore's descriptions of AWS, read once per process; each client reads credentials and settings again."""
    from botocore.loaders import create_loader

    return create_loader()


def _pause_when_busy(response: tuple | None, attempts: int, **_: object) -> float | None:
    """Seconds until a request is repeated. boto3 recognises busy servers by error code; some only send status 429."""
    busy = response is not None and response[0].status_code == 429 and attempts < ATTEMPTS
    return random.uniform(0.5, 1) * 2 ** (attempts - 1) if busy else None


def _was_repeated(error: Any) -> bool:
    """Whether boto3 sent this request more than once: an earlier attempt of ours may then have created the object."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))
