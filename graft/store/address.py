"""Where a store is: what its address means on this machine and in this environment."""

import os
from pathlib import Path
from urllib.parse import urlsplit


def identity(registry: str) -> str:
    """Tells apart what is different in truth: a folder in full, and the endpoint that an s3:// address is asked at."""
    if not registry.startswith("s3://"):
        return str(Path(registry).expanduser().resolve())
    return f"{registry} at {endpoint()}"


def endpoint_url() -> str | None:
    """Where S3 is when it is not AWS, from AWS's own variables."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def endpoint() -> str:
    """The same for people and for files: without a user name or password that it may hold."""
    if not (url := endpoint_url()):
        return "AWS"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
