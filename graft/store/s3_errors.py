"""Explain boto3's errors: what happened and what to do. Messages never contain credentials."""

from graft.errors import GraftError
from graft.store.address import endpoint
from graft.store.contract import StoreError

_CREDENTIALS = (
    "Expected AWS's usual credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or this machine's role"
)
_GARBLED = "the data arrived damaged. Try again; if it happens again, check the network"
_BY_CODE = {
    "NoSuchBucket": "the bucket does not exist. Create it, or correct the address",
    "AccessDenied": "these credentials do not allow this. Ask the bucket's owner, or use other credentials",
    "InvalidAccessKeyId": f"the server does not know this access key. {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret access key is wrong. {_CREDENTIALS}",
    "ExpiredToken": f"the session's credentials have expired. Log in again. {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid. {_CREDENTIALS}",
    "RequestTimeTooSkewed": "this machine's clock differs from the server's by more than 15 minutes. Set the clock",
    "PermanentRedirect": "the bucket is in another region. Set AWS_DEFAULT_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "the bucket is in another region. Set AWS_DEFAULT_REGION to the bucket's region",
    "SlowDown": "the server is busy and keeps asking for fewer requests. Try again later",
    "EntityTooLarge": "the server refuses an object of this size. Expected a store that accepts objects of up to 5 GB",
    "QuotaExceeded": "the bucket is full. Raise its quota, or remove old versions with `graft gc`",
    "BadDigest": _GARBLED,
    "XAmzContentSHA256Mismatch": _GARBLED,
    "InvalidBucketName": "this is not a valid bucket name. Correct the address",
    "NotImplemented": "the server lacks a feature of S3 that Graft needs (conditional writes). Use another store",
}
_BY_STATUS = {301: _BY_CODE["PermanentRedirect"], 403: _BY_CODE["AccessDenied"], 429: _BY_CODE["SlowDown"],
              407: "the proxy asks for a name and password. Add them to HTTP_PROXY and HTTPS_PROXY",
              501: _BY_CODE["NotImplemented"]}
_BY_CLASS = {
    "NoCredentialsError": f"no credentials were found. {_CREDENTIALS}",
    "PartialCredentialsError": f"the credentials are incomplete. {_CREDENTIALS}",
    "CredentialRetrievalError": f"the credentials could not be fetched. {_CREDENTIALS}",
    "ProfileNotFound": f"the profile that AWS_PROFILE names does not exist. {_CREDENTIALS}",
    "TokenRetrievalError": "the login has expired. Run `aws sso login`",
    "UnauthorizedSSOTokenError": "the login has expired. Run `aws sso login`",
    "SSOTokenLoadError": "you are not logged in. Run `aws sso login`",
    "ConfigParseError": "AWS's configuration file cannot be read. Correct ~/.aws/config",
    "SSLError": "the server's certificate is not trusted. Set AWS_CA_BUNDLE to its authority's certificate",
    "ProxyConnectionError": "the proxy refuses the connection. Correct HTTP_PROXY and HTTPS_PROXY, or name the server "
                            "in NO_PROXY",
    "InvalidRegionError": "AWS_DEFAULT_REGION is not a region. Expected one such as eu-central-1",
}


def status_of(error: Exception) -> int | None:
    """The HTTP status of the server's answer; None if there was no answer."""
    return (getattr(error, "response", None) or {}).get("ResponseMetadata", {}).get("HTTPStatusCode")


def code_of(error: Exception) -> str:
    """S3's own name of the error, such as `NoSuchKey`; empty if there was no answer, or none with a name."""
    return (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")


def explain(error: Exception, store: str) -> Exception:
    """A `StoreError` that explains an error of boto3 or the network; any other error is returned unchanged.

    Args:
        store: what is stored, and where.
    """
    if isinstance(error, GraftError) or not _is_botocore(error):
        return error
    code = code_of(error)
    reason = _BY_CODE.get(code) or _BY_STATUS.get(status_of(error) or 0) or _BY_CLASS.get(type(error).__name__)
    return StoreError(f"{store}: {reason or _unnamed(error, code)}. (S3 at {endpoint()})")


def _is_botocore(error: Exception) -> bool:
    """Whether the network, the server or the configuration caused the error."""
    from botocore.exceptions import BotoCoreError, ClientError

    known = isinstance(error, (BotoCoreError, ClientError, ConnectionError, TimeoutError))
    return known or "urllib3" in type(error).__module__ or _is_bad_endpoint(error)


def _is_bad_endpoint(error: Exception) -> bool:
    return isinstance(error, ValueError) and any(word in str(error).lower() for word in ("endpoint", "url"))


def _unnamed(error: Exception, code: str) -> str:
    if status := status_of(error):
        return f"the server answered {status} {code}, even after retries. Try again later"
    if _is_bad_endpoint(error):
        return "AWS_ENDPOINT_URL is not a URL. Expected one such as https://s3.example.org"
    return f"no answer from the server ({type(error).__name__}). Check AWS_ENDPOINT_URL and the network, then try again"
