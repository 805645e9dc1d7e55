"""How somebody likes to see the console: small texts by name, kept with the user."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from deploy_server.storage.models import Preference
from deploy_server.storage.upsert import insert_or_update


def preference(session: Session, user_id: int, name: str) -> str | None:
    """Return what the user prefers, None where nothing was ever chosen."""
    mine = (Preference.user_id == user_id, Preference.name == name)
    return session.scalar(select(Preference.value).where(*mine))


def prefer(session: Session, user_id: int, name: str, value: str | None) -> None:
    """Keep what the user prefers; None goes back to how everybody begins."""
    if value is None:
        mine = (Preference.user_id == user_id, Preference.name == name)
        session.execute(delete(Preference).where(*mine))
        return
    row = {"user_id": user_id, "name": name, "value": value}
    insert_or_update(session, Preference, [row], ("user_id", "name"), ("value",))
