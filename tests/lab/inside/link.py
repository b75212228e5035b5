"""The box's mobile link: its network card, made bad by the kernel's netem both ways, as seen by what goes through.

What goes out is queued on the card itself, what comes in on a card that the kernel turns it over to (ifb). Manual pages: tc-netem, ifb.
"""

import json
import socket
import subprocess
import time

CARD, INWARDS = "eth0", "ifb0"
CONNECT_S = 30.0
"""For one connection: several first packets may be lost, each is sent again after 1, 2, 4 … s."""


def worsen(netem: list[str]) -> None:
    """Make the link bad, or bad in another way; `netem` as `tc` has it, for each way."""
    if INWARDS not in _run("ip", "-brief", "link"):
        _run("modprobe", "-a", "sch_netem", "ifb")
        # systemd has the module make none by itself.
        _run("ip", "link", "add", INWARDS, "type", "ifb")
        _run("ip", "link", "set", INWARDS, "up")
        _run("tc", "qdisc", "add", "dev", CARD, "handle", "ffff:", "ingress")
        redirect = ("action", "mirred", "egress", "redirect", "dev", INWARDS)
        _run("tc", "filter", "add", "dev", CARD, "parent", "ffff:", "matchall", *redirect)
    for card in (CARD, INWARDS):
        _run("tc", "qdisc", "replace", "dev", card, "root", "handle", "1:", "netem", *netem)


def mend() -> None:
    """Make the link good again."""
    _run("tc", "qdisc", "del", "dev", CARD, "root")
    _run("tc", "qdisc", "del", "dev", CARD, "ingress")
    _run("ip", "link", "del", INWARDS)


def lost() -> dict[str, int]:
    """Return how many packets were lost since it was made bad: "out" and "in"."""
    found = {}
    for way, card in (("out", CARD), ("in", INWARDS)):
        (queue,) = (
            one
            for one in json.loads(_run("tc", "-s", "-j", "qdisc", "show", "dev", card))
            if one["kind"] == "netem"
        )
        found[way] = int(queue["drops"])
    return found


def connect_s(host: str, port: int) -> float:
    """Return how long a connection takes to be made, in seconds: one packet there and one back, where none is lost."""
    began = time.monotonic()
    with socket.create_connection((host, port), CONNECT_S):
        return time.monotonic() - began


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
