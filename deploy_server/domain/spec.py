"""Everything a person gives to build a package, and its limits."""

from dataclasses import dataclass

from deploy_agent.wire.digest import DigestAlgorithm, DigestEncoding
from deploy_agent.wire.terms import PRIORITY_DEFAULT, Action, Protocol

#: For which systems a package may be, with what people read.
OS_NAMES = {"linux": "Linux", "windows": "Windows", "macos": "macOS", "any": "Any"}
OS_FAMILIES = tuple(OS_NAMES)

NAME_MAX = 255  # characters; OCS's column
DESCRIPTION_MAX = 10_000  # characters
COUNTDOWN_MAX_S = 9999  # OCS's form takes four digits
EXECUTION_TIMEOUT_MAX_MIN = 525_600  # a year
CODES_MAX = 100  # exit codes in one list
FRAGMENT_SIZE_DEFAULT = 1024**2  # bytes
FRAGMENT_SIZE_MAX = 1024**4  # bytes
FRAGMENTS_MAX = 500_000  # their list stays below what agents read (wire.terms.FRAGMENTS_LIST_MAX)


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """What a form or a command line says about a package; unchecked until `check_spec`.

    Words of a closed list may come in any case; what is not in the list stays as it came, for
    `check_spec` to name it.

    Attributes:
        name: unique among packages that are not deleted; any script.
        os: one of `OS_FAMILIES`.
        action: an `Action`.
        target: the file to launch with its arguments, the command, or the folder to store in.
        priority: 0 to 10.
        fragment_size: bytes of a fragment; None takes the default.
        fragments: into how many pieces to cut instead; excludes `fragment_size`.
        protocol: how agents fetch the fragments.
        digest_algorithm: of DIGEST; only MD5 is verified by every OCS agent.
        digest_encoding: of DIGEST; only Hexa is read by every OCS agent.
        description: for people.
        wrap: put the file, whatever it is, into an archive of its own.
        notify_text: what the user is shown before the action; None asks nobody.
        notify_countdown: seconds until the action starts by itself; 0 waits for ever.
        can_abort: the user may cancel.
        can_delay: the user may put it off.
        done_text: what the user has to confirm afterwards; None asks nobody.
        success_codes: exit codes that mean success beside 0.
        reboot_codes: exit codes that mean success, and a reboot is needed.
        retry_codes: exit codes that mean: try again later.
        execution_timeout: minutes; 0 means none, None leaves it to the settings.
    """

    name: str
    os: str
    action: str
    target: str
    priority: int = PRIORITY_DEFAULT
    fragment_size: int | None = None
    fragments: int | None = None
    protocol: str = Protocol.HTTP
    digest_algorithm: str = DigestAlgorithm.MD5
    digest_encoding: str = DigestEncoding.HEXA
    description: str = ""
    wrap: bool = False
    notify_text: str | None = None
    notify_countdown: int | None = None
    can_abort: bool = False
    can_delay: bool = False
    done_text: str | None = None
    success_codes: tuple[int, ...] = ()
    reboot_codes: tuple[int, ...] = ()
    retry_codes: tuple[int, ...] = ()
    execution_timeout: int | None = None

    def __post_init__(self) -> None:
        """Write the words of closed lists as the lists do."""
        choices = {
            "os": OS_FAMILIES,
            "action": tuple(Action),
            "protocol": tuple(Protocol),
            "digest_algorithm": tuple(DigestAlgorithm),
            "digest_encoding": tuple(DigestEncoding),
        }
        for field, words in choices.items():
            given = getattr(self, field)
            known = {word.casefold(): word for word in words}
            object.__setattr__(self, field, known.get(given.strip().casefold(), given))
