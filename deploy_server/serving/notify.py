"""Tells systemd that the server answers; nothing where it did not start us.

Source: sd_notify(3).
"""

import os
import socket


def tell_systemd(state: str) -> None:
    """Send a state, such as READY=1, to whom the environment names."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract one
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
