"""A wedge reader in a process of its own: says what it emits, one line each; opens again at each line it is told."""

import asyncio
import json
import sys

from drivers.base import DeviceGone, Garbled, Misconfigured, Opened, ReaderEvent, Scan
from drivers.readers.wedge import WedgeConfig, WedgeReader


def say(event: ReaderEvent) -> None:
    match event:
        case Scan():
            print("SCAN", event.data.decode(), flush=True)
        case Garbled():
            print("GARBLED", event.why, flush=True)
        case Opened():
            print("OPENED", event.what, flush=True)


async def run(config: WedgeConfig) -> None:
    try:
        await WedgeReader(config).run(say)
    except DeviceGone as gone:
        print("GONE", gone, "|", gone.hint, flush=True)
    except Misconfigured as error:
        print("MISCONFIGURED", error, "|", error.hint, flush=True)


async def main() -> None:
    # The mock's clock is not the kernel's, so events are stamped when read; a slow machine must not split a code.
    config = WedgeConfig(**json.loads(sys.argv[1]), gap_ms=1000)
    while True:
        task = asyncio.create_task(run(config))
        told = await asyncio.to_thread(sys.stdin.readline)
        if not told:
            task.cancel()
            await asyncio.wait({task})
            return
        await task


asyncio.run(main())
