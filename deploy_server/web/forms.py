"""The build form: from what a browser sends to a `PackageSpec`, and back to what was typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.domain.fields import read_spec
from deploy_server.domain.legacy import agents_that_refuse
from deploy_server.domain.spec import PackageSpec

#: What an empty form shows.
DEFAULTS: dict[str, str] = {
    "name": "",
    "description": "",
    "os": "windows",
    "action": "LAUNCH",
    "target": "",
    "priority": "5",
    "cut": "size",
    "fragment_size": "1 MiB",
    "fragments": "",
    "protocol": "HTTP",
    "digest_algorithm": "MD5",
    "digest_encoding": "Hexa",
    "wrap": "",
    "notify_user": "",
    "notify_text": "",
    "notify_countdown": "60",
    "can_abort": "",
    "can_delay": "",
    "need_done": "",
    "done_text": "",
    "success_codes": "",
    "reboot_codes": "",
    "retry_codes": "",
    "execution_timeout": "",
    "upload": "",
    "script": "",
    "script_name": "",
    "hidden": "",
}

_SWITCHES = ("wrap", "notify_user", "can_abort", "can_delay", "need_done", "hidden")
_ASK = ("notify_text", "notify_countdown", "can_abort", "can_delay")

#: Each way to write DIGEST with the agents of OCS that refuse it.
DIGESTS = {
    (algorithm, encoding): agents_that_refuse(algorithm, encoding)
    for algorithm in ("MD5", "SHA1", "SHA256")
    for encoding in ("Hexa", "Base64")
}


def by_field(error: SpecError | SpecErrors) -> dict[str, str]:
    """What is wrong, by the field at which the form shows it."""
    return {error.field: str(error)} if isinstance(error, SpecError) else error.by_field()


@dataclass
class BuildForm:
    """A build form as it was filled in.

    Attributes:
        values: by field, every field of `DEFAULTS` present.
        problems: by field, what is wrong with it.
        spec: what it says, once `read` found nothing wrong.
        warnings: what the builder should know.
    """

    values: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    problems: dict[str, str] = field(default_factory=dict)
    spec: PackageSpec | None = None
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def sent(cls, form: Mapping[str, str]) -> "BuildForm":
        """The form that a browser sent; a switch that is not ticked is not sent."""
        values = {name: form.get(name, default) for name, default in DEFAULTS.items()}
        values |= {name: form.get(name, "") for name in _SWITCHES}
        values["fragment_size"] = form.get("fragment_size", "")  # empty: the settings decide
        return cls(values)

    def read(self, has_file: bool, period_length: int) -> PackageSpec | None:
        """Understand the form; None leaves `problems`.

        Args:
            has_file: a file comes with it.
            period_length: DOWNLOAD_PERIOD_LENGTH, in cycles.
        """
        try:
            self.spec, self.warnings = read_spec(
                self._fields(), has_file, period_length=period_length
            )
        except SpecErrors as errors:
            self.problems = errors.by_field()
        return self.spec

    def script(self) -> bytes | None:
        """The file that was written in the form; its lines end as its system wants them."""
        text = self.values["script"]
        if not text.strip():
            return None
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        ends = "\r\n" if self.values["os"] == "windows" else "\n"
        return (lines.rstrip("\n") + "\n").replace("\n", ends).encode("utf-8", "replace")

    def _fields(self) -> dict[str, str]:
        """The fields of `PackageSpec`; what belongs to a switch that is off is left out."""
        left_out = {"cut", "upload", "notify_user", "need_done", "script", "script_name", "hidden"}
        left_out.add("fragment_size" if self.values["cut"] == "count" else "fragments")
        if not self.values["notify_user"]:
            left_out |= set(_ASK)
        if not self.values["need_done"]:
            left_out.add("done_text")
        if self.values["cut"] == "count" and not self.values["fragments"].strip():
            # Asked for a number and gave none: say so, instead of taking the default size.
            return {**self._without(left_out), "fragments": "?"}
        return self._without(left_out)

    def _without(self, left_out: set[str]) -> dict[str, str]:
        return {name: value for name, value in self.values.items() if name not in left_out}
