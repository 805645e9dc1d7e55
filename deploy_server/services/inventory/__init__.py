"""Taking an inventory in: the computer's row, its sections, its software, its history.

A section that did not change costs a hash. Equal sections and equal lists of software are stored
once for all computers. Nothing is committed here; two messages of one computer at once are made
safe by constraints, and the face tries again (web/comm.py).
"""

from deploy_server.services.inventory.intake import take_inventory

__all__ = ["take_inventory"]
