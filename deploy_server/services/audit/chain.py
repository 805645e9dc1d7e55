"""What ties an entry to the one before it. Pure."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deploy_server.storage.types import utc_text

#: What is hashed of an entry, in this order.
FIELDS = ("number", "at", "actor", "origin", "action", "target", "before", "after")


def digest_of(previous: str, row: Mapping[str, Any]) -> str:
    """Return the digest of an entry that follows the one with the digest `previous`.

    Shape of what is hashed: the digest before, a line feed, then the JSON list
    [number, "2026-11-21T10:15:01Z", actor, origin, action, target, before, after], without spaces.
    """
    values = [row[name] for name in FIELDS]
    parts = [utc_text(value) if isinstance(value, datetime) else value for value in values]
    line = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{line}".encode()).hexdigest()
