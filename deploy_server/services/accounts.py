"""People who may log in: their passwords, roles and tags.

Passwords are kept as argon2id hashes; `logins` says who gets in with one. What a role may do is the
web's business (web/rights.py); who has it stands here.
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound, SpecError
from deploy_server.services import audit
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import LoginSource, User
from deploy_server.storage.types import fold

#: From the most rights to the fewest.
ROLES = ("superadmin", "admin", "operator", "viewer")

PASSWORD_MIN = 8
_PASSWORD_MAX = 1024  # characters; a longer one only costs time
_NAME_MAX = 64

#: What lists of guesses begin with, without the numbers and signs that people put around it.
_GUESSED = frozenset({
    "password", "passwort", "passwd", "motdepasse", "contrasena", "administrator", "admin",
    "root", "letmein", "welcome", "willkommen", "bienvenue", "iloveyou", "qwertyuiop",
    "qwertzuiop", "azertyuiop", "qwerty", "qwertz", "azerty", "dragon", "monkey", "football",
    "baseball", "sunshine", "princess", "superman", "changeme", "changeit", "default", "secret",
    "company", "firma", "tranche", "deployserver", "ocsinventory", "ocs", "inventory", "summer",
    "winter", "spring", "autumn", "sommer", "fruehling", "herbst",
})  # fmt: skip
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop[]asdfghjkl;zxcvbnm")
_AROUND = re.compile(r"\A[\W\d_]+|[\W\d_]+\Z")
_UNDISGUISED = str.maketrans("013457@$!", "oieastasi")

#: 32 MiB and three passes: about 0.1 s, and eight logins at once stay below 256 MiB.
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)

#: Letters and digits that nobody takes for each other.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Account:
    """A person as listings show them.

    Attributes:
        name: what they log in with.
        role: one of `ROLES`.
        tags: the only ones whose computers they see; none means every computer.
        created_at: since when they may.
        disabled_at: since when they may not.
        last_login: when they last did.
        locked_until: after too many wrong passwords, for browsers they never used.
    """

    name: str
    role: str
    tags: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    last_login: datetime | None
    locked_until: datetime | None


def list_users(session: Session) -> list[Account]:
    """Everybody, disabled ones too, by name."""
    return [
        Account(
            name=user.name,
            role=user.role,
            tags=tuple(user.tags),
            created_at=user.created_at,
            disabled_at=user.disabled_at,
            last_login=user.last_login,
            locked_until=user.locked_until,
        )
        for user in session.scalars(select(User).order_by(User.name_key))
    ]


def get_user(session: Session, name: str) -> User:
    """The user of this name, in any case.

    Raises:
        NotFound: nobody has it.
    """
    user = session.scalar(select(User).where(User.name_key == fold(name.strip())))
    if user is None:
        raise NotFound(f"there is no user {name!r}", "deploy-server user list shows the names")
    return user


def add_user(
    session: Session,
    name: str,
    password: str,
    role: str,
    tags: Sequence[str] = (),
    *,
    now: datetime,
) -> User:
    """Let somebody log in.

    Raises:
        SpecError: field `name`, `password`, `role` or `tags`.
        Conflict: the name is taken.
    """
    name = _checked_name(name)
    if session.scalar(select(User.id).where(User.name_key == fold(name))) is not None:
        raise Conflict(f"there is a user {name!r} already", "Choose another name")
    user = User(
        name=name,
        name_key=fold(name),
        password_hash=hash_password(password, name, shortest(session)),
        role=_checked_role(role),
        tags=_checked_tags(tags),
        created_at=now,
    )
    session.add(user)
    session.flush()
    audit.record(session, "user.add", user.name, now=now, after=_said(user))
    return user


def check_new(name: str, password: str) -> None:
    """Return when somebody could be added with these, for callers that do other things first.

    Raises:
        SpecError: field `name` or `password`.
    """
    _checked_name(name)
    _checked_password(password, name)


def change_user(
    session: Session, name: str, *, role: str, tags: Sequence[str], now: datetime
) -> User:
    """Give somebody another role and other tags; they have to log in again.

    Raises:
        NotFound: nobody has this name.
        SpecError: field `role` or `tags`.
        Conflict: nobody would be left to manage users.
    """
    user = get_user(session, name)
    if _checked_role(role) != "superadmin" or tags:
        _keep_one_superadmin(session, user)
    before = _said(user)
    user.role, user.tags = role, _checked_tags(tags)
    user.session_epoch += 1
    audit.record(session, "user.change", user.name, now=now, before=before, after=_said(user))
    return user


def disable_user(session: Session, name: str, *, now: datetime) -> User:
    """Log somebody out everywhere and keep them out; what they did stays theirs.

    Raises:
        NotFound: nobody has this name.
        Conflict: nobody would be left to manage users.
    """
    user = get_user(session, name)
    if user.disabled_at is None:
        _keep_one_superadmin(session, user)
        user.disabled_at = now
        user.session_epoch += 1
        audit.record(session, "user.disable", user.name, now=now)
    return user


def enable_user(session: Session, name: str, *, now: datetime) -> User:
    """Let somebody in again who was disabled or locked out.

    Raises:
        NotFound: nobody has this name.
    """
    user = get_user(session, name)
    user.disabled_at = None
    _unlock(session, user)
    audit.record(session, "user.enable", user.name, now=now)
    return user


def set_password(session: Session, name: str, password: str, *, now: datetime) -> User:
    """Give somebody another password; they are logged out everywhere and no longer locked.

    Raises:
        NotFound: nobody has this name.
        SpecError: field `password`.
    """
    user = get_user(session, name)
    user.password_hash = hash_password(password, user.name, shortest(session))
    user.session_epoch += 1
    _unlock(session, user)
    audit.record(session, "user.password", user.name, now=now)
    return user


def stored_hash(session: Session, name: str) -> str | None:
    """The hash of the user's password; None where nobody has this name."""
    return session.scalar(select(User.password_hash).where(User.name_key == fold(name.strip())))


