"""Read the images in a request, within limits on size, number and time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from graft.errors import printable


@dataclass(frozen=True)
class Limits:
    """Limits for one request, and for all concurrent requests; and whether one more format is read."""

    body_bytes: int = 30_000_000
    body_s: float = 20          # for the whole body to arrive
    slow_s: float = 3           # from when on it must arrive at `rate_bytes` a second, from the first on
    rate_bytes: int = 20_000
    answer_s: float = 30        # from then, for all images to be predicted
    images: int = 32            # in one request
    requests: int = 128         # that are being read or answered at the same time
    all_bytes: int = 1_000_000_000      # of their bodies
    heif: bool = False          # whether HEIC and HEIF files are read; see `graft.decoding.heif`


@dataclass(frozen=True)
class Upload:
    """One image file of a request."""

    name: str
    data: bytes


async def read_uploads(request: Request, limits: Limits, on_bytes: Callable[[int], None]) -> list[Upload]:
    """Read the images of a request: its body, or the files in a form.

    Args:
        on_bytes: is called with the size of each part of the body, and may refuse it by an exception.

    Raises:
        HTTPException: 400 for a malformed request, 408 for a slow one, 413 for too much data or too many images, 415
            for another content type; its detail states what was expected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if not (is_form or kind.startswith("image/") or kind == "application/octet-stream"):
        raise HTTPException(415, f"Content-Type '{kind}' is not supported: send an image as the body, as image/jpeg, "
                                 "image/png, … or application/octet-stream, or files as multipart/form-data")
    data = await read_body(request, limits, on_bytes)
    uploads = await _read_form(request, data) if is_form else [Upload("image", data)]
    if not uploads:
        raise HTTPException(400, "the form contains no file: send one or more, with any field name")
    if len(uploads) > limits.images:
        raise HTTPException(413, f"received {len(uploads)} images in one request, expected at most {limits.images}")
    return uploads


async def read_body(request: Request, limits: Limits, on_bytes: Callable[[int], None]) -> bytes:
    """The body of a request. For arguments and errors, see `read_uploads`."""
    too_large = HTTPException(413, f"the request is larger than {limits.body_bytes / 1e6:g} MB")
    if int(request.headers.get("content-length", 0)) > limits.body_bytes:
        raise too_large
    data, began = bytearray(), asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(min(limits.body_s, limits.slow_s)) as deadline:
            async for chunk in request.stream():
                on_bytes(len(chunk))
                data += chunk
                if len(data) > limits.body_bytes:
                    raise too_large
                deadline.reschedule(began + min(limits.body_s, limits.slow_s + len(data) / limits.rate_bytes))
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {limits.body_s:g} s, or at less than "
                                 f"{limits.rate_bytes / 1000:g} kB a second") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the whole request arrived") from None
    return bytes(data)


async def _read_form(request: Request, data: bytes) -> list[Upload]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield data

    parser = MultiPartParser(request.headers, once(), max_files=1000, max_fields=100)
    parser.spool_max_size = 0           # no file of a form is written to the disk
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError) as error:         # names in a charset that cannot be read
        raise HTTPException(400, f"the form cannot be read: {getattr(error, 'message', error)}") from error
    try:
        files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
        return [Upload(printable(each.filename or "image"), await each.read()) for each in files]
    finally:
        await form.close()
