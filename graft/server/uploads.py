"""The images in a request, within limits: whoever sends too much or too slowly is told so."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect


@dataclass(frozen=True)
class Limits:
    """What one request, and all requests together, may take."""

    body_bytes: int = 30_000_000
    body_s: float = 20          # until all of the body has arrived
    answer_s: float = 30        # from then until all images are predicted
    images: int = 32            # in one request
    requests: int = 128         # being read or answered at one time


@dataclass(frozen=True)
class Upload:
    name: str
    data: bytes


async def read_uploads(request: Request, limits: Limits) -> list[Upload]:
    """The images of a request: its body, or the files of a form.

    Raises:
        HTTPException: 400, 408, 413 or 415, with what was expected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if not (is_form or kind.startswith("image/") or kind == "application/octet-stream"):
        raise HTTPException(415, f"Content-Type '{kind}' is not supported: send an image as the body, with image/jpeg, "
                                 "image/png, … or application/octet-stream, or files as multipart/form-data")
    data = await _read_body(request, limits)
    uploads = await _read_form(request, data) if is_form else [Upload("image", data)]
    if not uploads:
        raise HTTPException(400, "the form holds no file: send one or more, under any name")
    if len(uploads) > limits.images:
        raise HTTPException(413, f"{len(uploads)} images in one request; at most {limits.images} are accepted")
    return uploads


async def _read_body(request: Request, limits: Limits) -> bytes:
    too_large = HTTPException(413, f"the request is larger than {limits.body_bytes / 1e6:g} MB")
    if int(request.headers.get("content-length", 0)) > limits.body_bytes:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in request.stream():
                data += chunk
                if len(data) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {limits.body_s:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the request did") from None
    return bytes(data)


async def _read_form(request: Request, data: bytes) -> list[Upload]:
    async def once() -> AsyncIterator[bytes]:
        yield data

    parser = MultiPartParser(request.headers, once(), max_files=1000, max_fields=100)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    try:
        files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
        return [Upload(each.filename or "image", await each.read()) for each in files]
    finally:
        await form.close()
