"""The program `deploy-server`: one module for each noun, each with its commands."""

import click

from deploy_agent import __version__
from deploy_server.cli.common import Program


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deploy-server")
def main() -> None:
    """Deploy software to fleets of computers."""
