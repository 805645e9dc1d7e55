"""Tranche: the server."""

from deploy_agent import __version__ as __version__
