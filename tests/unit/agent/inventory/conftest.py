"""A computer that is made of nothing but what a test puts there."""

from pathlib import Path

import pytest

from deploy_agent.machine.inventory.host import Host
from tests.unit.agent.inventory.computers import no_programs


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, no_programs)
