"""Templates of jobs: each makes a form that can be built, quoted, and that hides no failure."""

import shlex

import pytest

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.domain.fields import read_spec
from deploy_server.domain.jobs import JOBS, Job, fill_in, find_job
from deploy_server.domain.jobs.commands import windows, windows_words
from deploy_server.domain.jobs.hiding import hiding_end

ANSWERS = {
    "names": "vlc libc6:i386", "arguments": "--quiet", "script": "echo hi", "folder": "/opt/x",
    "product": "1d8e6291-b0d5-35ec-8441-6616f567a0f7", "system": "linux", "manager": "dnf",
}  # fmt: skip
FILES = {
    "linux-deb": "an app_1.2.deb", "linux-rpm": "app.rpm", "windows-msi": "My App.MSI",
    "windows-exe": "setup.exe", "macos-pkg": "App.pkg",
}  # fmt: skip


def made(key: str, **answers: str) -> dict[str, str]:
    return fill_in(find_job(key), {**ANSWERS, "file": FILES.get(key, ""), **answers})


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.key)
def test_every_template_can_be_built_as_it_is(job: Job) -> None:
    form = made(job.key)
    has_file = form.get("wrap") == "1" or form["action"] != "EXECUTE"
    left_out = {"script", "script_name"}
    fields = {name: form[name] for name in form.keys() - left_out}
    fields["name"] = form["name"] or "Job"
    spec, warnings = read_spec(fields, has_file)
    assert spec.os in (job.os, "linux")
    assert warnings == []
    assert hiding_end(spec.target) == ""


def test_a_package_is_called_what_it_is() -> None:
    named = {job.key: made(job.key)["name"] for job in JOBS}
    assert {key: name for key, name in named.items() if name} == {
        "linux-deb": "an app_1.2", "linux-rpm": "app", "windows-msi": "My App",
        "windows-exe": "setup", "macos-pkg": "App", "linux-install": "vlc libc6:i386",
        "linux-remove": "Uninstall vlc libc6:i386",
    }  # fmt: skip
    assert len(made("linux-install", names="a" * 90)["name"]) == 80
    assert made("linux-deb", file="a." * 60 + "deb")["name"] == "a." * 40


def test_systems_and_keys() -> None:
    assert {job.os for job in JOBS} == {"windows", "linux", "macos", "any"}
    assert len({job.key for job in JOBS}) == len(JOBS)
    with pytest.raises(NotFound):
        find_job("linux-xyz")


def test_commands_as_they_stand_in_the_info_file() -> None:
    deb = made("linux-deb")["target"]
    assert deb.startswith("env DEBIAN_FRONTEND=noninteractive apt-get -y")
    assert shlex.split(deb)[-1] == "./an app_1.2.deb"
    assert made("linux-rpm", manager="zypper")["retry_codes"] == "7"
    assert made("linux-remove")["target"] == "dnf -y remove vlc libc6:i386"
    msi = made("windows-msi", arguments='ALLUSERS=1 INSTALLDIR="C:\\My App"')
    assert msi["target"] == (
        'msiexec /i "My App.MSI" /qn /norestart ALLUSERS=1 INSTALLDIR="C:\\My App"'
    )
    assert (msi["reboot_codes"], msi["retry_codes"]) == ("3010, 1641", "1618")
    gone = made("windows-uninstall")
    assert "{1D8E6291-B0D5-35EC-8441-6616F567A0F7}" in gone["target"]
    assert made("macos-pkg")["target"] == "installer -pkg ./App.pkg -target /"


def test_a_script_has_its_first_line_and_its_arguments() -> None:
    form = made("linux-script", script="\ufeff\n echo hi", arguments="a 'b c'")
    assert form["script"] == "#!/bin/sh\necho hi"
    assert form["target"] == "script.sh a 'b c'"
    assert made("linux-script", script="#!/usr/bin/python3\n")["script"] == "#!/usr/bin/python3\n"
    assert made("windows-powershell")["target"].endswith("-File script.ps1 --quiet")


@pytest.mark.parametrize(
    ("key", "answers", "field"),
    [
        ("linux-deb", {"file": ""}, "file"),
        ("linux-deb", {"file": "../x.deb"}, "file"),
        ("linux-deb", {"file": "x.rpm"}, "file"),
        ("linux-deb", {"file": "-o.deb"}, "file"),
        ("linux-install", {"names": "vlc; rm"}, "names"),
        ("linux-install", {"names": "--allow-downgrades"}, "names"),
        ("linux-script", {"script": "  "}, "script"),
        ("linux-script", {"arguments": "'open"}, "arguments"),
        ("windows-msi", {"file": "a&b.msi"}, "file"),
        ("windows-msi", {"arguments": "A=1 & shutdown"}, "arguments"),
        ("windows-exe", {"arguments": '"open'}, "arguments"),
        ("windows-uninstall", {"product": "Firefox"}, "product"),
        ("any-files", {"folder": " "}, "folder"),
    ],
)
def test_a_wrong_answer_is_named(key: str, answers: dict[str, str], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        made(key, **answers)
    assert caught.value.field == field
    assert caught.value.hint


@pytest.mark.parametrize(
    "command",
    ["a || true", "a ||:", "a; exit 0", "a ; true", "a & exit /b 0", "a || exit 0 ", "(a || true)",
     "sh -c 'a; exit 0'", "a || ver > nul", "a & cd .", "A || TRUE;"],
)  # fmt: skip
def test_ends_that_hide_a_failure(command: str) -> None:
    assert hiding_end(command)


@pytest.mark.parametrize(
    "command",
    ["a", "a && true", "a; exit $?", "a || exit 1", "true", "exit 0", "a; exit 1", "a --true",
     "a && exit 0", "echo '|| true' done"],
)  # fmt: skip
def test_ends_that_do_not(command: str) -> None:
    assert hiding_end(command) == ""


@pytest.mark.parametrize("words", [["a b"], ["/D=C:\\x y"], ["K=v w"], ["x\\"], ["plain"]])
def test_windows_words_come_back(words: list[str]) -> None:
    assert windows_words(windows(words), "arguments") == words
