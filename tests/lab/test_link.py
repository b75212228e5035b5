"""A bad mobile link, by the kernel's netem on the box's own network card, both ways."""

import time

from tests.lab.box import RELAY_IN, Box

BAD = ("delay", "300ms", "100ms", "loss", "10%", "rate", "256kbit")
"""A packet takes 0.2 to 0.4 s each way and every tenth is lost: 4G at the edge of a cell."""
HEARD_S = 180.0


def test_over_a_bad_link_people_enter_at_once_and_the_centre_hears_of_all(box: Box) -> None:
    guest = box.guest
    guest.do("modprobe", "-a", "sch_netem", "ifb")
    # systemd has the module make none by itself.
    guest.do("ip", "link", "add", "ifb0", "type", "ifb")
    guest.do("ip", "link", "set", "ifb0", "up")
    guest.do("tc", "qdisc", "add", "dev", "eth0", "handle", "ffff:", "ingress")
    guest.do(
        *("tc", "filter", "add", "dev", "eth0", "parent", "ffff:", "matchall"),
        *("action", "mirred", "egress", "redirect", "dev", "ifb0"),
    )
    for card in ("eth0", "ifb0"):
        guest.do("tc", "qdisc", "replace", "dev", card, "root", "netem", *BAD)
    try:
        before = len(box.records())
        watch = guest.begin("header.swing", offset=RELAY_IN, idle=1, limit_s=60.0)
        typed = box.type(box.code("twice"))
        times = watch.result()
        assert len(times) == 2
        box.note(f"over a bad link the line is on {(times[0] - typed) * 1000:.0f} ms after the last key")
        box.walk()
        mine = {(one["epoch"], one["seq"]) for one in box.until_recorded("passage", before)}
        began = time.monotonic()
        while not mine <= box.centre.seqs():
            assert time.monotonic() < began + HEARD_S, "the centre did not hear of all"
        box.note(f"the centre has all {len(mine)} records {time.monotonic() - began:.1f} s later")
    finally:
        for card in ("eth0", "ifb0"):
            guest.do("tc", "qdisc", "del", "dev", card, "root")
        guest.do("tc", "qdisc", "del", "dev", "eth0", "ingress")
        guest.do("ip", "link", "del", "ifb0")
