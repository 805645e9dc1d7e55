"""The way back from what somebody just did, in the message that says it was done.

A way back is one form that goes to an ordinary route with its own rights and checks, and it says
what it brings back and what not. It is offered only where that route can really do it.
"""

from collections.abc import Mapping
from datetime import datetime

from flask import flash, url_for

from deploy_server.services.assigning import Cleared
from deploy_server.storage.types import utc_text

#: Characters that a way back may have in the browser's cookie, which holds 4 KiB in all.
_ROOM = 1500


def flash_cleared(
    text: str, label: str, package_id: int, what: Cleared, rows: int, at: datetime
) -> None:
    """Say that `rows` of a package were cleared at this moment; a button takes that back."""
    address = url_for("console.recall.bring_back", package_id=package_id)
    flash_done(text, label, address, {"what": what, "rows": str(rows), "at": utc_text(at)})


def flash_done(text: str, label: str, address: str, fields: Mapping[str, str | list[str]]) -> None:
    """Say that `text` was done, with a button `label` that posts `fields` to `address`.

    Where that is too much for a cookie, the message comes without the button.
    """
    pairs = [
        (name, value)
        for name, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    if sum(len(name) + len(value) for name, value in pairs) > _ROOM:
        flash(text, "success")
        return
    way_back = {"label": label, "action": address, "fields": pairs}
    flash({"text": text, "undo": way_back}, "success")  # type: ignore[arg-type]
