"""Which names and links of an archive stay inside."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain.errors import UnpackFailed
from deploy_agent.machine.names import DEPTH_MAX, check_link, name_parts


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a",)),
        ("./a/b", ("a", "b")),
        ("a//b/", ("a", "b")),
        ("./", ()),
        ("...", ("...",)),
        ("..a/b..", ("..a", "b..")),
        ("é ü/日本", ("é ü", "日本")),
    ],
)
def test_good_names(name: str, parts: tuple[str, ...]) -> None:
    assert name_parts(name) == parts


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "a/../b", "a/..", "..", "C:/x", "c:x", "//a", "a\0b"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(UnpackFailed):
        name_parts(name)


def test_depth_is_bounded() -> None:
    assert len(name_parts("a/" * DEPTH_MAX)) == DEPTH_MAX
    with pytest.raises(UnpackFailed, match="more than 128 folders"):
        name_parts("a/" * (DEPTH_MAX + 1))


@pytest.mark.parametrize("name", ["nul", "COM1.txt", "ab:c", "b.", "c ", "x|y", "d/aux"])
def test_names_that_windows_gives_another_meaning(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name_parts(name)
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(UnpackFailed):
        name_parts(name)


@pytest.mark.parametrize(
    ("link", "target"),
    [("a", "b"), ("a/b", "../c"), ("a/b", "./c/d/"), ("a/b/c", "../../d"), ("a", ".")],
)
def test_links_that_stay_inside(link: str, target: str) -> None:
    check_link(link, name_parts(link), target)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("a", "/etc"),
        ("a", ".."),
        ("a/b", "../.."),
        ("a/b", "c/../../.."),
        ("a/b", "c/.."),  # harmless only as long as c is no link
        ("a", "C:\\x"),
        ("a", "\\\\server\\share"),
        ("a", ""),
    ],
)
def test_links_that_could_lead_out(link: str, target: str) -> None:
    with pytest.raises(UnpackFailed, match="points outside"):
        check_link(link, name_parts(link), target)


steps = st.sampled_from(["a", "b", "c", "..", ".", ""])
paths = st.lists(steps, min_size=1, max_size=6).map("/".join)


@given(st.lists(st.tuples(paths, paths), min_size=1, max_size=8))
def test_accepted_links_never_resolve_outside(links: list[tuple[str, str]]) -> None:
    """Whatever links are accepted together, the system itself finds their ends inside."""
    with tempfile.TemporaryDirectory() as top:
        tree = Path(top).resolve() / "1" / "2" / "3" / "tree"
        tree.mkdir(parents=True)
        made = []
        for name, target in links:
            try:
                parts = name_parts(name)
                check_link(name, parts, target)
            except UnpackFailed:
                continue
            made.append((tree.joinpath(*parts), target))
        for path, _ in made:
            path.parent.mkdir(parents=True, exist_ok=True)
        for path, target in made:
            if not path.is_symlink() and not path.exists():
                path.symlink_to(target)
        for path, _ in made:
            try:
                path.stat()
            except OSError as error:
                if error.errno == errno.ELOOP:
                    continue
            end = os.path.realpath(path)
            assert end == str(tree) or end.startswith(f"{tree}/")
