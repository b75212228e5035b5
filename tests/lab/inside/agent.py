"""The lab's hand in the guest: does what the host asks over a virtio-serial port, one JSON object a line each way.

Not over the network: the network of the guest is one of the things that are broken in here. Every request has a thread of its own,
so that one may watch a line while another types. It lives in the snapshot, and finds another host at its port each time.
"""

import base64
import importlib
import json
import os
import subprocess
import threading
import time
import traceback
from pathlib import Path
from typing import Any

PORT = "/dev/virtio-ports/lab"
NOBODY_S = 0.02
"""Between looks for a host that listens: a read returns nothing at once while there is none."""
READ_BYTES = 65536


class Port:
    """The port: lines in, lines out, whole ones from any thread."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR)
        self._writing = threading.Lock()
        self._rest = b""

    def line(self) -> bytes:
        """Return the next line, however long it takes."""
        while b"\n" not in self._rest:
            data = os.read(self._fd, READ_BYTES)
            if data:
                self._rest += data
            else:
                self._rest = b""  # half a line of a host that is gone
                time.sleep(NOBODY_S)
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def say(self, answer: dict[str, Any]) -> None:
        """Write one answer."""
        data = json.dumps(answer).encode() + b"\n"
        with self._writing:
            while data:
                data = data[os.write(self._fd, data) :]


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked; what goes wrong is an answer too."""
    try:
        match asked:
            case {"run": argv, "input": text, "limit_s": limit_s}:
                done = subprocess.run(
                    argv, input=text.encode(), capture_output=True, timeout=limit_s, check=False
                )
                return {
                    "code": done.returncode,
                    "out": done.stdout.decode(errors="replace"),
                    "err": done.stderr.decode(errors="replace"),
                }
            case {"put": path, "data": data, "mode": mode}:
                target = Path(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(base64.b64decode(data))
                target.chmod(mode)
                return {}
            case {"call": name, "with": arguments}:
                module, _, function = name.partition(".")
                found = importlib.import_module(f"{__package__}.{module}")
                return {"value": getattr(found, function)(**arguments)}
    except BaseException:  # noqa: BLE001 - told to the host, whose test fails with it
        return {"error": traceback.format_exc()}
    return {"error": f"nobody knows how to do {asked}"}


def main() -> None:
    """Serve until the guest ends."""
    port = Port(PORT)
    while True:
        asked = json.loads(port.line())

        def work(asked: dict[str, Any] = asked) -> None:
            port.say({"id": asked["id"], **answer(asked)})

        threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    main()
