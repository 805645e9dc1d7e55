"""One message of an agent in, one reply out.

The face unpacks and packs, commits, and tries again when two messages met; here is what they mean.
"""

from deploy_server.services.contact.answer import answer, look
from deploy_server.services.contact.seen import Sightings

__all__ = ["Sightings", "answer", "look"]
