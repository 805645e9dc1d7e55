"""What a template of a job is. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: Answers by the name of their field, and what the build form has by the name of its fields.
Answers = Mapping[str, str]
Form = dict[str, str]


@dataclass(frozen=True)
class JobField:
    """A question that a template asks.

    Attributes:
        name: of the answer.
        label: the question in a few words.
        hint: an example, or what the answer does.
        default: the answer that most people give.
        choices: (answer, label) where there are only these.
        optional: '' is an answer.
        lines: it has several, such as a script.
    """

    name: str
    label: str
    hint: str = ""
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    lines: bool = False


@dataclass(frozen=True)
class Job:
    """A template of a common job.

    Attributes:
        key: its address, such as `linux-deb`.
        os: linux, windows, macos or any.
        label: what it does, in a few words.
        text: what it does, in a sentence.
        fields: what it asks.
        make: answers that were checked become the fields of the build form.
        named: what people would call it, with answers in braces; of a file, without its ending.

    `make` raises SpecError with the field of an answer that is wrong.
    """

    key: str
    os: str
    label: str
    text: str
    fields: tuple[JobField, ...]
    make: Callable[[Answers], Form]
    named: str = ""
