"""A package and an activation as programs read them: JSON of commands and, later, of the API."""

from typing import Any

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.layout import package_name
from deploy_server.services.status import PackageStatus
from deploy_server.storage.models import Activation, Package


def describe_package(
    package: Package, activations: list[Activation], status: PackageStatus | None = None
) -> dict[str, Any]:
    """Return everything about a package; ids are text, times are datetimes.

    Args:
        package: which.
        activations: its open ones.
        status: its counts; left out where nobody asked.
    """
    described = {
        "id": package_name(package.id),
        "name": package.name,
        "description": package.description,
        "os": package.os,
        "action": package.action,
        "target": package.target,
        "priority": package.priority,
        "protocol": package.protocol,
        "fragments": package.fragments,
        "fragment_size": package.fragment_size,
        "size": package.size,
        "file_name": package.file_name,
        "digest": package.digest,
        "digest_algorithm": package.digest_algorithm,
        "digest_encoding": package.digest_encoding,
        "sha256": package.sha256,
        "revision": package.revision,
        "options": package.options,
        "created_at": package.created_at,
        "created_by": package.created_by,
        "deleted_at": package.deleted_at,
        "hidden_at": package.hidden_at,
        "activations": [describe_activation(each) for each in activations],
    }
    if status is not None:
        described |= {each.name.lower(): status.by_class.get(each, 0) for each in ResultClass}
    return described


def describe_activation(activation: Activation) -> dict[str, Any]:
    """Return everything about an activation."""
    return {
        "id": f"A{activation.id}",
        "package": package_name(activation.package_id),
        "info_url": activation.info_url,
        "fragment_url": activation.fragment_url,
        "created_at": activation.created_at,
        "created_by": activation.created_by,
    }
