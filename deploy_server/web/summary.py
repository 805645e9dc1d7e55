"""What would be built, before it is: pieces, time, the command, the info file."""

import shlex
from dataclasses import dataclass

from deploy_agent.wire.fragment import FragmentPlan
from deploy_agent.wire.info import write_info
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action
from deploy_server.domain.errors import SpecError
from deploy_server.domain.estimate import estimate_s
from deploy_server.domain.layout import Content, fragment_size, info_of
from deploy_server.domain.spec import PackageSpec
from deploy_server.storage.uploads import Upload
from deploy_server.web.forms import BuildForm

_RAW = 32  # bytes of a SHA-256; zeros stand for what only building tells


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
    form: BuildForm,
    upload: Upload | None,
    settings: DownloadSettings,
    ratio: int | None,
    size: int | None = None,
) -> Summary | None:
    """Return what `form` would build; None while it is not correct.

    Args:
        form: after `read`.
        upload: its file, where it is here already.
        settings: what computers are told; for the estimate.
        ratio: DOWNLOAD_RATIO_FRAG in bytes where it counts.
        size: bytes of a file that was chosen and is not here yet.
    """
    spec = form.spec
    if spec is None:
        return None
    if upload is not None:
        size = upload.length or upload.offset
    try:
        plan = _plan(spec, size, ratio)
    except SpecError as error:
        form.problems = {error.field: str(error)}
        return None
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


def _plan(spec: PackageSpec, size: int | None, ratio: int | None) -> FragmentPlan | None:
    return FragmentPlan(size, fragment_size(spec, size, ratio)) if size else None


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
    content = Content(plan, bytes(_RAW), bytes(_RAW), bytes(_RAW)) if plan else None
    info = info_of(0, spec, content)
    text = write_info(info).decode("utf-8")
    for placeholder in (info.digest.text if info.digest else "", "00" * _RAW, info.package_id):
        text = text.replace(f'"{placeholder}"', '"…"') if placeholder else text
    return text
