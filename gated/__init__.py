"""gated: the daemon on a face-recognition gate."""

__version__ = "0.1.0"
