"""What a valid package is: every wrong field at once, each with what to do about it.

Pure: the bytes of the file itself are judged by `domain/archive.py`. What only old agents
stumble over are warnings (`domain/legacy.py`).
"""

import re
import shlex
import unicodedata
from collections.abc import Iterator

from deploy_agent.wire import xml
from deploy_agent.wire.digest import DigestAlgorithm, DigestEncoding
from deploy_agent.wire.terms import (
    INFO_MAX,
    INSTALL_PATH,
    PRIORITY_MAX,
    PRIORITY_MIN,
    Action,
    Protocol,
)
from deploy_server.domain import spec as limits
from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.domain.legacy import warnings_for
from deploy_server.domain.spec import PackageSpec

__all__ = ["PackageSpec", "check_spec", "forbidden_character", "launch_name"]

COMMAND_MAX = 131_071  # bytes; Linux starts no program with a longer argument
PATH_MAX = 4096  # bytes, on Linux
FILE_NAME_MAX = 255  # bytes, on every file system

_ONLY_DIGITS = re.compile(r"[0-9]{10}\Z|A[0-9]+\Z", re.ASCII)
_UNIX_ABSOLUTE = re.compile(r"/|\$\w|\$\{\w+\}")
_WINDOWS_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]|%\w+%")
_ABSOLUTE = {
    "linux": (_UNIX_ABSOLUTE,),
    "macos": (_UNIX_ABSOLUTE,),
    "windows": (_WINDOWS_ABSOLUTE,),
    "any": (_UNIX_ABSOLUTE, _WINDOWS_ABSOLUTE),
}
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")
# They make people read a command that is not the one that runs. Texts for users may have them.
_REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_IN_TEXTS = "\r\n\t" + _REORDERING
_CODE_LISTS = ("success_codes", "reboot_codes", "retry_codes")


def check_spec(spec: PackageSpec, has_file: bool, *, period_length: int = 10) -> list[str]:
    """Return the warnings for `spec`; each is a sentence.

    Args:
        spec: what a person gave.
        has_file: whether a file comes with it.
        period_length: DOWNLOAD_PERIOD_LENGTH, in cycles.

    Raises:
        SpecErrors: with every field that is wrong.
    """
    checks = (
        _check_name,
        _check_words,
        _check_target,
        _check_numbers,
        _check_cut,
        _check_dialogs,
        _check_codes,
    )
    errors = [error for check in checks for error in check(spec)]
    errors += _check_file(spec, has_file)
    if not errors:
        errors += _check_info_size(spec)
    if errors:
        raise SpecErrors(errors)
    return warnings_for(spec, has_file, period_length)


def launch_name(target: str) -> str:
    """Return the file that a LAUNCH's `target` names, without its arguments.

    Raises:
        ValueError: an unclosed quote, or nothing but spaces.
    """
    words = shlex.split(target)
    if not words:
        raise ValueError("names no file")
    return words[0]


def forbidden_character(text: str, allowed: str = "") -> str | None:
    """Return how to name the first character of `text` that no field may have, or None.

    Control characters end up in terminals and commands; half characters and those that XML cannot
    carry would reach the agents as something else.
    """
    for character in text:
        bad = character in _REORDERING or unicodedata.category(character) in _CONTROLS
        if (bad and character not in allowed) or xml.clean(character) != character:
            known = {"\0": "NUL", "\n": "a line break", "\r": "a line break", "\t": "a tab"}
            return known.get(character, f"the character U+{ord(character):04X}")
    return None


def _check_name(spec: PackageSpec) -> Iterator[SpecError]:
    name = spec.name
    if not name.strip():
        yield SpecError("name", "the package has no name", "Give it one, such as: Firefox 128")
    elif len(name) > limits.NAME_MAX:
        yield SpecError(
            "name",
            f"the name has {len(name)} characters, more than {limits.NAME_MAX}",
            "Shorten it and put the rest into the description",
        )
    elif name != name.strip():
        yield SpecError("name", "the name begins or ends with a space", "Remove it")
    elif _ONLY_DIGITS.match(name):
        yield SpecError(
            "name", f"the name {name} looks like an id, and would be taken for one", "Add a word"
        )
    yield from _check_characters("name", "the name", name)
    if len(spec.description) > limits.DESCRIPTION_MAX:
        yield SpecError(
            "description",
            f"the description has {len(spec.description)} characters,"
            f" more than {limits.DESCRIPTION_MAX}",
            "Shorten it",
        )
    yield from _check_characters("description", "the description", spec.description, _IN_TEXTS)


