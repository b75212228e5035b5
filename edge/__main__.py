"""`gatehouse-edge`: the one place where commands and concrete parts meet."""

import sys
from pathlib import Path

from edge import cli
from edge.devices import Devices
from edge.settings import Settings


def main() -> int:
    """Run the command named in `sys.argv`; returns the exit code."""
    return cli.main(sys.argv[1:], _run, _devices)


def _run(settings: Settings, configuration: Path | None) -> int:
    from edge import compose  # noqa: PLC0415 - everything there is, needed by few commands

    return compose.run(settings, configuration)


def _devices() -> Devices:
    from edge import compose  # noqa: PLC0415 - as above

    return Devices(
        compose.reader_of,
        compose.inputs_of,
        compose.relay_off,
        compose.tag_writer,
        compose.osdp_key,
        compose.osdp_search,
        compose.modbus_search,
        compose.osdp_opens,
        compose.relay_of,
        compose.free_gpio,
        compose.gpio_level,
    )


if __name__ == "__main__":
    sys.exit(main())
