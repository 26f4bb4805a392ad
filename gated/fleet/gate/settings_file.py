"""The configuration file of this gate, as the program itself may change it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from gated.config import Values, with_values
from gated.vault.files import sweep_temporary, write_atomic

log = logging.getLogger(__name__)


def write_values(file: Path, values: Values) -> None:
    """Put values into a configuration file, with all else in it as it is: all of them, or nothing.

    Raises: OSError where it cannot be written, ConfigError where its form leaves no place for them.
    """
    if not is_writable(file):
        raise PermissionError(f"{file} belongs to somebody else, or is read-only")
    real = Path(os.path.realpath(file))
    with real.open(encoding="utf-8-sig", newline="") as stream:
        text = stream.read()
    mode = real.stat().st_mode & 0o777
    write_atomic(real, with_values(text, values).encode(), mode)


def sweep_leftovers(file: Path) -> int:
    """Remove what writes of a configuration file left beside it when they were cut off.

    They hold the file's secrets. Returns how many there were.
    """
    real = Path(os.path.realpath(file))
    try:
        return sweep_temporary([real.parent], of=real.name)
    except OSError as error:
        log.warning("leftovers of %s cannot be removed: %s", real, error)
        return 0


def is_writable(file: Path) -> bool:
    """Return whether the program may replace the file, as far as that can be seen."""
    real = os.path.realpath(file)
    try:
        # a file that is replaced belongs to whoever replaces it
        own = os.stat(real).st_uid == os.geteuid()
    except OSError:
        return False
    return own and os.access(real, os.W_OK) and os.access(os.path.dirname(real), os.W_OK)
