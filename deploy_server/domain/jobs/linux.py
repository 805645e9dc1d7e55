"""Jobs for Linux and macOS: packages of the system, installers, scripts. Pure."""

from deploy_server.domain.jobs.commands import file_name, package_names, unix, unix_words
from deploy_server.domain.jobs.job import Answers, Form, Job, JobField

_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "DPkg::Lock::Timeout=600")

#: The command of each manager, and the exit codes that are no end: somebody else holds its lock.
_INSTALL = {
    "apt": (*_APT, "install"),
    "dnf": ("dnf", "-y", "install"),
    "zypper": ("zypper", "--non-interactive", "install"),
}
_REMOVE = {
    "apt": (*_APT, "remove"),
    "dnf": ("dnf", "-y", "remove"),
    "zypper": ("zypper", "--non-interactive", "remove"),
}
_CODES: dict[str, Form] = {
    # apt-get has one code for all its troubles; it waits ten minutes for the lock by itself first.
    "apt": {"retry_codes": "100"},
    "dnf": {"retry_codes": "200"},
    "zypper": {"retry_codes": "7", "reboot_codes": "102", "success_codes": "103"},
}
_MANAGERS = (
    ("apt", "apt (Debian, Ubuntu)"),
    ("dnf", "dnf (Red Hat, Fedora)"),
    ("zypper", "zypper (SUSE)"),
)
_NAMES = JobField("names", "Packages", "As the system names them, such as: vlc curl")
_MANAGER = JobField("manager", "With", choices=_MANAGERS)
_ARGUMENTS = JobField("arguments", "Arguments", "Such as: --quiet", optional=True)


def _deb(answers: Answers) -> Form:
    name = file_name(answers["file"], "file", (".deb",))
    return _command((*_INSTALL["apt"], f"./{name}"), "apt") | {"wrap": "1"}


def _rpm(answers: Answers) -> Form:
    name = file_name(answers["file"], "file", (".rpm",))
    return _command((*_INSTALL[answers["manager"]], f"./{name}"), answers["manager"]) | {
        "wrap": "1"
    }


def _install(answers: Answers) -> Form:
    names = package_names(answers["names"], "names")
    return _command((*_INSTALL[answers["manager"]], *names), answers["manager"])


def _remove(answers: Answers) -> Form:
    names = package_names(answers["names"], "names")
    return _command((*_REMOVE[answers["manager"]], *names), answers["manager"])


def _command(words: tuple[str, ...], manager: str) -> Form:
    return {"action": "EXECUTE", "target": unix(words), **_CODES[manager]}


def _script(answers: Answers) -> Form:
    words = ["script.sh", *unix_words(answers["arguments"], "arguments")]
    # The kernel looks for #! at the very first byte.
    script = answers["script"].lstrip("\ufeff").lstrip()
    script = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    return {
        "action": "LAUNCH",
        "target": unix(words),
        "script": script,
        "script_name": "script.sh",
        "wrap": "1",
    }


def _pkg(answers: Answers) -> Form:
    name = file_name(answers["file"], "file", (".pkg", ".mpkg"))
    command = ("installer", "-pkg", f"./{name}", "-target", "/")
    return {"action": "EXECUTE", "target": unix(command), "wrap": "1"}


def _app(answers: Answers) -> Form:
    return {"action": "STORE", "target": answers["folder"].strip() or "/Applications"}


_SCRIPT = JobField(
    "script", "Script", "Its last exit code is the result: end with set -e, not with exit 0.",
    default="#!/bin/sh\nset -e\n", lines=True,
)  # fmt: skip

LINUX = (
    Job(
        "linux-deb", "linux", "Install a .deb", "With what it depends on, from a file you upload.",
        (JobField("file", "Name of the file", "Such as: app_1.2_amd64.deb"),), _deb, "{file}",
    ),
    Job(
        "linux-rpm", "linux", "Install an .rpm", "With what it depends on, from a file you upload.",
        (JobField("file", "Name of the file", "Such as: app-1.2.x86_64.rpm"),
         JobField("manager", "With", choices=_MANAGERS[1:])), _rpm, "{file}",
    ),
    Job(
        "linux-install", "linux", "Install from repositories",
        "The computer's own package manager fetches it; nothing is uploaded.",
        (_NAMES, _MANAGER), _install, "{names}",
    ),
    Job(
        "linux-remove", "linux", "Uninstall packages",
        "With the computer's own package manager; its settings stay.",
        (_NAMES, _MANAGER), _remove, "Uninstall {names}",
    ),
    Job(
        "linux-script", "linux", "Run a script", "Written here, with line ends as Linux has them.",
        (_SCRIPT, _ARGUMENTS), _script,
    ),
)  # fmt: skip

MACOS = (
    Job(
        "macos-pkg", "macos", "Install a .pkg", "With the system's installer, for everybody.",
        (JobField("file", "Name of the file", "Such as: App-1.2.pkg"),), _pkg, "{file}",
    ),
    Job(
        "macos-app", "macos", "Drop an .app", "An archive with the .app, unpacked into a folder.",
        (JobField("folder", "Folder", default="/Applications"),), _app,
    ),
    Job(
        "macos-script", "macos", "Run a script", "Written here, with line ends as macOS has them.",
        (_SCRIPT, _ARGUMENTS), _script,
    ),
)  # fmt: skip
