"""`run`, `once` and `retry`: what works, or makes the server give work."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_agent.cli.common import INTERRUPTED, load_config, printable, shared
from deploy_agent.cli.logs import start_log

if TYPE_CHECKING:
    from deploy_agent.services.agent import Agent

USER_S = 120  # how long `once` leaves a question without a countdown before a user


@click.command()
@shared
@click.pass_obj
@click.pass_context
def run(ctx: click.Context, given: dict[str, Path]) -> None:
    """Be the daemon: contacts, packages, results, until a signal ends it."""
    config = load_config(given, believe=True)
    start_log(config)
    from deploy_agent.daemon import serve

    ctx.exit(serve(config))


@click.command()
@shared
@click.option("--no-wait", is_flag=True, help="Take every latency as 0.")
@click.pass_obj
@click.pass_context
def once(ctx: click.Context, given: dict[str, Path], no_wait: bool) -> None:
    """Contact the server once, then work until nothing can move."""
    config = load_config(given, believe=True)
    start_log(config)
    from deploy_agent.machine.clock import SystemClock
    from deploy_agent.services.once import run_once
    from deploy_agent.services.setup import StateFiles, make_agent
    from deploy_agent.services.waiting import Patience

    with StateFiles(config.state).lock():
        patience = Patience(latencies=not no_wait, silences=3, user_s=0 if no_wait else USER_S)
        agent = make_agent(config, patience)
        try:
            left = run_once(agent, SystemClock(), wait=not no_wait)
        except KeyboardInterrupt:
            click.echo("Stopped by Ctrl-C; nothing is lost.", err=True)
            for line in left_behind(agent):
                click.echo(printable(line), err=True)
            ctx.exit(INTERRUPTED)
    for package_id, code in left.ended:
        click.echo(f"{package_id} {printable(code)}")
    for package_id in left.unreported:
        click.echo(f"{package_id} ended; the server has to be told")
    for package_id, why in left.waiting:
        click.echo(f"{package_id} waits: {printable(why)}")
    ctx.exit(left.exit_status)


def left_behind(agent: "Agent") -> Iterator[str]:
    """Yield what becomes of each package when the agent stops now."""
    from deploy_agent.domain.state import State

    for package in agent.packages:
        result = package.record.result
        if package.state is State.RUNNING:
            yield f"{package.id}: its action goes on; the agent that runs next reports its result"
        elif package.state is State.DONE and result is not None:
            yield f"{package.id}: ended with {result.code}; the next contact tells the server"
        elif not package.record.ended:
            yield f"{package.id}: goes on where it is when an agent runs again"


@click.command()
@shared
@click.argument("package_id", metavar="ID")
@click.pass_obj
def retry(given: dict[str, Path], package_id: str) -> None:
    """Ask the server for a new attempt at a package that failed."""
    if not (package_id.isascii() and package_id.isdigit()):
        raise click.UsageError(
            f"'{printable(package_id)}' is no package id, which is digits; 'history' shows them."
        )
    config = load_config(given, believe=True)
    from deploy_agent.services.looking import ask_for_retry

    attempt = ask_for_retry(config, package_id)
    click.echo(f"{package_id} is waiting again, attempt {attempt}. The next contact brings it.")