def _check_characters(field: str, what: str, text: str, allowed: str = "") -> Iterator[SpecError]:
    found = forbidden_character(text, allowed)
    if found is not None:
        yield SpecError(field, f"{what} contains {found}, which cannot be used there", "Remove it")


def _check_words(spec: PackageSpec) -> Iterator[SpecError]:
    """Check the fields that take one word of a closed list."""
    choices = {
        "os": limits.OS_FAMILIES,
        "action": tuple(Action),
        "protocol": tuple(Protocol),
        "digest_algorithm": tuple(DigestAlgorithm),
        "digest_encoding": tuple(DigestEncoding),
    }
    for field, words in choices.items():
        given = getattr(spec, field)
        if given not in words:
            listed = ", ".join(word.lower() for word in words)
            label = field.replace("_", " ").replace("os", "operating system")
            yield SpecError(field, f"there is no {label} {given[:40]!r}", f"Give one of {listed}")


def _check_target(spec: PackageSpec) -> Iterator[SpecError]:
    checks = {
        Action.LAUNCH.value: _check_launch,
        Action.EXECUTE.value: _check_command,
        Action.STORE.value: _check_path,
    }
    check = checks.get(spec.action)
    if check is None:
        return
    found = forbidden_character(spec.target)
    if found is not None:
        what = "the path" if spec.action == Action.STORE else "the command"
        hint = "Put longer scripts into a file" if found == "a line break" else "Remove it"
        yield SpecError("target", f"{what} contains {found}, which cannot be used there", hint)
    else:
        yield from check(spec)


def _check_launch(spec: PackageSpec) -> Iterator[SpecError]:
    example = "Give the name of a file at the top of the archive, such as: install.sh --quiet"
    if not spec.target.strip():
        yield SpecError("target", "the file to launch has no name", example)
        return
    try:
        name = launch_name(spec.target)
    except ValueError:
        yield SpecError("target", "the command has a quote that is not closed", "Close it")
        return
    if "/" in name or "\\" in _raw_first_word(spec.target) or name in ("", ".", ".."):
        yield SpecError(
            "target",
            f"{name[:80]!r} is not a file's name without a path, and agents launch nothing else",
            f"{example}. For a program elsewhere choose the action execute",
        )
    elif len(name.encode()) > FILE_NAME_MAX:
        yield SpecError("target", f"the file name is longer than {FILE_NAME_MAX} bytes", example)
    yield from _check_length(spec.target, COMMAND_MAX, "the command")


