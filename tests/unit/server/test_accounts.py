"""Users: who gets in, who is kept out, and what a wrong password costs."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound, SpecError
from deploy_server.services import accounts
from deploy_server.storage.models import User
from tests.support.clock import START

NOW = START
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kind of hashes, at a price that tests can pay."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(accounts, "_HASHER", quick)
    monkeypatch.setattr(accounts, "_nobodys_hash", lambda: quick.hash("nobody"))


@pytest.fixture
def admin(session: Session) -> Session:
    """A session with one superadmin, `Åsa`."""
    accounts.add_user(session, "Åsa", PASSWORD, "superadmin", now=NOW)
    return session


def test_the_right_password_lets_in_whatever_the_case_of_the_name(admin: Session) -> None:
    user = accounts.authenticate(admin, " åSA ", PASSWORD, now=NOW)
    assert user is not None
    assert user.name == "Åsa"
    assert user.last_login == NOW


@pytest.mark.parametrize(
    ("name", "password"),
    [("Åsa", "correct hors"), ("Åsa", ""), ("Åsa", PASSWORD.upper()), ("nobody", PASSWORD)],
)
def test_everything_else_does_not(admin: Session, name: str, password: str) -> None:
    assert accounts.authenticate(admin, name, password, now=NOW) is None


def test_a_password_is_the_same_from_every_keyboard(session: Session) -> None:
    accounts.add_user(session, "a", "schlüssel", "viewer", now=NOW)
    decomposed = "schlu\N{COMBINING DIAERESIS}ssel"
    assert accounts.authenticate(session, "a", decomposed, now=NOW) is not None


def test_the_password_itself_is_not_kept(admin: Session) -> None:
    user = accounts.get_user(admin, "åsa")
    assert user.password_hash.startswith("$argon2id$")
    assert PASSWORD not in user.password_hash


def test_an_unknown_name_takes_a_hash_as_well(
    admin: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []
    real = accounts._HASHER.verify

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            verified.append(stored)
            return real(stored, password)

        hash = staticmethod(accounts._HASHER.hash)

    monkeypatch.setattr(accounts, "_HASHER", Counting())
    assert accounts.authenticate(admin, "nobody", PASSWORD, now=NOW) is None
    assert accounts.authenticate(admin, "Åsa", "wrong", now=NOW) is None
    parameters = [stored.split("$")[1:4] for stored in verified]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


def test_ten_wrong_passwords_lock_for_a_minute_then_for_longer(admin: Session) -> None:
    def fail(times: int, at: timedelta) -> None:
        for _ in range(times):
            accounts.record_login(admin, "åsa", ok=False, now=NOW + at)

    def may(at: timedelta) -> bool:
        with admin.begin_nested() as attempt:
            user = accounts.record_login(admin, "åsa", ok=True, now=NOW + at)
            attempt.rollback()
        return user is not None

    fail(9, timedelta())
    assert may(timedelta())
    fail(1, timedelta())
    assert not may(timedelta(seconds=59))
    assert may(timedelta(minutes=1))
    fail(5, timedelta(seconds=30))  # while it is locked, nothing counts
    assert may(timedelta(minutes=1))
    fail(1, timedelta(minutes=1))
    assert not may(timedelta(minutes=2, seconds=59))
    assert may(timedelta(minutes=3))
    for round_ in range(1, 40):
        fail(1, timedelta(hours=round_))
    assert may(timedelta(hours=39, minutes=15))


def test_getting_in_forgets_the_wrong_passwords(admin: Session) -> None:
    for _ in range(9):
        accounts.record_login(admin, "åsa", ok=False, now=NOW)
    assert accounts.authenticate(admin, "åsa", PASSWORD, now=NOW) is not None
    assert accounts.get_user(admin, "åsa").failed_logins == 0


def test_who_is_disabled_stays_out_until_enabled(admin: Session) -> None:
    accounts.add_user(admin, "bo", PASSWORD, "viewer", now=NOW)
    epoch = accounts.get_user(admin, "bo").session_epoch
    accounts.disable_user(admin, "BO", now=NOW)
    assert accounts.authenticate(admin, "bo", PASSWORD, now=NOW) is None
    assert accounts.get_user(admin, "bo").session_epoch == epoch + 1
    accounts.disable_user(admin, "bo", now=NOW + timedelta(days=1))
    assert accounts.get_user(admin, "bo").disabled_at == NOW
    accounts.enable_user(admin, "bo", now=START)
    assert accounts.authenticate(admin, "bo", PASSWORD, now=NOW) is not None


def test_a_new_password_ends_sessions_and_locks(admin: Session) -> None:
    for _ in range(12):
        accounts.record_login(admin, "åsa", ok=False, now=NOW)
    epoch = accounts.get_user(admin, "åsa").session_epoch
    accounts.set_password(admin, "åsa", "another password", now=START)
    user = accounts.authenticate(admin, "åsa", "another password", now=NOW)
    assert user is not None
    assert user.session_epoch == epoch + 1
    assert accounts.authenticate(admin, "åsa", PASSWORD, now=NOW) is None


def test_the_last_superadmin_stays(admin: Session) -> None:
    losses: list[Callable[[], User]] = [
        lambda: accounts.disable_user(admin, "åsa", now=NOW),
        lambda: accounts.change_user(admin, "åsa", role="admin", tags=[], now=START),
        lambda: accounts.change_user(admin, "åsa", role="superadmin", tags=["north"], now=START),
    ]
    for lose in losses:
        with pytest.raises(Conflict, match=r"'Åsa' is the only superadmin. Make another one first"):
            lose()
    accounts.add_user(admin, "second", PASSWORD, "superadmin", now=NOW)
    accounts.disable_user(admin, "åsa", now=NOW)
    with pytest.raises(Conflict, match="only superadmin"):
        accounts.disable_user(admin, "second", now=NOW)


def test_changing_role_and_tags(admin: Session) -> None:
    accounts.add_user(admin, "bo", PASSWORD, "viewer", now=NOW)
    epoch = accounts.get_user(admin, "bo").session_epoch
    user = accounts.change_user(
        admin, "bo", role="operator", tags=[" North", "north", "", "Äst"], now=START
    )
    assert (user.role, user.tags, user.session_epoch) == ("operator", ["North", "Äst"], epoch + 1)
    assert accounts.perimeter_of(user) == frozenset({"North", "Äst"})
    assert accounts.perimeter_of(accounts.get_user(admin, "åsa")) is None


@pytest.mark.parametrize(
    ("name", "password", "role", "says"),
    [
        ("", PASSWORD, "viewer", "cannot be a user's name"),
        ("a" * 65, PASSWORD, "viewer", "cannot be a user's name"),
        ("a\x1b[2J", PASSWORD, "viewer", "cannot be a user's name"),
        ("bo", "short", "viewer", r"has 5 characters, it needs 8. Take a longer one"),
        ("bo", "x" * 1025, "viewer", "longer than 1024"),
        ("boboboBO", "BOBOBObo", "viewer", "the password is the name"),
        ("bo", PASSWORD, "root", r"no role 'root'. The roles are superadmin, admin"),
    ],
)
def test_what_is_refused(session: Session, name: str, password: str, role: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        accounts.add_user(session, name, password, role, now=NOW)
    assert password not in str(caught.value) or password == name
    assert accounts.list_users(session) == []


def test_a_name_is_taken_in_every_case(admin: Session) -> None:
    with pytest.raises(Conflict, match="already"):
        accounts.add_user(admin, "ÅSA", PASSWORD, "viewer", now=NOW)


def test_nobody_has_that_name(admin: Session) -> None:
    with pytest.raises(NotFound, match="there is no user 'bo'"):
        accounts.set_password(admin, "bo", PASSWORD, now=START)


def test_everybody_is_listed_by_name(admin: Session) -> None:
    accounts.add_user(admin, "bo", PASSWORD, "viewer", ["x"], now=NOW)
    accounts.disable_user(admin, "bo", now=NOW)
    listed = accounts.list_users(admin)
    assert [(each.name, each.role, each.tags) for each in listed] == [
        ("bo", "viewer", ("x",)),
        ("Åsa", "superadmin", ()),
    ]
    assert listed[0].disabled_at == NOW


def test_made_passwords_differ_and_are_accepted() -> None:
    made = {accounts.make_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(password) == 19 for password in made)
    accounts.hash_password(made.pop(), "admin")
