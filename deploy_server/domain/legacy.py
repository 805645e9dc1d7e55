"""What works with our agents and not with every agent of OCS, said before a package is built."""

import shlex
from collections.abc import Iterator

from deploy_agent.wire.digest import DigestAlgorithm, DigestEncoding
from deploy_agent.wire.terms import Action
from deploy_server.domain.jobs.hiding import hiding_end
from deploy_server.domain.spec import PackageSpec

# Source: protocol.md 2 (tried with Debian's agent 2.10.0), features.md 2 (Windows agent, read).
_REFUSED_ALGORITHMS = {
    DigestAlgorithm.SHA1: "OCS's Unix agent where Perl has no Digest::SHA1, as on Debian 12",
    DigestAlgorithm.SHA256: "OCS's Unix agent",
}
_REFUSED_ENCODINGS = {DigestEncoding.BASE64: "OCS's Windows agent"}

_SHELL_CHARACTERS = frozenset("|&;<>()`*?")
_WINDOWS_COMMAND_MAX = 255  # characters; features.md 2
_UNIX_EXIT_CODE_MAX = 255


def agents_that_refuse(algorithm: str, encoding: str) -> tuple[str, ...]:
    """Return the agents of OCS that end a package with this DIGEST as ERR_BAD_DIGEST."""
    found = (
        _REFUSED_ALGORITHMS.get(DigestAlgorithm(algorithm)),
        _REFUSED_ENCODINGS.get(DigestEncoding(encoding)),
    )
    return tuple(agent for agent in found if agent)


def warnings_for(spec: PackageSpec, has_file: bool, period_length: int) -> list[str]:
    """Return a sentence for everything about a correct `spec` that its builder should know."""
    found = [*_about_priority(spec, period_length), *_about_launch(spec), *_about_limits(spec)]
    end = hiding_end(spec.target) if spec.action == Action.EXECUTE else ""
    if end:
        found.append(
            f"The command ends in {end!r}, so it succeeds whatever happens, and nobody learns of a"
            " failure. Leave it out, and list exit codes that are no failure as successes."
        )
    if has_file:
        found += _about_digest(spec)
    if spec.os != "windows" and (spec.notify_text is not None or spec.done_text is not None):
        found.append("OCS's Unix agent shows no messages to users and acts at once.")
    return found


def _about_priority(spec: PackageSpec, period_length: int) -> Iterator[str]:
    if spec.priority > period_length:
        yield (
            f"Priority {spec.priority} is above the period length of {period_length} cycles: agents"
            f" never come to it. Choose at most {period_length}, or raise DOWNLOAD_PERIOD_LENGTH."
        )
    if spec.priority == 0:
        yield (
            "Priority 0 comes before everything else: while it cannot be fetched, agents fetch no"
            " other package."
        )


def _about_launch(spec: PackageSpec) -> Iterator[str]:
    if spec.action != Action.LAUNCH:
        return
    name = shlex.split(spec.target)[0]
    if spec.os != "windows" and set(name) & {"-", " "}:
        short = name.replace(" ", "-").split("-")[0]
        yield (
            f"OCS's Unix agent cuts the name {name!r} at its first space or '-' and makes"
            f" {short!r} executable instead: rename the file, or leave it executable inside the"
            " archive."
        )
    found = sorted(_SHELL_CHARACTERS & set(_unquoted(spec.target)))
    if found:
        yield (
            f"The command contains {' '.join(found)}, but our agent launches it without a shell:"
            " they reach the program as they stand. For a shell choose the action execute."
        )


def _unquoted(text: str) -> str:
    """Return the characters of `text` that stand outside quotes."""
    kept: list[str] = []
    quote = ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            kept.append(character)
    return "".join(kept)


def _about_limits(spec: PackageSpec) -> Iterator[str]:
    length = len(spec.target)
    if spec.os in ("windows", "any") and length > _WINDOWS_COMMAND_MAX:
        yield (
            f"OCS's Windows agent takes at most {_WINDOWS_COMMAND_MAX} characters after it has"
            f" filled in its variables; these are {length}."
        )
    codes = {*spec.success_codes, *spec.reboot_codes, *spec.retry_codes}
    strange = sorted(code for code in codes if not 0 <= code <= _UNIX_EXIT_CODE_MAX)
    if strange and spec.os in ("linux", "macos"):
        listed = ", ".join(map(str, strange))
        yield f"Programs on {spec.os} end with 0 to {_UNIX_EXIT_CODE_MAX}, never with {listed}."


def _about_digest(spec: PackageSpec) -> Iterator[str]:
    agents = agents_that_refuse(spec.digest_algorithm, spec.digest_encoding)
    if agents:
        yield (
            f"A digest as {spec.digest_algorithm} in {spec.digest_encoding} is refused by"
            f" {' and by '.join(agents)}: such computers are not assigned. MD5 in Hexa is read by"
            " every agent, and ours check SHA256 besides."
        )
