"""Where a bucket is: the address that `packages` in server.toml gives.

Shape: s3://bucket/prefix?endpoint=https://s3.example.org&region=eu-central-1&ca=/etc/ssl/own.pem
"""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlsplit

#: How the address of a bucket begins.
SCHEME = "s3://"

_OPTIONS = ("endpoint", "region", "ca")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z", re.ASCII)
_SHAPE = "Give s3://BUCKET/PREFIX?endpoint=URL&region=REGION; what follows the bucket may be left"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A place in a bucket.

    Attributes:
        bucket: its name.
        prefix: what the names of all our objects begin with, without slashes around it; may be ''.
        endpoint: the server's URL; '' for Amazon's.
        region: of the bucket; '' for what the environment says.
        ca: a file with the certificate that the server's own is signed with; '' for the system's.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    ca: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises:
            ValueError: it is none; the message says why and what to do.
        """
        parts = urlsplit(text)
        if parts.scheme != "s3" or parts.fragment:
            raise ValueError(f"{text!r} is no address of a bucket. {_SHAPE}")
        if "@" in parts.netloc:
            raise ValueError(
                "credentials do not belong into an address. Put them into AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY in the server's environment"
            )
        if not _BUCKET.match(parts.netloc):
            raise ValueError(f"{parts.netloc!r} is no name of a bucket. {_SHAPE}")
        prefix = parts.path.strip("/")
        if prefix and (not _PREFIX.match(prefix) or {".", ".."} & set(prefix.split("/"))):
            raise ValueError(f"{prefix!r} cannot begin names. Use letters, digits and . _ - /")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name in options:
            if name not in _OPTIONS:
                raise ValueError(f"{name} is no option there. There are {', '.join(_OPTIONS)}")
        endpoint = options.get("endpoint", "").rstrip("/")
        if endpoint and not _is_endpoint(endpoint):
            raise ValueError(f"endpoint is {endpoint!r}. Give a URL like https://s3.example.org")
        return cls(parts.netloc, prefix, endpoint, options.get("region", ""), options.get("ca", ""))

    def __str__(self) -> str:
        """Return how people are told where it is."""
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"{self.bucket}{where}"


def _is_endpoint(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
