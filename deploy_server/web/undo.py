"""The way back from what somebody just did, in the message that says it was done.

A way back is one form that goes to an ordinary route with its own rights and checks, and it says
what it brings back and what not. It is offered only where that route can really do it.
"""

from collections.abc import Mapping

from flask import flash, url_for

#: Characters that a way back may have in the browser's cookie, which holds 4 KiB in all.
_ROOM = 1500


def flash_done(text: str, label: str, endpoint: str, fields: Mapping[str, str | list[str]]) -> None:
    """Say that `text` was done, with a button `label` that posts `fields` to `endpoint`.

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
    way_back = {"label": label, "action": url_for(endpoint), "fields": pairs}
    flash({"text": text, "undo": way_back}, "success")  # type: ignore[arg-type]
