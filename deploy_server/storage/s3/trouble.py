"""What an object store refuses, as errors that people can act on."""

import re

from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import StorageError

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")

_RIGHTS = (
    "refuses that to this server",
    "Allow it s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there",
)
_CREDENTIALS = (
    "does not take the server's credentials",
    "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) in the server's"
    " environment",
)
_NO_BUCKET = ("does not exist", "Make it, or correct packages in server.toml")
_REGION = ("lies in another region", "Add ?region=ITS-REGION to packages in server.toml")
_NONE = (
    "is asked for without credentials",
    "Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the server's environment, or give this"
    " machine a role",
)
_AWAY = (
    "cannot be reached",
    "Look whether its server runs, at the way there, and at endpoint in packages in server.toml",
)
_BUSY = ("has too much to do", "Try again in a minute")

#: By the code that the store gives, or by its status where it gives none.
_KNOWN = {
    "NoSuchBucket": _NO_BUCKET,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "RequestTimeTooSkewed": (
        "says that the clock of this machine is wrong",
        "Set the clock, and let it be kept right (timedatectl set-ntp true)",
    ),
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "SlowDown": _BUSY,
    "401": _CREDENTIALS,
    "403": _RIGHTS,
    "429": _BUSY,
    "503": _BUSY,
}

#: Where the library looks for the role of a machine.
_ROLES = ("169.254.169.254", "169.254.170.2")


class BucketAway(StorageError):
    """Nobody answered; whoever asks at once again will hear the same of the bucket.

    Attributes:
        bucket: the part of the message that is true whatever was wanted of it.
    """

    def __init__(self, bucket: str, hint: str, what: str = "") -> None:
        super().__init__(f"{what}: {bucket}" if what else bucket, hint)
        self.bucket = bucket


def names_no_object(error: Exception) -> bool:
    """Whether the store said that this object, and not its bucket, is missing."""
    return isinstance(error, FileNotFoundError) and _code(str(error)) != "NoSuchBucket"


def trouble(what: str, address: BucketAddress, error: Exception) -> StorageError:
    """Return an error of ours.

    Args:
        what: what could not be done; the beginning of the sentence.
        address: of the bucket.
        error: what obstore raised.
    """
    said = str(error).split("\n\nDebug source", 1)[0]
    known = _KNOWN.get(_code(said))
    if any(place in said for place in _ROLES):
        known = _NONE
    elif "HTTP error" in said:
        known = _AWAY
    if known is None:
        why = " ".join(re.sub(r"<[^>]*>", " ", said).split())[:300]
        return StorageError(f"{what}: the bucket {address}: {why}", "Try again in a minute")
    why, hint = known
    bucket = f"the bucket {address} {why}"
    if known in (_AWAY, _NONE):
        return BucketAway(bucket, hint, what)
    return StorageError(f"{what}: {bucket}", hint)


def _code(said: str) -> str:
    found = _CODE.search(said) or _STATUS.search(said)
    return found.group(1) if found else ""
