"""How a package's bytes are laid out: how they are cut, and the info file that describes them."""

from dataclasses import dataclass

from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.fragment import FragmentPlan
from deploy_agent.wire.info import InfoFile, Notification
from deploy_agent.wire.terms import Action, Protocol
from deploy_server.domain.errors import SpecError
from deploy_server.domain.spec import FRAGMENT_SIZE_DEFAULT, FRAGMENTS_MAX, PackageSpec


@dataclass(frozen=True, slots=True)
class Content:
    """The file of a package, cut.

    Attributes:
        plan: how.
        digest: raw hash in the algorithm of the specification.
        sha256: raw SHA-256 of the whole file.
        fragments_sha256: raw SHA-256 of fragments.sha256.
    """

    plan: FragmentPlan
    digest: bytes
    sha256: bytes
    fragments_sha256: bytes


def package_name(package_id: int) -> str:
    """Return the id as people, folders and agents write it: ten digits."""
    return f"{package_id:010d}"


def needs_length(spec: PackageSpec, ratio: int | None) -> bool:
    """Whether the file can only be cut when all of its bytes are counted."""
    return spec.fragments is not None or (spec.fragment_size is None and ratio is not None)


def fragment_size(spec: PackageSpec, length: int | None, ratio: int | None = None) -> int:
    """Return the bytes of a fragment.

    Args:
        spec: how it shall be cut.
        length: of the file; None where nobody knows and `needs_length` is false.
        ratio: DOWNLOAD_RATIO_FRAG in bytes where it counts: as many equal pieces as it fits in.

    Raises:
        SpecError: there would be too many fragments.
    """
    if spec.fragment_size is not None:
        size = spec.fragment_size
    elif length is not None and (spec.fragments is not None or ratio is not None):
        count = spec.fragments or max(1, -(-length // (ratio or 1)))
        size = FragmentPlan.by_count(length, count).fragment_size
    else:
        size = FRAGMENT_SIZE_DEFAULT
    if length is not None:
        check_count(FragmentPlan(length, size).count)
    return size


def check_count(count: int) -> None:
    """Refuse more fragments than agents read the list of.

    Raises:
        SpecError: field `fragment_size`.
    """
    if count > FRAGMENTS_MAX:
        raise SpecError(
            "fragment_size",
            f"this makes more than {FRAGMENTS_MAX} fragments, and their list too long for agents",
            "Choose larger fragments",
        )


def info_of(
    package_id: int, spec: PackageSpec, content: Content | None, revision: int = 1
) -> InfoFile:
    """Return what the info file of a package says.

    Args:
        package_id: its id.
        spec: checked.
        content: its file, None for a command without one.
        revision: 1, then one more for every change.
    """
    plan = content.plan if content else None
    return InfoFile(
        package_id=package_name(package_id),
        priority=spec.priority,
        action=Action(spec.action),
        target=spec.target,
        protocol=Protocol(spec.protocol),
        fragments=plan.count if plan else 0,
        digest=digest_of(spec, content) if content else None,
        notification=_notification(spec),
        done_text=spec.done_text,
        sha256=content.sha256 if content else None,
        fragments_sha256=content.fragments_sha256 if content else None,
        fragment_size=plan.fragment_size if plan else None,
        revision=revision,
        success_codes=spec.success_codes,
        reboot_codes=spec.reboot_codes,
        retry_codes=spec.retry_codes,
        execution_timeout_min=spec.execution_timeout,
    )


def digest_of(spec: PackageSpec, content: Content) -> Digest:
    """Return DIGEST as the specification wants it written."""
    algorithm = DigestAlgorithm(spec.digest_algorithm)
    return Digest(algorithm, content.digest, DigestEncoding(spec.digest_encoding))


def _notification(spec: PackageSpec) -> Notification | None:
    if spec.notify_text is None:
        return None
    return Notification(spec.notify_text, spec.notify_countdown, spec.can_abort, spec.can_delay)
