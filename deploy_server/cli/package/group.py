"""The group that every command about packages joins, and what they share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.orm import Session

from deploy_server.cli.common import open_server
from deploy_server.config import ServerConfig
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.stores import fragment_store


@click.group()
def package() -> None:
    """Packages: build, change, activate, export."""


@contextmanager
def open_store(data: Path) -> Iterator[tuple[ServerConfig, Session, FragmentStore]]:
    """Yield the configuration with the ports in use, a session outside transactions, the files."""
    with open_server(data) as (config, session):
        yield config.in_use(), session, fragment_store(config)
