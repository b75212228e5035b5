"""Commands with an environment of their own."""

from collections.abc import Sequence
from pathlib import Path

DOCTOR = Path(__file__).parent / "doctor"
"""Holds a `sitecustomize`: first in PYTHONPATH, it comes before everything of the program."""
ROOT = Path(__file__).parents[2]


def with_env(argv: Sequence[str], **values: str) -> list[str]:
    """Return a command that has these values in its environment too."""
    return ["env", *(f"{name}={value}" for name, value in values.items()), *argv]
