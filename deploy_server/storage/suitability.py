"""`domain.assigning.why_not` as a condition over Computer, for statements over many of them."""

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, true

from deploy_agent.wire import terms
from deploy_server.domain.assigning import AgentKind, kinds_that_refuse
from deploy_server.storage.models import Computer, Package

Clause = ColumnElement[bool]


def suits(package: Package) -> Clause:
    """Return the condition that `package` may be assigned to a computer."""
    system = true() if package.os == "any" else Computer.os_family.in_(["", package.os])
    refusing = kinds_that_refuse(package.digest_algorithm, package.digest_encoding)
    return and_(system, not_(or_(false(), *(_KINDS[kind] for kind in refusing))))


def _starts(prefix: str) -> Clause:
    return func.substr(Computer.agent_key, 1, len(prefix)) == prefix


_OURS = Computer.agent_key.contains(terms.OUR_AGENT_MARK.casefold(), autoescape=True)
_OCS = _starts("ocs-ng_")
_WINDOWS = _starts("ocs-ng_windows")
_KINDS: dict[AgentKind, Clause] = {
    AgentKind.UNIX: and_(not_(_OURS), _OCS, not_(_WINDOWS)),
    AgentKind.WINDOWS: and_(not_(_OURS), _WINDOWS),
    AgentKind.OTHER: and_(not_(_OURS), not_(_OCS), Computer.agent_key != ""),
}
