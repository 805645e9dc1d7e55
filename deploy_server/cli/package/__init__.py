"""`deploy-server package`: everything about packages on the command line."""

from deploy_server.cli.package.activate import activate, activations, deactivate
from deploy_server.cli.package.build import build, edit
from deploy_server.cli.package.group import package
from deploy_server.cli.package.show import delete, export, hide, lint, list_command, show

__all__ = [
    "activate",
    "activations",
    "build",
    "deactivate",
    "delete",
    "edit",
    "export",
    "hide",
    "lint",
    "list_command",
    "package",
    "show",
]
