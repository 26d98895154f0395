"""Ports on loopback that nobody listens on."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """They are held together, so that none is given twice."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
