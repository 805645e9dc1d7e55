"""Giving packages to computers, and taking them back.

Set-based: a few statements whatever the number of computers. What the rows become afterwards is
services/contact's (offers) and services/status's (counts) business.
"""

from deploy_server.services.assigning.assign import assign, assign_again, preview
from deploy_server.services.assigning.bringing_back import Cleared, bring_back
from deploy_server.services.assigning.outlook import Outlook, outlook
from deploy_server.services.assigning.retry import retry
from deploy_server.services.assigning.standing import Standing, standing
from deploy_server.services.assigning.stop import Stop, preview_stop, stop
from deploy_server.services.assigning.targets import find_activation
from deploy_server.services.assigning.unassign import unassign
from deploy_server.services.assigning.views import AssignResult, Selection, Skipped

__all__ = [
    "AssignResult",
    "Cleared",
    "Outlook",
    "Selection",
    "Skipped",
    "Standing",
    "Stop",
    "assign",
    "assign_again",
    "bring_back",
    "find_activation",
    "outlook",
    "preview",
    "preview_stop",
    "retry",
    "standing",
    "stop",
    "unassign",
]
