"""What the centre does by itself, once a minute: whatever no request would do in time."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NoReturn

from sync.store.engines import DatabaseFault

EVERY_S = 60.0
"""A reservation that ran out gives its places back within a minute; nothing here is worth asking more often for."""

log = logging.getLogger("sync.chores")

Chore = Callable[[], object]
"""Done in a thread; what fails once is tried again the next minute."""


async def keep_doing(chores: Sequence[Chore], every_s: float = EVERY_S) -> NoReturn:
    """Do all chores in turn, again and again, until cancelled. One that fails keeps none of the others from being done."""
    while True:
        for chore in chores:
            try:
                await asyncio.to_thread(chore)
            except DatabaseFault as fault:
                log.warning("a chore waits for the database: %s", fault)
            except Exception:
                log.exception("a chore failed; it is tried again in a minute")
        await asyncio.sleep(every_s)
