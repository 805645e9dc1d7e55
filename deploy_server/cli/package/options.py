"""The options of `build` and `edit`, which are the fields of a package's specification."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy_agent.wire.terms import Action
from deploy_server.domain.errors import DeployError, SpecError, SpecErrors

Command = TypeVar("Command", bound=Callable[..., Any])

#: The field of a specification that an option gives, where it has another name.
_FIELDS = {
    "digest": "digest_algorithm",
    "success_code": "success_codes",
    "reboot_code": "reboot_codes",
    "retry_code": "retry_codes",
}
_OPTIONS = {field: option for option, field in _FIELDS.items()}

_SPEC_OPTIONS = (
    click.option("--file", metavar="F", help="The archive; - is standard input."),
    click.option("--wrap/--no-wrap", default=None, help="Put the file into an archive first."),
    click.option("--command", metavar="C", help="What to launch or execute."),
    click.option("--path", metavar="P", help="Where to store."),
    click.option("--priority", metavar="0..10", help="0 comes first, alone.  [default: 5]"),
    click.option("--fragment-size", metavar="SIZE", help="Such as 512KiB.  [default: 1MiB]"),
    click.option("--fragments", metavar="N", help="Into how many pieces to cut instead."),
    click.option(
        "--protocol", metavar="http|https", help="Of the fragments.  [default: DOWNLOAD_PROTOCOL]"
    ),
    click.option("--digest", metavar="md5|sha1|sha256", help="[default: md5]"),
    click.option("--digest-encoding", metavar="hexa|base64", help="[default: hexa]"),
    click.option("--description", metavar="T"),
    click.option("--notify-text", metavar="T", help="What the user is shown before."),
    click.option("--notify-countdown", metavar="S", help="Seconds until it starts; 0 waits."),
    click.option("--can-abort/--no-can-abort", default=None, help="The user may cancel."),
    click.option("--can-delay/--no-can-delay", default=None, help="The user may put it off."),
    click.option("--done-text", metavar="T", help="What the user confirms afterwards."),
    click.option("--success-code", metavar="N", multiple=True, help="Also a success."),
    click.option("--reboot-code", metavar="N", multiple=True, help="A success; needs a reboot."),
    click.option("--retry-code", metavar="N", multiple=True, help="Try again later."),
    click.option("--execution-timeout", metavar="MIN", help="0 is none."),
)


def spec_options(command: Command) -> Command:
    """Give a command the options of a specification; their values are text, None where not said."""
    for option in reversed(_SPEC_OPTIONS):
        command = option(command)
    return command


def fields_of(options: Mapping[str, Any], action: str) -> dict[str, str]:
    """Return the fields that options give, as `read_spec` takes them; `file` is none of them.

    Raises:
        click.UsageError: --command and --path where the action takes the other.
    """
    stores = action.strip().upper() == Action.STORE
    wrong, right = ("command", "path") if stores else ("path", "command")
    if options.get(wrong) is not None:
        raise click.UsageError(f"--{wrong} does not go with --action {action}; give --{right}.")
    fields: dict[str, str] = {}
    for option, value in options.items():
        if option in ("file", "command", "path") or value is None or value == ():
            continue
        if isinstance(value, bool):
            fields[option] = "1" if value else ""
        else:
            text = " ".join(value) if isinstance(value, tuple) else str(value)
            fields[_FIELDS.get(option, option)] = text
    if options.get(right) is not None:
        fields["target"] = options[right]
    return fields


@contextmanager
def options_named(action: str, file: str | None) -> Iterator[None]:
    """Name the option in front of what is wrong with a field."""
    try:
        yield
    except SpecErrors as errors:
        said = [f"{_option(each, action, file)}: {each}" for each in errors.errors]
        raise DeployError("; ".join(said)) from errors
    except SpecError as error:
        message = f"{_option(error, action, file)}: {error.message}"
        raise DeployError(message, error.hint) from error


def _option(error: SpecError, action: str, file: str | None) -> str:
    if error.field == "name":
        return "NAME"
    if error.field == "file" and file is not None:
        return f"--file {Path(file).name}"
    if error.field == "target":
        return "--path" if action.strip().upper() == Action.STORE else "--command"
    return "--" + _OPTIONS.get(error.field, error.field).replace("_", "-")
