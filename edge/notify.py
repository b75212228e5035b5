"""Telling systemd how we are: READY, STATUS and the watchdog (sd_notify(3)): a datagram to $NOTIFY_SOCKET."""

import os
import socket


def notify(message: str) -> bool:
    """Send `READY=1` and the like; False where nobody asked."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect(address)
            out.sendall(message.encode())
        except OSError:
            return False
    return True


def watchdog_s() -> float:
    """Seconds between two signs of life, half of what systemd allows; 0.0 where no watchdog is set."""
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    except ValueError:
        return 0.0
