"""Throws connections, half handshakes, garbage and requests at one port, as fast as one process can: HOST PORT SECONDS."""

import asyncio
import contextlib
import os
import ssl
import sys

TALKERS = 40
"""Connections at once: more than a page takes."""
KEEP_S = 0.3
"""Some keep a connection and say nothing."""


async def flood(host: str, port: int, seconds: float) -> dict[str, int]:
    """Flood, and return how often what was done."""
    told = {"connections": 0, "refused": 0, "requests": 0, "handshakes": 0}
    end_s = asyncio.get_running_loop().time() + seconds
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def talk(number: int) -> None:
        while asyncio.get_running_loop().time() < end_s:
            writer = None
            try:
                async with asyncio.timeout(2.0):
                    tls = trusting if number % 2 else None
                    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
                    told["connections"] += 1
                    if tls:
                        told["handshakes"] += 1
                        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        told["requests"] += 1
                        await reader.read(1024)
                    elif number % 4 == 0:
                        writer.write(os.urandom(4096))
                        await reader.read(64)
                    else:
                        await asyncio.sleep(KEEP_S)
            except (OSError, TimeoutError, ssl.SSLError):
                told["refused"] += 1
            finally:
                if writer is not None:
                    writer.close()
                    with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                        await asyncio.wait_for(writer.wait_closed(), 0.5)

    await asyncio.gather(*(talk(number) for number in range(TALKERS)))
    return told


if __name__ == "__main__":
    counted = asyncio.run(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(" ".join(f"{name}={count}" for name, count in counted.items()) + "\n")
