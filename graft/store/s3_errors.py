"""What botocore's errors mean to a person: what happened, and what to do. No credential is ever repeated."""

from graft.errors import GraftError
from graft.store.address import endpoint
from graft.store.contract import StoreError

_CREDENTIALS = (
    "Expected AWS's usual credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or this machine's role"
)
_GARBLED = "what arrived is not what was sent. Try again; when this stays, check the network"
_BY_CODE = {
    "NoSuchBucket": "there is no such bucket. Create it, or correct the address",
    "AccessDenied": "these credentials may not do this. Ask the bucket's owner, or use other credentials",
    "InvalidAccessKeyId": f"the server does not know this access key. {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong. {_CREDENTIALS}",
    "ExpiredToken": f"the session's credentials have expired: log in again. {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid. {_CREDENTIALS}",
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes off the server's. Set the clock",
    "PermanentRedirect": "the bucket is in another region. Set AWS_DEFAULT_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "the bucket is in another region. Set AWS_DEFAULT_REGION to the bucket's region",
    "SlowDown": "the server asks for fewer requests and kept on doing so. Try again later",
    "EntityTooLarge": "the server takes no object this large. Expected a store that takes objects up to 5 GB",
    "QuotaExceeded": "the bucket is full. Raise its quota, or remove old versions with `graft gc`",
    "BadDigest": _GARBLED,
    "XAmzContentSHA256Mismatch": _GARBLED,
    "InvalidBucketName": "this is not a bucket's name. Correct the address",
    "NotImplemented": "the server lacks a part of S3 that is needed (conditional writes). Use another store",
}
_BY_STATUS = {301: _BY_CODE["PermanentRedirect"], 403: _BY_CODE["AccessDenied"], 429: _BY_CODE["SlowDown"],
              501: _BY_CODE["NotImplemented"]}
_BY_CLASS = {
    "NoCredentialsError": f"no credentials were found. {_CREDENTIALS}",
    "PartialCredentialsError": f"the credentials are incomplete. {_CREDENTIALS}",
    "CredentialRetrievalError": f"the credentials could not be fetched. {_CREDENTIALS}",
    "ProfileNotFound": f"AWS_PROFILE names a profile that does not exist. {_CREDENTIALS}",
    "TokenRetrievalError": "the login has expired. Run `aws sso login`",
    "UnauthorizedSSOTokenError": "the login has expired. Run `aws sso login`",
    "SSOTokenLoadError": "there is no login. Run `aws sso login`",
    "ConfigParseError": "AWS's configuration file cannot be read. Correct ~/.aws/config",
    "SSLError": "the server's certificate is not trusted. Set AWS_CA_BUNDLE to its authority's certificate",
    "InvalidRegionError": "AWS_DEFAULT_REGION is not a region's name. Correct it, such as eu-central-1",
}


def status_of(error: Exception) -> int | None:
    """The HTTP status that the server answered with; None when there was no answer."""
    return (getattr(error, "response", None) or {}).get("ResponseMetadata", {}).get("HTTPStatusCode")


def explain(error: Exception, address: str) -> Exception:
    """A `StoreError` for whatever boto3 raised; an error that is not about the store is returned as it is."""
    if isinstance(error, GraftError) or not _is_botocore(error):
        return error
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
    reason = _BY_CODE.get(code) or _BY_STATUS.get(status_of(error)) or _BY_CLASS.get(type(error).__name__)
    return StoreError(f"registry {address}: {reason or _unnamed(error, code)}. (S3 at {endpoint()})")


def _is_botocore(error: Exception) -> bool:
    """Whether the network, the server or the configuration is to blame."""
    from botocore.exceptions import BotoCoreError, ClientError

    known = isinstance(error, (BotoCoreError, ClientError, ConnectionError, TimeoutError))
    return known or "urllib3" in type(error).__module__ or _is_bad_endpoint(error)


def _is_bad_endpoint(error: Exception) -> bool:
    return isinstance(error, ValueError) and "endpoint" in str(error).lower()


def _unnamed(error: Exception, code: str) -> str:
    if status := status_of(error):
        return f"the server answered {status} {code}, also when asked again. Try again later"
    if _is_bad_endpoint(error):
        return "AWS_ENDPOINT_URL is not an address. Expected one such as https://s3.example.org"
    return f"no answer from the server ({type(error).__name__}). Check AWS_ENDPOINT_URL and the network, then try again"
