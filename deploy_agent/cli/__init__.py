"""`deploy-agent`: reads the command line and says in words and exit statuses what came of it.

Exit statuses: 0 done, 1 refused or failed, 2 usage or configuration, 3 packages wait, 4 the state
cannot be written, 75 another agent works. Source: contract.md 3.

What takes long to import is imported by the commands that use it.
"""

import click

from deploy_agent import __version__
from deploy_agent.cli.answering import answer
from deploy_agent.cli.common import Program, shared
from deploy_agent.cli.configuring import config, configure
from deploy_agent.cli.looking import check, history, inventory, status
from deploy_agent.cli.service import install, uninstall
from deploy_agent.cli.working import once, retry, run


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@shared
@click.version_option(__version__, prog_name="deploy-agent")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fetches packages from a deployment server and carries them out."""
    ctx.ensure_object(dict)


for command in (
    configure,
    run,
    once,
    retry,
    inventory,
    status,
    history,
    config,
    check,
    answer,
    install,
    uninstall,
):
    main.add_command(command)