def _raw_first_word(target: str) -> str:
    """Return the first word with its backslashes; they are separators on Windows."""
    lexer = shlex.shlex(target, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        return lexer.get_token() or ""
    except ValueError:  # a quote that only a backslash kept from closing
        return "\\"


def _check_command(spec: PackageSpec) -> Iterator[SpecError]:
    if not spec.target.strip():
        yield SpecError(
            "target", "the command is empty", "Give what is to run, such as: dpkg -i tool.deb"
        )
    yield from _check_length(spec.target, COMMAND_MAX, "the command")


def _check_path(spec: PackageSpec) -> Iterator[SpecError]:
    target = spec.target
    absolute = target.startswith(INSTALL_PATH) or any(
        form.match(target) for form in _ABSOLUTE.get(spec.os, ())
    )
    example = r"C:\Tools" if spec.os == "windows" else "/opt/tools"
    if not target.strip():
        yield SpecError(
            "target", "the folder to store in is missing", f"Give its path, such as: {example}"
        )
    elif not absolute and spec.os in _ABSOLUTE:
        yield SpecError(
            "target",
            f"{target[:80]!r} is not an absolute path on {spec.os}",
            f"Give one from the root on, such as: {example}",
        )
    yield from _check_length(target, PATH_MAX, "the path")


def _check_length(text: str, limit: int, what: str) -> Iterator[SpecError]:
    length = len(text.encode())
    if length > limit:
        yield SpecError(
            "target",
            f"{what} has {length} bytes, more than the {limit} that a system takes",
            "Put what it does into a script inside the archive",
        )


def _check_numbers(spec: PackageSpec) -> Iterator[SpecError]:
    ranges = {
        "priority": (PRIORITY_MIN, PRIORITY_MAX, "the priority"),
        "notify_countdown": (0, limits.COUNTDOWN_MAX_S, "the countdown in seconds"),
        "execution_timeout": (
            0,
            limits.EXECUTION_TIMEOUT_MAX_MIN,
            "the execution timeout in minutes",
        ),
        "fragment_size": (1, limits.FRAGMENT_SIZE_MAX, "the fragment size in bytes"),
        "fragments": (1, limits.FRAGMENTS_MAX, "the number of fragments"),
    }
    for field, (low, high, what) in ranges.items():
        number = getattr(spec, field)
        if number is not None and not low <= number <= high:
            yield SpecError(field, f"{what} is {number}", f"Give a number from {low} to {high}")


def _check_cut(spec: PackageSpec) -> Iterator[SpecError]:
    if spec.fragments is not None and spec.fragment_size is not None:
        yield SpecError(
            "fragments",
            "both a fragment size and a number of fragments are given, and one decides the other",
            "Give only one of them",
        )


def _check_dialogs(spec: PackageSpec) -> Iterator[SpecError]:
    wants = spec.notify_countdown is not None or spec.can_abort or spec.can_delay
    if spec.notify_text is None and wants:
        yield SpecError(
            "notify_text", "there is no text to show to the user", "Write it, or ask nobody"
        )
    texts = {"notify_text": "the message before", "done_text": "the message afterwards"}
    for field, what in texts.items():
        text = getattr(spec, field)
        if text is not None and not text.strip():
            yield SpecError(field, f"{what} is empty", "Write it, or show none")
        elif text is not None:
            yield from _check_characters(field, what, text, _IN_TEXTS)


def _check_codes(spec: PackageSpec) -> Iterator[SpecError]:
    seen: dict[int, str] = {0: "always a success"}
    for field in _CODE_LISTS:
        codes: tuple[int, ...] = getattr(spec, field)
        label = field.replace("_", " ")
        if len(codes) > limits.CODES_MAX:
            yield SpecError(
                field, f"{len(codes)} {label} are given", f"Give at most {limits.CODES_MAX}"
            )
        for code in dict.fromkeys(codes):
            if not -(2**31) <= code < 2**32:
                yield SpecError(
                    field, f"no program ends with {code}", "Give numbers of at most 32 bits"
                )
            elif code in seen and not (code == 0 and field == "success_codes"):
                yield SpecError(
                    field,
                    f"{code} cannot be among the {label}: it is {seen[code]}",
                    "Keep it in one place",
                )
            seen.setdefault(code, f"among the {label}")


def _check_file(spec: PackageSpec, has_file: bool) -> Iterator[SpecError]:
    if has_file:
        return
    if spec.action in (Action.LAUNCH, Action.STORE):
        verb = "launches" if spec.action == Action.LAUNCH else "stores"
        yield SpecError(
            "file",
            f"there is no file, and a package that {verb} needs one",
            "Add an archive: zip for Windows, tar.gz for Linux and macOS",
        )
    elif spec.wrap:
        yield SpecError("wrap", "there is no file to wrap", "Add one, or do not ask to wrap it")


def _check_info_size(spec: PackageSpec) -> Iterator[SpecError]:
    """Agents read at most `INFO_MAX` bytes of an info file; its other attributes are short."""
    texts = {
        "target": spec.target,
        "notify_text": spec.notify_text or "",
        "done_text": spec.done_text or "",
    }
    codes = sum(len(getattr(spec, field)) for field in _CODE_LISTS)
    length = len(xml.to_bytes(xml.element("DOWNLOAD", texts))) + codes * 12 + 4096
    if length > INFO_MAX:
        longest = max(texts, key=lambda field: len(texts[field]))
        yield SpecError(
            longest,
            f"the info file would have {length} bytes, and agents read at most {INFO_MAX}",
            "Shorten this text",
        )
