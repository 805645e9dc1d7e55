"""Backups: everything a server needs to go on elsewhere, in one file, made while it runs.

`save` makes one, `restore` puts one in the place of what is there, `load_settled` is how every
program opens a data directory: a restoration that was killed is completed or taken back first.
"""

from deploy_server.services.backup.archive import Manifest, Progress
from deploy_server.services.backup.holding import clear
from deploy_server.services.backup.restoring import Place, restore
from deploy_server.services.backup.saving import BACKUPS, Saved, save
from deploy_server.services.backup.switching import load_settled

__all__ = [
    "BACKUPS",
    "Manifest",
    "Place",
    "Progress",
    "Saved",
    "clear",
    "load_settled",
    "restore",
    "save",
]
