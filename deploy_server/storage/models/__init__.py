"""Every table: what the database holds, with its facts as constraints.

Text that people search stands twice: verbatim, and folded (`fold`) in a column `*_key`.
Names: house.md 8. Ids of packages are never used again, so deleted packages keep their row.
"""

from deploy_server.storage.models.assignments import Assignment, Report
from deploy_server.storage.models.audit import AuditChain, AuditEntry
from deploy_server.storage.models.base import Base
from deploy_server.storage.models.computers import (
    Computer,
    ComputerAddress,
    ComputerSection,
    DownloadHistory,
    SectionContent,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from deploy_server.storage.models.console import BrowserSession, Counter, LoginSource, Setting, User
from deploy_server.storage.models.events import AgentEvent, Withdrawal
from deploy_server.storage.models.groups import Group, GroupAssignment, GroupMember
from deploy_server.storage.models.lists import JobTemplate, Preference, SavedSearch
from deploy_server.storage.models.packages import Activation, Allocation, Package
from deploy_server.storage.models.refusals import RefusedAgent

__all__ = [
    "Activation",
    "AgentEvent",
    "Allocation",
    "Assignment",
    "AuditChain",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "Computer",
    "ComputerAddress",
    "ComputerSection",
    "Counter",
    "DownloadHistory",
    "Group",
    "GroupAssignment",
    "GroupMember",
    "JobTemplate",
    "LoginSource",
    "Package",
    "Preference",
    "RefusedAgent",
    "Report",
    "SavedSearch",
    "SectionContent",
    "Setting",
    "SoftwareItem",
    "SoftwareSet",
    "SoftwareSetItem",
    "User",
    "Withdrawal",
]
