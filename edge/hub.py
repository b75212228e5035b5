"""The lane process's end of the link: serves the front over a Unix socket and never waits for it."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.link import (
    Acked,
    Answer,
    Asked,
    Done,
    FromLane,
    HeardGates,
    LinkBroken,
    ModemSaid,
    PageSaid,
    PeersSaid,
    Ping,
    Said,
    Status,
    UplinkSaid,
    pack,
    read_from_front,
)

BACKLOG_BYTES_MAX = 8 * 1024 * 1024
"""A front that stopped reading is cut off here; it connects again and gets the whole status."""
CLIENTS_MAX = 4
COMMANDS_MAX = 16
"""Commands under way; a person at the page gives one at a time."""

log = logging.getLogger("edge.hub")


class Hub:
    """Pushes status and scans to every front that listens, takes its commands."""

    def __init__(
        self,
        path: Path,
        welcome: Callable[[], Status],
        on_asked: Callable[[Asked], Awaitable[Answer]],
        on_said: Callable[[Said], None],
    ) -> None:
        self._path = path
        self._welcome = welcome
        self._on_asked = on_asked
        self._on_said = on_said
        self._clients: set[asyncio.StreamWriter] = set()
        self._answers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The socket is made 0600 before anyone can connect."""
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            sock.bind(str(self._path))
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock)

    async def stop(self) -> None:
        """Stop listening and close every client."""
        for client in tuple(self._clients):
            client.close()
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    @property
    def listeners(self) -> int:
        """How many fronts listen; without one there is no need to compose a status."""
        return len(self._clients)

    def push(self, message: FromLane) -> None:
        """Send to every front; one that does not keep up is cut off."""
        if not self._clients:
            return
        data = pack(message)
        for client in tuple(self._clients):
            if client.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
                log.warning("front does not keep up", extra={"code": "front.slow"})
                client.close()
                self._clients.discard(client)
            else:
                client.write(data)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        answer = await self._on_asked(asked)
        if not writer.is_closing():
            writer.write(pack(answer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= CLIENTS_MAX:
            writer.close()
            return
        writer.write(pack(self._welcome()))
        self._clients.add(writer)
        try:
            while True:
                message = await read_from_front(reader)
                if isinstance(message, UplinkSaid | PeersSaid | ModemSaid | PageSaid | Acked | HeardGates):
                    self._on_said(message)
                elif isinstance(message, Ping):
                    writer.write(pack(Done(0, ok=True)))
                elif len(self._answers) < COMMANDS_MAX:
                    # Beside, not before, what else the front says: a command may wait for the disk.
                    answer = asyncio.create_task(self._answer(message, writer))
                    self._answers.add(answer)
                    answer.add_done_callback(self._answers.discard)
                else:
                    writer.write(pack(Done(message.number, ok=False, code="command.not_done")))
        except (LinkBroken, asyncio.CancelledError):
            pass  # the end of the loop cancels this, which asyncio itself would log as a defect
        finally:
            self._clients.discard(writer)
            writer.close()
