"""`deploy-agent`: reads the command line and says in words and exit statuses what came of it.

Exit statuses: 0 done, 1 refused or failed, 2 usage or configuration, 3 packages wait, 4 the state
cannot be written, 75 another agent works. Source: contract.md 3.

What takes long to import is imported by the commands that use it.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy_agent import __version__
from deploy_agent.domain.errors import AgentError, ConfigError, LocalError

if TYPE_CHECKING:
    from deploy_agent.config import AgentConfig

FAILED = 1
LOG_MAX = 4 * 1024 * 1024  # bytes of a log file; then it is put aside, and three are kept
# Whoever opens the file says better than click what is wrong with it, and with which exit status.
ANY_PATH = click.Path(path_type=Path, readable=False)
F = TypeVar("F", bound=Callable[..., Any])


class Program(click.Group):
    """Says every error that a person can meet in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AgentError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            status = error.exit_status if isinstance(error, LocalError) else FAILED
            ctx.exit(status)


def shared(command: F) -> F:
    """Give a command --config and --state; they may also stand before its name."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.ensure_object(dict)[parameter.name] = value

    for name, text in (
        ("--state", "The folder of the agent's state."),
        ("--config", "The configuration file."),
    ):
        command = click.option(name, type=ANY_PATH, expose_value=False, callback=keep, help=text)(
            command
        )
    return command


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@shared
@click.version_option(__version__, prog_name="deploy-agent")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fetches packages from a deployment server and carries them out."""
    ctx.ensure_object(dict)


@main.command()
@shared
@click.option("--server", required=True, metavar="URL", help="https://HOST[:PORT] of the server.")
@click.option(
    "--ca",
    required=True,
    type=ANY_PATH,
    help="The CA or self-signed certificate that makes the server yours.",
)
@click.option("--tag", help="TAG of this computer, until the server has one of its own.")
@click.pass_obj
def configure(given: dict[str, Path], server: str, ca: Path, tag: str | None) -> None:
    """Write the configuration file."""
    from deploy_agent.config import default_file, server_url
    from deploy_agent.machine.configfile import write_config
    from deploy_agent.machine.tls import read_certificates

    try:
        url = server_url(server)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    ca_file = ca.expanduser().absolute()
    read_certificates(ca_file)
    file = given.get("config") or default_file()
    state = given.get("state")
    write_config(
        file,
        {
            "server": url,
            "ca_file": str(ca_file),
            "tag": tag,
            "state": None if state is None else str(state.absolute()),
        },
    )
    click.echo(f"The configuration is in {file}.")


@main.command()
@shared
@click.pass_obj
@click.pass_context
def run(ctx: click.Context, given: dict[str, Path]) -> None:
    """Be the daemon: contacts, packages, results, until a signal ends it."""
    config = load_config(given)
    start_log(config)
    from deploy_agent.daemon import serve

    ctx.exit(serve(config))


@main.command()
@shared
@click.option("--no-wait", is_flag=True, help="Take every latency as 0.")
@click.pass_obj
@click.pass_context
def once(ctx: click.Context, given: dict[str, Path], no_wait: bool) -> None:
    """Contact the server once, then work until nothing can move."""
    config = load_config(given)
    start_log(config)
    from deploy_agent.machine.clock import SystemClock
    from deploy_agent.services.once import run_once
    from deploy_agent.services.setup import StateFiles, make_agent
    from deploy_agent.services.waiting import Patience

    with StateFiles(config.state).lock():
        agent = make_agent(config, Patience(latencies=not no_wait, silences=3))
        left = run_once(agent, SystemClock(), wait=not no_wait)
    for package_id, code in left.ended:
        click.echo(f"{package_id} {printable(code)}")
    for package_id in left.unreported:
        click.echo(f"{package_id} ended; the server has to be told")
    for package_id, why in left.waiting:
        click.echo(f"{package_id} waits: {printable(why)}")
    ctx.exit(left.exit_status)


