"""This program's version, as `pyproject.toml` has it.

Written out: to ask the installed package for it loads a mail parser and a zip reader, 1.5 MB of the lane for ever.
"""

from typing import Final

VERSION: Final = "0.1.0"
