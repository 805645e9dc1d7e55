"""The program `deploy-server`: one module for each noun, each with its commands."""

import click

from deploy_agent import __version__

try:
    from deploy_server.cli.assign import assign, stats, unassign, validate
    from deploy_server.cli.audit import audit
    from deploy_server.cli.backup import backup, restore
    from deploy_server.cli.cert import cert
    from deploy_server.cli.common import Program
    from deploy_server.cli.computer import computer
    from deploy_server.cli.db import db
    from deploy_server.cli.group import group
    from deploy_server.cli.init import init
    from deploy_server.cli.package import package
    from deploy_server.cli.run import run
    from deploy_server.cli.service import install, uninstall
    from deploy_server.cli.setting import setting
    from deploy_server.cli.user import user
except ModuleNotFoundError as error:
    if (error.name or "").startswith("deploy_"):
        raise  # a fault of ours
    # Both programs come with either extra of the distribution; only one of them can work then.
    raise SystemExit(
        f"deploy-server: {error.name} is not installed here, only what agents need."
        " Install the server: pip install 'tranche[server]'"
    ) from error


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deploy-server")
def main() -> None:
    """Deploy software to fleets of computers."""


for command in (
    *(init, run, cert, user, db, audit, backup, restore),
    *(install, uninstall),
    *(package, computer, group, setting),
    *(assign, unassign, stats, validate),
):
    main.add_command(command)
