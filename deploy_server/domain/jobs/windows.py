"""Jobs for Windows: installers, scripts, uninstalling. Pure."""

import re

from deploy_server.domain.errors import SpecError
from deploy_server.domain.jobs.commands import file_name, windows, windows_words
from deploy_server.domain.jobs.job import Answers, Form, Job, JobField

_PRODUCT = re.compile(r"\{?([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\}?\Z")

# 1618: another installer runs. 3010: wants a restart, 1641: has begun one.
_INSTALLER: Form = {"reboot_codes": "3010, 1641", "retry_codes": "1618"}


def _msi(answers: Answers) -> Form:
    name = file_name(answers["file"], "file", (".msi",))
    words = ["msiexec", "/i", name, "/qn", "/norestart"]
    words += windows_words(answers["arguments"], "arguments")
    return {"action": "EXECUTE", "target": windows(words), "wrap": "1", **_INSTALLER}


def _exe(answers: Answers) -> Form:
    name = file_name(answers["file"], "file", (".exe",))
    words = [name, *windows_words(answers["arguments"], "arguments")]
    return {"action": "LAUNCH", "target": windows(words), "wrap": "1", **_INSTALLER}


def _powershell(answers: Answers) -> Form:
    start = ["powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"]
    words = [*start, "-File", "script.ps1", *windows_words(answers["arguments"], "arguments")]
    return _script("script.ps1", "EXECUTE", words, answers)


def _batch(answers: Answers) -> Form:
    words = ["script.cmd", *windows_words(answers["arguments"], "arguments")]
    return _script("script.cmd", "LAUNCH", words, answers)


def _script(name: str, action: str, words: list[str], answers: Answers) -> Form:
    return {
        "action": action,
        "target": windows(words),
        "script": answers["script"],
        "script_name": name,
        "wrap": "1",
    }


def _uninstall(answers: Answers) -> Form:
    found = _PRODUCT.match(answers["product"].strip())
    if found is None:
        raise SpecError(
            "product",
            f"{answers['product'][:60]!r} is no product code",
            "Look it up in the registry under Uninstall: {1D8E6291-B0D5-35EC-8441-6616F567A0F7}",
        )
    words = ["msiexec", "/x", "{%s}" % found.group(1).upper(), "/qn", "/norestart"]  # noqa: UP031
    # 1605: it was not installed, which is what was wanted.
    return {"action": "EXECUTE", "target": windows(words), "success_codes": "1605", **_INSTALLER}


_ARGUMENTS = JobField("arguments", "Arguments", "Such as: /S", optional=True)

WINDOWS = (
    Job(
        "windows-msi", "windows", "Install an .msi", "Quietly, without a restart of its own.",
        (JobField("file", "Name of the file", "Such as: app.msi"),
         JobField("arguments", "Properties", 'Such as: ALLUSERS=1 INSTALLDIR="C:\\My App"',
                  optional=True)), _msi, "{file}",
    ),
    Job(
        "windows-exe", "windows", "Run an installer", "An .exe with its quiet switch.",
        (JobField("file", "Name of the file", "Such as: setup.exe"),
         JobField("arguments", "Arguments", "Quiet is often /S, /silent or /quiet.",
                  default="/S", optional=True)), _exe, "{file}",
    ),
    Job(
        "windows-powershell", "windows", "Run a PowerShell script", "Written here.",
        (JobField("script", "Script", "What it throws is the result, and so is its exit code.",
                  default="$ErrorActionPreference = 'Stop'\n", lines=True), _ARGUMENTS),
        _powershell,
    ),
    Job(
        "windows-batch", "windows", "Run a batch file", "Written here.",
        (JobField("script", "Script", "Its last exit code is the result.",
                  default="@echo off\n", lines=True), _ARGUMENTS), _batch,
    ),
    Job(
        "windows-uninstall", "windows", "Uninstall a product", "What an .msi installed.",
        (JobField("product", "Product code", "In braces or without."),), _uninstall,
    ),
)  # fmt: skip
