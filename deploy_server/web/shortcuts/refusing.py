"""What the gateway refuses before anybody is asked: counted and numbered like everything else."""

from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.observing import Watch, kind_of
from deploy_server.web.shortcuts.asking import who


class Refusals:
    """Counts them.

    Args:
        watch: where requests are counted.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, scope: Scope, status: int, seconds: float, sent: int) -> str:
        """Count a request that is refused; return its number."""
        _, number = who(scope, self._watch)
        self._watch.row.count(kind_of(scope["method"], scope["path"]), status, seconds, sent)
        return number
