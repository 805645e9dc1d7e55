"""What would be built, before it is: pieces, time, the command, the info file."""

import shlex
from dataclasses import dataclass

from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding
from deploy_agent.wire.fragment import FragmentPlan
from deploy_agent.wire.info import InfoFile, Notification, write_info
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action, Protocol
from deploy_server.domain.estimate import estimate_s
from deploy_server.domain.spec import FRAGMENT_SIZE_DEFAULT, PackageSpec
from deploy_server.storage.uploads import Upload
from deploy_server.web.forms import BuildForm

#: Stand for what only building tells.
_ID = "0000000000"
_RAW = 32  # bytes of a SHA-256


@dataclass(frozen=True)
class Summary:
    """What a correct form would build.

    Attributes:
        size: bytes of the file; None where it is not chosen yet or wrapped.
        fragments: how many pieces; None where the size is not known.
        fragment_size: bytes of each but the last.
        duration_s: from the first fragment to the last one; None where it never ends.
        command: what runs on the computer, in one line.
        info: the info file; what only building tells stands as …
        warnings: what the builder should know.
    """

    size: int | None
    fragments: int | None
    fragment_size: int
    duration_s: int | None
    command: str
    info: str
    warnings: tuple[str, ...]


def summarise(
    form: BuildForm, upload: Upload | None, settings: DownloadSettings, size: int | None = None
) -> Summary | None:
    """Return what `form` would build; None while it is not correct.

    Args:
        form: after `read`.
        upload: its file, where it is here already.
        settings: what computers are told; for the estimate.
        size: bytes of a file that was chosen and is not here yet.
    """
    spec = form.spec
    if spec is None:
        return None
    if upload is not None:
        size = upload.length or upload.offset
    plan = _plan(spec, size)
    fragments = plan.count if plan else 0
    return Summary(
        size=size,
        fragments=fragments,
        fragment_size=plan.fragment_size if plan else 0,
        duration_s=estimate_s(fragments, size or 0, spec.priority, settings),
        command=_command(spec),
        info=_info(spec, plan),
        warnings=tuple(form.warnings),
    )


def _plan(spec: PackageSpec, size: int | None) -> FragmentPlan | None:
    if not size:
        return None
    if spec.fragments:
        return FragmentPlan.by_count(size, spec.fragments)
    return FragmentPlan(size, spec.fragment_size or FRAGMENT_SIZE_DEFAULT)


def _command(spec: PackageSpec) -> str:
    """What happens on the computer, as its administrator would type it."""
    windows = spec.os == "windows"
    if spec.action == Action.STORE:
        return f"Unpack into {spec.target}"
    if spec.action == Action.EXECUTE and not windows:
        return f"/bin/sh -c {shlex.quote(spec.target)}"
    if spec.action == Action.LAUNCH and not windows:
        return "./" + shlex.join(shlex.split(spec.target))
    return spec.target


def _info(spec: PackageSpec, plan: FragmentPlan | None) -> str:
    """The info file with … for what only building tells: id and digests."""
    algorithm = DigestAlgorithm(spec.digest_algorithm)
    digest = Digest(algorithm, bytes(_RAW), DigestEncoding(spec.digest_encoding))
    asks = spec.notify_text is not None
    info = InfoFile(
        package_id=_ID,
        priority=spec.priority,
        action=Action(spec.action),
        target=spec.target,
        protocol=Protocol(spec.protocol),
        fragments=plan.count if plan else 0,
        digest=digest if plan else None,
        notification=Notification(
            spec.notify_text or "", spec.notify_countdown, spec.can_abort, spec.can_delay
        )
        if asks
        else None,
        done_text=spec.done_text,
        sha256=bytes(_RAW) if plan else None,
        fragments_sha256=bytes(_RAW) if plan else None,
        fragment_size=plan.fragment_size if plan else None,
        revision=1,
        success_codes=spec.success_codes,
        reboot_codes=spec.reboot_codes,
        retry_codes=spec.retry_codes,
        execution_timeout_min=spec.execution_timeout,
    )
    text = write_info(info).decode("utf-8")
    for placeholder in (digest.text, "00" * _RAW, _ID):
        text = text.replace(f'"{placeholder}"', '"…"')
    return text
