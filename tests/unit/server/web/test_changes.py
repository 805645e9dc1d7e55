"""Entries of the audit log as people read them: each field with what it was and what it is."""

from deploy_server.web.changes import Change, changes_of


def test_a_change_has_both_sides() -> None:
    found = changes_of('{"role":"viewer","tags":["a","b"]}', '{"role":"admin","tags":[],"new":0}')
    assert found == [
        Change("role", "viewer", "admin"),
        Change("tags", "a, b", "none"),
        Change("new", None, "0"),
    ]
    assert found[0].length == len("rolevieweradmin")


def test_what_was_made_or_is_gone_has_one() -> None:
    assert changes_of("", '{"force":false,"schedule":"","all":true}') == [
        Change("force", None, "no"),
        Change("schedule", None, "none"),
        Change("all", None, "yes"),
    ]
    assert changes_of('{"tag":null,"how":{"a":1}}', "") == [
        Change("tag", "none", None),
        Change("how", "a 1", None),
    ]
    assert changes_of("", "") == []
