"""What our agents say of packages between offer and report: taken, read, swept.

Nothing here changes the status of an assignment: only a DOWNLOAD report does that.
"""

from deploy_server.services.events.intake import take_events
from deploy_server.services.events.reading import last_of_computer, last_of_rows
from deploy_server.services.events.retention import sweep_events

__all__ = ["last_of_computer", "last_of_rows", "sweep_events", "take_events"]
