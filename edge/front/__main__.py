"""The front process: `python -m edge.front '{"data": …, "socket": …, "page": {…}, "centre": {…}, "name": …}'`.

Started by the lane process with a pipe as standard input; it ends when that pipe ends, so it never outlives its gate.
It prints nothing but log lines to standard error.
"""

import mimetypes
import os
import sys

TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for authorities before its own places."""


def load_aiohttp() -> None:
    """Load it without what it takes in meanwhile and nobody here asks for, 2 MB.

    Every authority that the system trusts, into two contexts of its own, while we connect with ours (`edge.centre_tls`); and
    the kinds of fifteen hundred file endings, while each answer of ours says its own.
    """
    mimetypes.knownfiles.clear()
    before = {name: os.environ[name] for name in TRUST if name in os.environ}
    os.environ.update(dict.fromkeys(TRUST, os.devnull))
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        for name in TRUST:
            del os.environ[name]
        os.environ.update(before)


def main(told: str) -> None:
    """Be the front that its lane tells of, as JSON; returns when it ended."""
    load_aiohttp()
    from edge.front.process import begin  # noqa: PLC0415 - loads aiohttp

    begin(told)


if __name__ == "__main__":
    main(sys.argv[1])
