"""The front process as the lane sees it: started, started again when it ends, told to end by closing its pipe."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from edge.settings import Settings

WAIT_FIRST_S = 0.5
WAIT_MAX_S = 30.0
STABLE_S = 60.0
"""A front that lived so long is started again at once: whatever ended it is not about starting."""
END_S = 3.0
"""Time for the front to close its connections before it is killed."""
ZONES = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
"""Where Python looks for time zones by itself; told so, it does not load what it was built with (1.1 MB) to find out."""
THRIFT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "PYTHONNODEBUGRANGES": "1",
    "PYTHONTZPATH": ZONES,
}
"""Keeps the front small: glibc gives back what a PIN's scrypt took, and a trace names lines but not columns. Not
PYTHONOPTIMIZE=2: packages come without its bytecode, so all of them would be compiled at each start."""
EX_CANNOT_RUN = 126
"""What a shell says of a command that it cannot start: no memory, no more processes, no such file."""

log = logging.getLogger("edge.front_process")


class FrontProcess:
    """Keeps one front running. A gate without its page goes on admitting."""

    def __init__(self, settings: Settings, socket: Path, argv: Callable[[str], list[str]]) -> None:
        told = {
            "data": settings.gate.data,
            "name": settings.gate.name,
            "language": msgspec.to_builtins(settings.gate.language),
            "socket": str(socket),
            "page": msgspec.to_builtins(settings.page),
            "centre": msgspec.to_builtins(settings.centre),
            "peers": msgspec.to_builtins(settings.peers),
            "modem": msgspec.to_builtins(settings.modem),
        }
        self._argv = argv(msgspec.json.encode(told).decode())

    async def run(self) -> NoReturn:
        """Keep it running until cancelled."""
        loop = asyncio.get_running_loop()
        wait_s = WAIT_FIRST_S
        while True:
            began_s = loop.time()
            code = await self._lived()
            wait_s = WAIT_FIRST_S if loop.time() - began_s > STABLE_S else min(WAIT_MAX_S, wait_s * 2)
            log.warning("the front ended", extra={"code": f"front.exit_{code}"})
            await asyncio.sleep(wait_s)

    async def _lived(self) -> int:
        """One life of the front, whatever goes wrong with it: visitors do not need it."""
        try:
            return await self._live()
        except Exception:
            log.exception("the front cannot be kept", extra={"code": "front.defect"})
            return EX_CANNOT_RUN

    async def _live(self) -> int:
        """One life of the front; returns its exit code, or that of a command that cannot be run."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=sys.stderr,
                process_group=0,
                env={**os.environ, **THRIFT},
            )
        except OSError:
            return EX_CANNOT_RUN
        try:
            return await process.wait()
        except asyncio.CancelledError:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
