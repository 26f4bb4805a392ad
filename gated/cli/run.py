"""gated run."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import sys
import threading
from pathlib import Path

import click

from gated.cli.common import config_option


@click.command()
@config_option
@click.option(
    "--exit-after", type=click.FloatRange(min=0), metavar="S", help="End after S seconds."
)
def run(config: Path | None, exit_after: float | None) -> int:
    """Run the gate until Ctrl-C or SIGTERM; the door is locked at the end.

    \b
    Example: gated run
    Example: gated run --config /etc/gated/gate.yaml
    """
    gc.disable()  # nothing is garbage yet; the daemon enables it when it runs
    again = threading.Event()
    # before anything else is, so that it runs last: a new program ends no helpers of the old one
    atexit.register(_start_again, again)
    from gated.services.takeover import in_force

    origin = in_force(config, trying=True)
    settings = origin.settings
    shown = sys.stdout.isatty() or settings.gate.demo
    # the screen tells people what the log tells machines; both at once would hide it
    quiet = shown and settings.logging.level == "info"
    set_up_logging("warning" if quiet else settings.logging.level)
    from gated.cli.screen import LogOnly, Terminal
    from gated.daemon import Daemon

    daemon = Daemon(settings, Terminal(settings) if shown else LogOnly(), origin)
    code = asyncio.run(daemon.run(exit_after))
    # systemd starts the unit again by itself (Restart=always), whatever the code
    if daemon.again and "NOTIFY_SOCKET" not in os.environ:
        again.set()
    return code


def _start_again(wanted: threading.Event) -> None:
    """Put a new run of the same command in the place of this process, if that is wanted."""
    if wanted.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def set_up_logging(level: str) -> None:
    """Log lines on standard error; systemd's journal adds the time itself."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # tells of every plug-in it loads
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
