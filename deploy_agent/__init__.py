"""Tranche: the agent, and the wire that both sides share."""

__version__ = "0.1.0"
