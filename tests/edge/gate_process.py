"""A gate as a process of its own: `python -m tests.edge.gate_process CONFIG`. The real composition root, without pages."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from edge import config, enrolment, logs
from edge.compose import factories
from edge.daemon import Daemon
from tests.edge.rig import NO_FRONT


async def run(path: Path) -> int:
    """Run the gate that a configuration file describes until a signal; returns its exit code."""
    settings = config.load(path.read_text())
    own = enrolment.load(Path(settings.gate.data))
    return await Daemon(settings, own, replace(factories(), front_argv=lambda _settings: NO_FRONT)).run()


if __name__ == "__main__":
    logs.start()
    sys.exit(asyncio.run(run(Path(sys.argv[1]))))
