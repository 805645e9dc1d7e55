"""Every error that ends a package carries a code of its own; texts are one line."""

from deploy_agent.domain import errors
from deploy_agent.wire.result import ResultClass, ResultCode


def test_each_package_error_has_its_own_reported_code() -> None:
    classes = errors.PackageError.__subclasses__()
    codes = [cls.code for cls in classes]
    assert len(codes) == 15
    assert len(set(codes)) == len(codes)
    assert all(ResultCode.parse(code).result_class is ResultClass.ERROR for code in codes)


def test_text_is_one_line_with_message_and_hint() -> None:
    error = errors.UnpackFailed("the archive\nis damaged.", "build it again")
    assert str(error) == "the archive is damaged. build it again"
    assert str(errors.Aborted("the user cancelled")) == "the user cancelled"


def test_exit_statuses_are_those_of_the_contract() -> None:
    statuses = {cls.__name__: cls.exit_status for cls in errors.LocalError.__subclasses__()}
    assert statuses == {"ConfigError": 2, "LockHeld": 75, "StoreError": 4}
