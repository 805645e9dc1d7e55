"""How far packages are: counts, lists behind the counts, histories, validation.

Every count is the length of the list that `results` gives for the same arguments. Somebody waits
for a package who has a row that waits, and also a member of a group that has it assigned and that
has no row yet (contract.md 5, Assigning).
"""

from deploy_server.services.status.computer import (
    Rhythm,
    computer_deployments,
    computer_history,
    contact_rhythm,
)
from deploy_server.services.status.counts import (
    class_counts,
    package_status,
    package_statuses,
    statistics,
)
from deploy_server.services.status.lists import each_result, results
from deploy_server.services.status.retention import sweep_results
from deploy_server.services.status.skipped import SkippedPackage, skipped_packages
from deploy_server.services.status.validation import validate
from deploy_server.services.status.views import (
    EVERYTHING,
    NO_GROUP,
    Deployment,
    HistoryRow,
    PackageStatus,
    ResultPage,
    ResultRow,
    Slice,
    Validation,
    Wanted,
)

__all__ = [
    "EVERYTHING",
    "NO_GROUP",
    "Deployment",
    "HistoryRow",
    "PackageStatus",
    "ResultPage",
    "ResultRow",
    "Rhythm",
    "SkippedPackage",
    "Slice",
    "Validation",
    "Wanted",
    "class_counts",
    "computer_deployments",
    "computer_history",
    "contact_rhythm",
    "each_result",
    "package_status",
    "package_statuses",
    "results",
    "skipped_packages",
    "statistics",
    "sweep_results",
    "validate",
]
