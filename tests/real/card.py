"""A gate's card: a small file system of its own, which can be filled to its last byte; a plain folder without root."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

CARD_BYTES = 96 * 1024 * 1024
"""Room for the log's reserve of 8 MiB, which is made only where there is four times as much, and for some lists."""
BALLAST_STEP = 1024 * 1024


class Card:
    """Where one gate keeps its data. `mount` before the gate starts, `close` after it ended."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._image = root.with_name(root.name + ".img")
        self._ballast = root / "ballast"
        self.is_own = False
        """Whether it is a file system of its own, which can be filled."""

    def mount(self) -> None:
        """Make it, and put it in."""
        self.root.mkdir(parents=True, exist_ok=True)
        if os.geteuid() or not shutil.which("mkfs.ext4"):
            return
        with self._image.open("wb") as file:
            file.truncate(CARD_BYTES)
        made = _done("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self.is_own = made and _done("mount", "-o", "loop", str(self._image), str(self.root))

    def fill(self) -> int:
        """Write until nothing more fits; how many bytes that took. Again: what was freed meanwhile."""
        if not self.is_own:
            return 0
        written, size = 0, BALLAST_STEP
        with self._ballast.open("ab", buffering=0) as file:
            while size:
                try:
                    written += file.write(bytes(size))
                except OSError:
                    size //= 2
        return written

    def empty(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)

    def copy(self, target: Path) -> None:
        """Copy what is on it, as an image of the card does. Nobody writes meanwhile."""
        for one in self.root.iterdir():
            if one.name in {"lost+found", "ballast"} or one.is_socket():
                continue
            if one.is_dir():
                shutil.copytree(one, target / one.name)
            else:
                shutil.copyfile(one, target / one.name)

    def close(self) -> None:
        """Take it out."""
        if self.is_own:
            self.is_own = False
            _done("umount", "--lazy", str(self.root))
        with contextlib.suppress(OSError):
            self._image.unlink()


def _done(*argv: str) -> bool:
    return not subprocess.run(argv, capture_output=True, check=False).returncode
