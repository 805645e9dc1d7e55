"""What is done to many computers at once: a selection, its blast radius, tags, settings, packages.

A selection is `assigning.Selection` without a group. Every function checks it against `perimeter`,
the tags a person is limited to, so that no id from elsewhere slips in.
"""

from deploy_server.services.fleet.configuring import set_values
from deploy_server.services.fleet.radius import Radius, device_ids, radius, seal
from deploy_server.services.fleet.tagging import set_tag
from deploy_server.services.fleet.taking import Held, packages_held, take_back

__all__ = [
    "Held",
    "Radius",
    "device_ids",
    "packages_held",
    "radius",
    "seal",
    "set_tag",
    "set_values",
    "take_back",
]
