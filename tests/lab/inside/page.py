"""The gate's own page, asked from its own box."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

HOST, PORT, ASK_S = "127.0.0.1", 8443, 10.0
LOOK_S = 0.5
"""Between looks: each costs an emulated processor a tenth of a second, which the gate that starts has then not."""
PARTS = ("reader", "relay", "sensor", "list")
"""What has to work before anybody is let in."""


class Page:
    """The page, asked again and again over one connection: a handshake takes an emulated processor a tenth of a second."""

    def __init__(self) -> None:
        # Its certificate is its own, made at its first start.
        self._tls = ssl._create_unverified_context()
        self._connection = http.client.HTTPSConnection(HOST, PORT, timeout=ASK_S, context=self._tls)

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` says; {} while nobody answers."""
        try:
            self._connection.request("GET", "/api/status")
            said = dict(json.loads(self._connection.getresponse().read()))
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return {}
        return said if "tiles" in said else {}

    def until(self, find: Callable[[dict[str, Any]], Any], limit_s: float, why: str) -> dict[str, Any]:
        """Look until something is found: what, and when, monotonic. TimeoutError with what the page said last."""
        deadline, said = time.monotonic() + limit_s, {}
        try:
            while time.monotonic() < deadline:
                said = self.status()
                found = find(said) if said else None
                if found:
                    return {"at": time.monotonic(), "found": found}
                time.sleep(LOOK_S)
        finally:
            self._connection.close()
        ails = ailing(said) if said else "nobody answers"
        raise TimeoutError(f"{why} within {limit_s} s: {ails}")


def status() -> dict[str, Any]:
    """Return what `/api/status` says."""
    return dict(Page().until(lambda said: said, ASK_S, "no answer")["found"])


def ailing(said: dict[str, Any]) -> list[str]:
    """Return what keeps the gate from admitting, each as `key: text`."""
    bad = [
        f"{tile['key']}: {tile['text']}"
        for tile in said["tiles"]
        if tile["part"] in PARTS and tile["health"] != "ok"
    ]
    bad += [f"{lane['name']} is not ready" for lane in said["lanes"] if not lane["ready"]]
    return bad + [f"somebody is passing at {lane['name']}" for lane in said["lanes"] if lane["busy"]]


def until_well(limit_s: float) -> dict[str, Any]:
    """Wait until the gate admits and nobody is passing."""
    return Page().until(lambda said: not ailing(said), limit_s, "not well")


def until_ill(key: str, limit_s: float) -> dict[str, Any]:
    """Wait until a tile is not well; returns it."""

    def ill(said: dict[str, Any]) -> dict[str, Any] | None:
        tiles = (tile for tile in said["tiles"] if tile["key"] == key and tile["health"] != "ok")
        return next(tiles, None)

    return Page().until(ill, limit_s, f"{key} is not ill")


def until_unready(lane: int, limit_s: float) -> dict[str, Any]:
    """Wait until a lane is not ready."""

    def unready(said: dict[str, Any]) -> bool:
        return any(one["id"] == lane and not one["ready"] for one in said["lanes"])

    return Page().until(unready, limit_s, f"lane {lane} is ready")


def until_scanned(than: str, limit_s: float) -> dict[str, Any]:
    """Wait until the newest scan is another than the one of a key; returns it."""

    def another(said: dict[str, Any]) -> dict[str, Any] | None:
        scans = said.get("scans") or []
        return scans[0] if scans and scans[0]["key"] != than else None

    return Page().until(another, limit_s, "no scan")