def matches(stored: str | None, password: str) -> bool:
    """Whether `password` is the one that was hashed; takes as long when there is no such user."""
    try:
        _HASHER.verify(stored or _nobodys_hash(), _normal(password[: _PASSWORD_MAX + 1]))
    except VerifyMismatchError:
        return False
    return stored is not None


def shortest(session: Session) -> int:
    """How many characters a new password must have."""
    return max(PASSWORD_MIN, int(get_setting(session, "SECURITY_PASSWORD_MIN_CHAR").value))


def hash_password(password: str, name: str, least: int = PASSWORD_MIN) -> str:
    """The hash to store of a password with `least` characters or more.

    Raises:
        SpecError: the password is too short, too long, or the name.
    """
    return _HASHER.hash(_checked_password(password, name, least))


def make_password() -> str:
    """A password that can be read out and typed: 77 bits, like ``k7mf-2xqp-9hwd-tz4n``."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def _said(user: User) -> dict[str, object]:
    """What somebody may do, for the audit log."""
    return {"role": user.role, "tags": list(user.tags)}


def perimeter_of(user: User) -> frozenset[str] | None:
    """The tags that limit what the user sees; None is every computer."""
    return frozenset(user.tags) or None


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > _NAME_MAX or not name.isprintable():
        raise SpecError(
            "name",
            f"{name!r} cannot be a user's name",
            f"Take 1 to {_NAME_MAX} printable characters",
        )
    return name


def _checked_password(password: str, name: str, least: int = PASSWORD_MIN) -> str:
    text = _normal(password)
    if len(text) < least:
        raise SpecError(
            "password",
            f"the password has {len(text)} characters, it needs {least}",
            "Take a longer one; a few words in a row are good",
        )
    if len(text) > _PASSWORD_MAX:
        raise SpecError("password", f"the password is longer than {_PASSWORD_MAX} characters")
    if fold(text) == fold(name):
        raise SpecError("password", "the password is the name", "Take another one")
    if _is_guessed_first(text, name):
        raise SpecError(
            "password",
            "the password is one of those that are tried first",
            "Take a few words that do not belong together",
        )
    return text


def _is_guessed_first(text: str, name: str) -> bool:
    """Whether it is a usual word with numbers around it, the name with them, or a simple row."""
    plain = fold(text)
    if len(set(plain)) < 4 or any(plain in row or plain in row[::-1] for row in _ROWS):
        return True
    word = _AROUND.sub("", plain).translate(_UNDISGUISED)
    return word == "" or word in _GUESSED or word == fold(name)


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise SpecError("role", f"there is no role {role!r}", f"The roles are {', '.join(ROLES)}")
    return role


def _checked_tags(tags: Sequence[str]) -> list[str]:
    """The tags without empty ones and without those that differ in case only."""
    found = {fold(tag.strip()): tag.strip() for tag in reversed(tags) if tag.strip()}
    return sorted(found.values(), key=fold)


def _keep_one_superadmin(session: Session, user: User) -> None:
    others = session.scalar(
        select(func.count())
        .select_from(User)
        .where(User.role == "superadmin", User.disabled_at.is_(None), User.id != user.id)
    )
    if user.role == "superadmin" and user.disabled_at is None and not others:
        raise Conflict(
            f"{user.name!r} is the only superadmin",
            "Make another one first: deploy-server user add NAME --role superadmin",
        )


def _unlock(session: Session, user: User) -> None:
    """Forget the wrong passwords, wherever they came from."""
    user.failed_logins, user.failed_since, user.locked_until = 0, None, None
    session.execute(delete(LoginSource).where(LoginSource.user_id == user.id))


def _normal(password: str) -> str:
    """The same password from every keyboard: composed characters."""
    return unicodedata.normalize("NFC", password)


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_urlsafe())
