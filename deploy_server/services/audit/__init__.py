"""The audit log: who changed what, from where, what it was before and what after.

Entries are added in the transaction of the change itself, so neither is there without the other.
Each carries a digest over itself and the entry before it; both ends of the chain stand beside it.
A row that somebody changed or removed in the database therefore shows (`find_break`). What is older
than AUDIT_DAYS is removed from the oldest on, by `sweep_audit` alone, which enters that.
"""

from deploy_server.services.audit.entering import NAMED, act_for, named, record, record_each
from deploy_server.services.audit.reading import (
    COLUMNS,
    AuditPage,
    Filter,
    actions,
    each_entry,
    find_break,
    list_entries,
)
from deploy_server.services.audit.retention import sweep_audit

__all__ = [
    "COLUMNS",
    "NAMED",
    "AuditPage",
    "Filter",
    "act_for",
    "actions",
    "each_entry",
    "find_break",
    "list_entries",
    "named",
    "record",
    "record_each",
    "sweep_audit",
]
