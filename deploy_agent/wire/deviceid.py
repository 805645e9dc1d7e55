"""Device ids, OCS's name of a computer: NAME-YYYY-MM-DD-hh-mm-ss."""

import re
from datetime import datetime

from deploy_agent.wire.errors import FieldError

DEVICE_ID_MAX = 255  # characters; OCS's column
# Source: System.pm:_check_deviceid
_FORM = re.compile(r".+-[0-9]{4}(?:-[0-9]{2}){5}\Z", re.ASCII)


def check_device_id(text: str) -> str:
    """Return `text` when it is a device id.

    Raises:
        FieldError: it is not; the sender's fault.
    """
    if len(text) > DEVICE_ID_MAX:
        raise FieldError("DEVICEID", f"longer than {DEVICE_ID_MAX} characters")
    if not _FORM.match(text) or not text.isprintable():
        raise FieldError("DEVICEID", "must look like NAME-YYYY-MM-DD-hh-mm-ss")
    return text


def make_device_id(name: str, local_time: datetime) -> str:
    """Return the device id of a computer called `name` that is first seen at `local_time`."""
    stem = "".join(c if c.isprintable() and not c.isspace() else "_" for c in name) or "computer"
    return f"{stem[: DEVICE_ID_MAX - 20]}-{local_time:%Y-%m-%d-%H-%M-%S}"
