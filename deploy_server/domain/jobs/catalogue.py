"""Every template that comes with the product. Pure."""

from pathlib import PurePath

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.domain.jobs.job import Answers, Form, Job, JobField
from deploy_server.domain.jobs.linux import LINUX, MACOS
from deploy_server.domain.jobs.windows import WINDOWS
from deploy_server.domain.spec import OS_NAMES


def _files(answers: Answers) -> Form:
    return {"os": answers["system"], "action": "STORE", "target": answers["folder"].strip()}


ANY = (
    Job(
        "any-files", "any", "Drop files into a folder",
        "An archive is unpacked there; the folder is made where it does not exist.",
        (JobField("folder", "Folder", r"Such as: /opt/app or C:\Tools\App"),
         JobField("system", "For", default="windows", choices=tuple(OS_NAMES.items()))), _files,
    ),
)  # fmt: skip

_NAMED_MAX = 80  # characters of an answer in a package's name

JOBS = (*WINDOWS, *LINUX, *MACOS, *ANY)
_BY_KEY = {each.key: each for each in JOBS}


def find_job(key: str) -> Job:
    """Return the template of this key.

    Raises:
        NotFound: there is none.
    """
    if key not in _BY_KEY:
        raise NotFound(f"there is no template {key[:40]!r}", "Choose one from the list")
    return _BY_KEY[key]


def fill_in(job: Job, given: Answers) -> Form:
    """Return the fields of the build form that answers make.

    Raises:
        SpecError: with the field of an answer that is missing or wrong.
    """
    answers: Form = {}
    for field in job.fields:
        text = given.get(field.name, field.default)
        if field.choices and text not in dict(field.choices):
            text = field.choices[0][0]
        if not text.strip() and not field.optional:
            raise SpecError(field.name, f"{field.label} is empty", "Fill it in")
        answers[field.name] = text
    whole = answers | {"file": PurePath(answers.get("file", "").strip()).stem}
    said = {name: " ".join(text.split())[:_NAMED_MAX] for name, text in whole.items()}
    made = {"os": job.os, "name": job.named.format(**said), **job.make(answers)}
    if not made["target"]:
        raise SpecError(job.fields[0].name, "there is nothing to do", "Fill it in")
    return made
