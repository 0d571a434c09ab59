"""Resolve a store's address on this machine and in this environment."""

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from graft.machine.files import expanded


def identity(registry: str) -> str:
    """A canonical key: two addresses of the same registry give the same text, those of different registries do not.

    It is the absolute path of a folder, or the s3:// address with its endpoint.
    """
    if not registry.startswith("s3://"):
        return str(expanded(registry).resolve())
    return f"{registry} at {endpoint()}"


def endpoint_url() -> str | None:
    """The URL of an S3 service other than AWS, from AWS's environment variables; None for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def is_on_loopback(url: str) -> bool:
    """Whether a URL's server is this machine: no proxy can reach it. False for what is not a URL."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def endpoint() -> str:
    """`endpoint_url` for messages and files: "AWS", or the URL without any user name and password."""
    if not (url := endpoint_url()):
        return "AWS"
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.partition('/')[0].rpartition('@')[2]}"
