"""Every public name says what it is for; rooms stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT, source_files

FILE_MAX = 400  # lines
FUNCTION_MAX = 60  # lines
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(node: ast.AST, *, public: bool = True) -> Iterator[tuple[Definition, bool]]:
    """Classes, functions and methods with whether the outside may use them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            seen = public and not child.name.startswith("_")
            yield child, seen
            # What is inside a function belongs to it alone.
            yield from definitions(child, public=seen and isinstance(child, ast.ClassDef))
        elif isinstance(child, ast.If | ast.Try):
            yield from definitions(child, public=public)


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()
    module = ast.parse(text)
    assert not text.strip() or ast.get_docstring(module), "the module does not say what it owns"
    assert text.count("\n") <= FILE_MAX, "too long: split it"
    for node, public in definitions(module):
        where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        overriding = any(
            isinstance(each, ast.Name) and each.id in ("override", "overload")
            for each in node.decorator_list
        )
        assert not public or overriding or ast.get_docstring(node), f"{where} has no docstring"
        if not isinstance(node, ast.ClassDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_MAX, f"{where} has {length} lines"
