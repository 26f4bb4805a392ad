"""The composition root: one process, the gate or hub that it runs, and who watches it."""

from gated.daemon.process import Daemon

__all__ = ["Daemon"]
