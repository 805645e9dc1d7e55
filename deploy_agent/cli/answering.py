"""`answer`: how a user on a terminal answers what the agent asks there. Needs no rights."""

from pathlib import Path

import click

from deploy_agent.cli.common import printable, shared

WORDS = ("now", "later", "cancel", "done")


@click.command()
@shared
@click.argument("package_id", metavar="ID")
@click.argument("word", metavar="now|later|cancel|done", type=click.Choice(WORDS))
@click.pass_obj
def answer(given: dict[str, Path], package_id: str, word: str) -> None:
    """Answer what the agent asks on your terminal."""
    from deploy_agent.config import SYSTEM_STATE
    from deploy_agent.machine.dialogs.terminal import send_answer
    from deploy_agent.services.setup import StateFiles

    state = given.get("state", SYSTEM_STATE).expanduser().absolute()
    place = StateFiles(state).answers()
    click.echo(printable(send_answer(place.path, package_id, word)))
