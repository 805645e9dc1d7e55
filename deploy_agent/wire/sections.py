"""The sections of an inventory: as they are made, and as they were received.

An inventory of 860 packages has seven thousand fields, and most of them are the ones of yesterday.
So what was received stays XML until somebody asks for it; whether it changed can be told without.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, overload

from lxml import etree

from deploy_agent.wire import apart, xml
from deploy_agent.wire.apart import Apart
from deploy_agent.wire.xml import Element


class Section(NamedTuple):
    """One element of an inventory, with its children in order.

    Shape: Section("DRIVES", (("TYPE", "/"), ("TOTAL", "258019"), ("FREE", "77930")))
    """

    name: str
    fields: tuple[tuple[str, str], ...]

    def get(self, field: str) -> str:
        """Return the text of the first child `field`, '' when there is none."""
        return next((text for name, text in self.fields if name == field), "")

    def add_to(self, content: Element) -> None:
        """Append it to the CONTENT of a message."""
        element = xml.add(content, self.name)
        for name, text in self.fields:
            xml.add(element, name, text)


class Received(Sequence[Section]):
    """Sections that are read when somebody asks for them; equal to a sequence of the same.

    Args:
        elements: each a section, all of one document, which is this object's from now on.
        software: stands for the one element of its name; None where none does.
    """

    def __init__(self, elements: Iterable[Element], software: Apart | None = None) -> None:
        self._outline = tuple(elements)
        self._software = software
        self._by_name: dict[str, list[Element]] = {}
        for element in self._outline:
            self._by_name.setdefault(str(element.tag), []).append(element)

    @classmethod
    def of(cls, sections: Sequence[Section]) -> "Received":
        """Return sections as they would be received."""
        if isinstance(sections, cls):
            return sections
        content = xml.element("CONTENT")
        for section in sections:
            section.add_to(content)
        return cls(content)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sections, each once, in the order of the first of each."""
        return tuple(self._by_name)

    def named(self, name: str) -> list[Section]:
        """Return the sections called `name`."""
        return [_section(element) for element in self._named(name)]

    def table(self, name: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """Return these fields of each section called `name`; '' where one has none.

        Shape of `table("SOFTWARES", ("NAME", "VERSION"))`: [("bash", "5.2"), ("zlib1g", "1.2.13")]
        """
        places = {field: place for place, field in enumerate(fields)}
        return [_row(element, places) for element in self._named(name)]

    def raw(self, name: str) -> bytes:
        """Return the sections called `name` as bytes that are equal where they are.

        The spelling is part of it: the same fields in another order are another content.
        """
        if self._software is not None and name == apart.NAME:
            return self._software.raw
        for element in self._by_name[name]:
            element.tail = None  # it belongs to whatever comes next
        # One call for all of them: to write each alone costs more than to read it.
        holder = etree.SubElement(self._by_name[name][0].getroottree().getroot(), "SECTIONS")
        holder.extend(self._by_name[name])
        return etree.tostring(holder, with_tail=False)

    def __len__(self) -> int:
        """Return how many sections there are."""
        return len(self._elements)

    @overload
    def __getitem__(self, index: int) -> Section: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Section]: ...
    def __getitem__(self, index: int | slice) -> Section | Sequence[Section]:
        """Return one section or several."""
        if isinstance(index, slice):
            return [_section(element) for element in self._elements[index]]
        return _section(self._elements[index])

    def __iter__(self) -> Iterator[Section]:
        """Return the sections in their order."""
        return map(_section, self._elements)

    def __eq__(self, other: object) -> bool:
        """Return whether `other` has the same sections in the same order."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _named(self, name: str) -> Sequence[Element]:
        if self._software is not None and name == apart.NAME:
            return self._software.elements
        return self._by_name.get(name, ())

    @cached_property
    def _elements(self) -> Sequence[Element]:
        if self._software is None:
            return self._outline
        listed = [
            self._named(element.tag) if element.tag == apart.NAME else (element,)
            for element in self._outline
        ]
        return [element for elements in listed for element in elements]

    def __repr__(self) -> str:
        """Return the sections as a sequence."""
        return f"Received({list(self)!r})"


def _section(element: Element) -> Section:
    fields = [(str(key), str(value)) for key, value in element.attrib.items()]
    fields += [(str(child.tag), (child.text or "").strip()) for child in element]
    return Section(str(element.tag), tuple(fields))


def _row(element: Element, places: dict[str, int]) -> tuple[str, ...]:
    row = [""] * len(places)
    missing = dict(places)
    for key, value in element.attrib.items():
        if (place := missing.pop(str(key), None)) is not None:
            row[place] = str(value)
    for child in element:
        if child.tag in missing:
            row[missing.pop(str(child.tag))] = (child.text or "").strip()
            if not missing:
                break
    return tuple(row)
