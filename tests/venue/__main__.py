"""`make run`: the whole venue on this machine, no hardware needed. Ctrl-C ends it."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from tests.venue import script
from tests.venue.page import DemoPage
from tests.venue.programs import VenueFault
from tests.venue.venue import ORGANIZER, Venue

EXIT_OK, EXIT_FAULT = 0, 1


def main() -> int:
    """Run the demo until Ctrl-C; returns 0, or 1 where something ended that nobody ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.venue", description=__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep everything here (default: a temporary folder)"
    )
    parser.add_argument("--port", type=int, default=0, help="port of the demo page (default: a free one)")
    parser.add_argument(
        "--script", action="store_true", help="present every demo ticket and check each answer"
    )
    parser.add_argument("--exit", action="store_true", help="end after that")
    options = parser.parse_args()
    folder = options.data or Path(tempfile.mkdtemp(prefix="gatehouse-"))
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VenueFault(
                f"{folder} cannot be made: {error.strerror}; give another with --data"
            ) from error
        return asyncio.run(demo(folder.resolve(), options))
    except VenueFault as fault:
        say(f"\nThe demo ends: {fault}", file=sys.stderr)
        for line in fault.lines:
            say(f"  {line}", file=sys.stderr)
        return EXIT_FAULT
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)


def say(line: str, file: TextIO | None = None) -> None:
    """Print at once: whoever reads through a pipe waits for it."""
    print(line, file=file or sys.stdout, flush=True)


async def demo(folder: Path, options: argparse.Namespace) -> int:
    """Start everything, wait for Ctrl-C or for a process that ends by itself, stop everything."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    venue = Venue(folder, pace=script.BRISK if options.script else None)
    page = DemoPage(venue)
    stopped = asyncio.create_task(stop.wait())
    work = asyncio.create_task(run(venue, page, options))
    try:
        await asyncio.wait((work, stopped, venue.ended), return_when=asyncio.FIRST_COMPLETED)
        if venue.ended.done():
            raise venue.ended.result()
        if work.done():
            return work.result()
        say("\nStopping …")
        return EXIT_OK
    finally:
        for task in (work, stopped):
            task.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)
        await page.stop()
        await venue.stop()


async def run(venue: Venue, page: DemoPage, options: argparse.Namespace) -> int:
    """Start the venue and its page; returns the script's exit code where it is to end after it."""
    began = time.monotonic()
    say("Starting the centre and the gate …")
    await venue.start()
    try:
        url = await page.start(options.port)
    except OSError as error:
        raise VenueFault(f"the demo page cannot listen on port {options.port}: {error.strerror}") from error
    say(f"Ready after {time.monotonic() - began:.1f} s.\n")
    say(f"  Demo page          {url}")
    say(f"  Technician's page  {venue.page_url}   PIN {venue.pin}")
    say(f"    its certificate is its own: SHA-256 {venue.fingerprint()}")
    say(f"  Organizer's pages  {venue.centre_url}/   {ORGANIZER}, password {venue.password}")
    say(f"  Files and logs     {venue.folder}\n")
    if options.script:
        wrong = await script.check(venue, say)
        if options.exit:
            return EXIT_FAULT if wrong else EXIT_OK
    say("Ctrl-C stops everything.")
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a future that nobody sets is never done")


if __name__ == "__main__":
    sys.exit(main())
