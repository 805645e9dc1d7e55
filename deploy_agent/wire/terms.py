"""Names and limits of OCS's deployment wire, each with its source."""

from enum import StrEnum


class Action(StrEnum):
    """What an agent does with a package; ACT. Source: Download.pm, execute."""

    LAUNCH = "LAUNCH"
    EXECUTE = "EXECUTE"
    STORE = "STORE"


class Protocol(StrEnum):
    """How fragments are fetched; PROTO. The info file always comes over HTTPS."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


PRIORITY_MIN = 0  # alone and first
PRIORITY_MAX = 10
PRIORITY_DEFAULT = 5

PACKAGE_ID_DIGITS = 10
PACKAGE_ID_MAX = 2_147_483_647  # OCS keeps ids in a signed 32-bit column

INFO_MAX = 256 * 1024  # bytes of an info file that an agent reads
FRAGMENTS_LIST_MAX = 64 * 1024 * 1024  # bytes of fragments.sha256 that an agent reads
MESSAGE_MAX = 16 * 1024 * 1024  # bytes of an inflated message; contract.md 4
HELD_MAX = 1000  # packages of one X_HELD
HELD_LENGTH_MAX = 40 * HELD_MAX  # characters of it: 20 of an id, 18 of an attempt, : and ,
XML_ELEMENTS_MAX = 200_000  # with attributes; real inventories of 860 packages have 10,000
XML_DEPTH_MAX = 64  # real inventories are five deep

INSTALL_PATH = "INSTALL_PATH"  # a word that agents replace by their own folder
CERT_FILE = "INSTALL_PATH/cacert.pem"

CONTENT_TYPE_REQUEST = "application/x-compress"
CONTENT_TYPE_REPLY = "application/x-compressed"

OUR_AGENT_MARK = "Tranche/"  # in the User-Agent of our agents
USER_AGENT_FORM = "OCS-NG_unified_unix_agent_v2.0 Tranche/{version}"

# No calendar and no timer takes more than a hundred years in one of the units here; to people it is
# the same.
DAYS_MAX = 36_500
HOURS_MAX = 24 * DAYS_MAX
MINUTES_MAX = 60 * HOURS_MAX
SECONDS_MAX = 60 * MINUTES_MAX