@main.command()
@shared
@click.option("--xml", "form", flag_value="xml", help="As it is sent to the server.")
@click.option("--json", "form", flag_value="json")
@click.pass_obj
def inventory(given: dict[str, Path], form: str | None) -> None:
    """Show what the server learns about this computer."""
    config = load_config(given)
    from deploy_agent.services.looking import inventory_of

    message = inventory_of(config)
    if form == "xml":
        click.echo(message.to_bytes().decode("utf-8"), nl=False)
    elif form == "json":
        sections = [{"name": each.name, **dict(each.fields)} for each in message.sections]
        show_json({"device_id": message.device_id, "tag": message.tag, "sections": sections})
    else:
        for section in message.sections:
            click.echo(section.name)
            for name, text in section.fields:
                click.echo(f"    {name:<20} {printable(text)}")


@main.command()
@shared
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def status(given: dict[str, Path], as_json: bool) -> None:
    """Show where every package stands, and why it waits."""
    config = load_config(given)
    from deploy_agent.services.looking import status_of

    found = status_of(config)
    if as_json:
        show_json(found)
        return
    words = {
        "device_id": found["device_id"] or "made at the first contact",
        "last_contact": found["last_contact"] or "never",
    }
    for name in ("device_id", "server", "last_contact", "deployment", "agent"):
        click.echo(f"{name.replace('_', ' '):<14} {printable(words.get(name, found[name]))}")
    for package in found["packages"]:
        click.echo(f"{package['package']} {package['state']}: {printable(package['why'])}")


@main.command()
@shared
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def history(given: dict[str, Path], as_json: bool) -> None:
    """Show what ended on this computer, oldest first."""
    config = load_config(given)
    from deploy_agent.services.looking import history_of

    entries = history_of(config)
    if as_json:
        show_json(entries)
        return
    for entry in entries:
        detail = f"  {entry['detail']}" if entry["detail"] else ""
        line = f"{entry['ended_at'][:19]}Z  {entry['package']}  {entry['code']}{detail}"
        click.echo(printable(line))


@main.command()
@shared
@click.argument("package_id", metavar="ID")
@click.pass_obj
def retry(given: dict[str, Path], package_id: str) -> None:
    """Ask the server for a new attempt at a package that failed."""
    config = load_config(given)
    from deploy_agent.services.looking import ask_for_retry

    attempt = ask_for_retry(config, package_id)
    click.echo(f"{package_id} is waiting again, attempt {attempt}. The next contact brings it.")


@main.group()
@shared
def config() -> None:
    """Look at the configuration."""


@config.command()
@shared
@click.pass_obj
def show(given: dict[str, Path]) -> None:
    """Show every value with where it comes from."""
    loaded = load_config(given)
    from deploy_agent.config import shown

    for name, text, origin in shown(loaded):
        click.echo(f"{name:<22} {printable(text):<40} {origin}")


@main.command()
@shared
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, given: dict[str, Path]) -> None:
    """Find out what keeps this agent from working."""
    loaded = load_config(given)
    from deploy_agent.services.looking import findings

    failed = False
    for finding in findings(loaded):
        failed = failed or not finding.good
        mark = "ok  " if finding.good else "FAIL"
        click.echo(f"{mark} {finding.what}: {printable(finding.detail)}")
    ctx.exit(FAILED if failed else 0)


def load_config(given: dict[str, Path]) -> "AgentConfig":
    """Return the configuration that the command line, the environment and the file make.

    Raises:
        ConfigError: something in it is wrong or missing.
    """
    from deploy_agent.config import default_file, load

    file = given.get("config")
    with suppress(PermissionError):  # then reading it says so
        if file is not None and not file.exists():
            raise ConfigError(
                f"there is no configuration '{file}'",
                "Write one with: deploy-agent configure --server URL --ca FILE",
            )
    return load(file or default_file(), os.environ, {"state": given.get("state")})


def start_log(config: "AgentConfig") -> None:
    """Write the log to standard error and, where the configuration says so, to a file.

    Raises:
        ConfigError: the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.log_file is not None:
        from deploy_agent.machine.logfile import PrivateLogFile

        try:
            handlers.append(PrivateLogFile(config.log_file, maxBytes=LOG_MAX, backupCount=3))
        except OSError as error:
            raise ConfigError(f"log_file cannot be written: {error}") from error
    logger = logging.getLogger("deploy_agent")
    logger.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(PlainLines("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)


class PlainLines(logging.Formatter):
    """One line for each record, whatever a server put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback keeps its lines."""
        record.message = printable(record.getMessage())
        record.asctime = self.formatTime(record)
        line = self.formatMessage(record)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def show_json(value: Any) -> None:
    """Print `value` as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
