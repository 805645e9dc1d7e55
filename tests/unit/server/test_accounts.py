"""Users: who gets in, who is kept out, and what a wrong password costs."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound, SpecError
from deploy_server.services import accounts, audit, logins
from deploy_server.services.settings import set_setting
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
    user = logins.authenticate(admin, " åSA ", PASSWORD, now=NOW)
    assert user is not None
    assert user.name == "Åsa"
    assert user.last_login == NOW


@pytest.mark.parametrize(
    ("name", "password"),
    [("Åsa", "correct hors"), ("Åsa", ""), ("Åsa", PASSWORD.upper()), ("nobody", PASSWORD)],
)
def test_everything_else_does_not(admin: Session, name: str, password: str) -> None:
    assert logins.authenticate(admin, name, password, now=NOW) is None


def test_a_password_is_the_same_from_every_keyboard(session: Session) -> None:
    accounts.add_user(session, "a", "schlüssel", "viewer", now=NOW)
    decomposed = "schlu\N{COMBINING DIAERESIS}ssel"
    assert logins.authenticate(session, "a", decomposed, now=NOW) is not None


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
    assert logins.authenticate(admin, "nobody", PASSWORD, now=NOW) is None
    assert logins.authenticate(admin, "Åsa", "wrong", now=NOW) is None
    parameters = [stored.split("$")[1:4] for stored in verified]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


def test_ten_wrong_passwords_lock_for_a_minute_then_for_longer(admin: Session) -> None:
    def fail(times: int, at: timedelta) -> None:
        for _ in range(times):
            logins.record_login(admin, "åsa", ok=False, now=NOW + at)

    def may(at: timedelta) -> bool:
        with admin.begin_nested() as attempt:
            user = logins.record_login(admin, "åsa", ok=True, now=NOW + at)
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


HOME, AWAY = logins.Source("192.0.2.1"), logins.Source("198.51.100.7")


def wrong(session: Session, times: int, source: logins.Source, now: datetime = NOW) -> None:
    for _ in range(times):
        assert logins.record_login(session, "åsa", ok=False, now=now, source=source) is None


def gets_in(session: Session, source: logins.Source, now: datetime = NOW) -> bool:
    with session.begin_nested() as attempt:
        user = logins.record_login(session, "åsa", ok=True, now=now, source=source)
        attempt.rollback()
    return user is not None


def test_guessing_from_one_address_keeps_nobody_else_out(admin: Session) -> None:
    for minute in range(120):
        wrong(admin, 12, AWAY, NOW + timedelta(minutes=minute))
        assert not gets_in(admin, AWAY, NOW + timedelta(minutes=minute))
        assert gets_in(admin, HOME, NOW + timedelta(minutes=minute))


def test_an_address_is_counted_however_it_is_written(admin: Session) -> None:
    wrong(admin, 5, logins.Source("2001:db8:1:2::1"))
    wrong(admin, 5, logins.Source("2001:db8:1:2:ffff::9"))
    assert not gets_in(admin, logins.Source("2001:db8:1:2:8::8"))
    assert gets_in(admin, logins.Source("2001:db8:1:3::1"))
    wrong(admin, 10, logins.Source("::ffff:192.0.2.1"))
    assert not gets_in(admin, HOME)


def test_guessing_from_everywhere_locks_all_but_a_browser_that_was_in(admin: Session) -> None:
    user = accounts.get_user(admin, "åsa")
    known = logins.Source("203.0.113.9", "b" * 32, frozenset({user.id}))
    for number in range(logins.LOCK_ALL_AFTER // 5):
        wrong(admin, 5, logins.Source(f"198.51.100.{number}"))
    assert not gets_in(admin, HOME)
    assert not gets_in(admin, logins.Source("203.0.113.9", "b" * 32, frozenset({user.id + 1})))
    assert gets_in(admin, known)
    assert gets_in(admin, HOME, NOW + timedelta(minutes=15))
    wrong(admin, 10, known)
    assert not gets_in(admin, known)


def test_what_was_wrong_over_a_day_ago_is_forgotten(admin: Session) -> None:
    wrong(admin, 9, AWAY)
    wrong(admin, 9, AWAY, NOW + timedelta(hours=25))
    assert gets_in(admin, AWAY, NOW + timedelta(hours=25))
    user = accounts.get_user(admin, "åsa")
    assert [each.failures for each in logins.locks(admin, user, NOW + timedelta(hours=25))] == [9]


def test_who_came_in_and_who_did_not_is_in_the_audit_log(admin: Session) -> None:
    wrong(admin, 10, AWAY)
    wrong(admin, 3, AWAY)  # while it is locked
    logins.record_login(admin, "my password", ok=False, now=NOW)
    logins.record_login(admin, "ÅSA", ok=True, now=NOW, source=HOME)
    entries = list(audit.each_entry(admin, audit.Filter(action="login")))
    assert len(entries) == 12
    assert '"locked_until":"' in entries[9].after
    assert (entries[10].target, entries[10].after) == ("an unknown name", '{"known":false}')
    assert (entries[11].action, entries[11].target, entries[11].actor) == ("login", "Åsa", "Åsa")


def test_getting_in_forgets_the_wrong_passwords(admin: Session) -> None:
    for _ in range(9):
        logins.record_login(admin, "åsa", ok=False, now=NOW)
    assert logins.authenticate(admin, "åsa", PASSWORD, now=NOW) is not None
    assert accounts.get_user(admin, "åsa").failed_logins == 0


def test_who_is_disabled_stays_out_until_enabled(admin: Session) -> None:
    accounts.add_user(admin, "bo", PASSWORD, "viewer", now=NOW)
    epoch = accounts.get_user(admin, "bo").session_epoch
    accounts.disable_user(admin, "BO", now=NOW)
    assert logins.authenticate(admin, "bo", PASSWORD, now=NOW) is None
    assert accounts.get_user(admin, "bo").session_epoch == epoch + 1
    accounts.disable_user(admin, "bo", now=NOW + timedelta(days=1))
    assert accounts.get_user(admin, "bo").disabled_at == NOW
    accounts.enable_user(admin, "bo", now=START)
    assert logins.authenticate(admin, "bo", PASSWORD, now=NOW) is not None


def test_a_new_password_ends_sessions_and_locks(admin: Session) -> None:
    for _ in range(12):
        logins.record_login(admin, "åsa", ok=False, now=NOW)
    epoch = accounts.get_user(admin, "åsa").session_epoch
    accounts.set_password(admin, "åsa", "another password", now=START)
    user = logins.authenticate(admin, "åsa", "another password", now=NOW)
    assert user is not None
    assert user.session_epoch == epoch + 1
    assert logins.authenticate(admin, "åsa", PASSWORD, now=NOW) is None


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


GUESSED = (
    "password", "P@ssw0rd!", "Passwort123", "12345678", "87654321", "aaaaaaaa", "abababab",
    "Welcome2026", "Summer2026!", "marie2026", "Marie!!!!", "qwertyuiop", "Admin1234",
    "abcdefgh", "tranche1", "20262026",
)  # fmt: skip
GOOD = ("correct horse", "k7mf-2xqp-9hwd-tz4n", "my password is long", "Schlüsselbund", "Regen7am9")


def test_what_is_tried_first_is_no_password() -> None:
    for password in GUESSED:
        with pytest.raises(SpecError, match=r"tried first|is the name") as refused:
            accounts.check_new("Marie", password)
        assert refused.value.field == "password"
    for password in GOOD:
        accounts.check_new("Marie", password)


def test_how_long_a_password_must_be_is_a_setting(admin: Session) -> None:
    set_setting(admin, "SECURITY_PASSWORD_MIN_CHAR", "14", actor="admin", now=START)
    for change in (accounts.add_user, accounts.set_password):
        more = ("viewer",) if change is accounts.add_user else ()
        name = "Jan" if more else "Åsa"
        with pytest.raises(SpecError, match="it needs 14") as refused:
            change(admin, name, "correct horse", *more, now=START)  # type: ignore[operator]
        assert refused.value.field == "password"
        change(admin, name, "correct horses", *more, now=START)  # type: ignore[operator]
    with pytest.raises(SpecError):
        set_setting(admin, "SECURITY_PASSWORD_MIN_CHAR", "7", actor="admin", now=START)
    accounts.set_password(admin, "Åsa", accounts.make_password(), now=START)
