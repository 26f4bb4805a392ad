"""gated run."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import config_option

if TYPE_CHECKING:
    from gated.daemon.process import Process
    from gated.fleet.gate.config_trial import InForce


@click.command()
@config_option
@click.option(
    "--exit-after", type=click.FloatRange(min=0), metavar="S", help="End after S seconds."
)
@click.argument("part", type=click.Choice(["door", "service"]), required=False)
def run(config: Path | None, exit_after: float | None, part: str | None) -> int:
    """Run the gate until Ctrl-C or another signal ends it; the door is locked at the end.

    A gate is two processes: the door, which starts the service as a child. Under systemd each has
    a unit of its own: `door` runs the one alone, `service` the other. A hub is a service.

    \b
    Example: gated run
    Example: gated run --config /etc/gated/gate.yaml
    Example: gated run door
    """
    gc.disable()  # nothing is garbage yet; the daemon enables it when it runs
    again = threading.Event()
    # before anything else is, so that it runs last: a new program ends no helpers of the old one
    atexit.register(_start_again, again)
    from gated.fleet.gate.config_trial import in_force

    if part == "service":
        return _run_service(config, exit_after, again)
    with _as_owner(config):
        origin = in_force(config, trying=True)
    settings = origin.settings
    if settings.gate.role == "hub" and part is not None:
        raise click.UsageError("a hub has no door: gated run")
    shown = sys.stdout.isatty() or settings.gate.demo
    # the screen tells people what the log tells machines; both at once would hide it
    quiet = shown and settings.logging.level == "info"
    level = "warning" if quiet else settings.logging.level
    set_up_logging(level)
    process = _process_of(origin, part, level, shown)
    code = asyncio.run(process.run(exit_after))
    # systemd starts the unit again by itself (Restart=always), whatever the code
    if process.again and "NOTIFY_SOCKET" not in os.environ:
        again.set()
    return code


@contextmanager
def _as_owner(config: Path | None) -> Iterator[None]:
    """Go on as the owner of the state directory where root has typed this; as root reads inside."""
    if os.geteuid() == 0:
        from gated.cli.owner import become_owner, stop_reading
        from gated.config import load

        become_owner(load(config).storage.state_dir)
        yield
        stop_reading()
    else:
        yield


def _process_of(origin: InForce, part: str | None, level: str, shown: bool) -> Process:
    from gated.cli.screen import LogOnly, Terminal

    settings = origin.settings
    screen = Terminal(settings) if shown else LogOnly()
    if settings.gate.role == "hub":
        from gated.daemon.whole import Daemon

        return Daemon(settings, screen, origin)
    from gated.daemon.door_process import DoorProcess

    return DoorProcess(settings, screen, origin, starts_service=part is None, log_level=level)


def _run_service(config: Path | None, exit_after: float | None, again: threading.Event) -> int:
    """Run the service of a gate whose door is a process of its own."""
    from gated.daemon.service_child import LOG_LEVEL, Lifeline
    from gated.errors import GatedError

    lifeline = Lifeline()
    try:
        from gated.cli.screen import LogOnly, Silent
        from gated.daemon.service_process import ServiceProcess
        from gated.fleet.gate.config_trial import in_force

        with _as_owner(config):
            origin = in_force(config, following=True)
        settings = origin.settings
        if settings.gate.role == "hub":
            raise click.UsageError("a hub is a service by itself: gated run")
        set_up_logging(os.environ.get(LOG_LEVEL, settings.logging.level))
        screen = Silent() if lifeline.is_child else LogOnly()
        process = ServiceProcess(settings, screen, follows=origin)
        lifeline.watch(process.stop)
        code = asyncio.run(process.run(exit_after))
    except GatedError as error:
        lifeline.send_reason(str(error))
        if lifeline.is_child:
            return error.exit_code  # whoever started it shows why
        raise
    if process.again and not lifeline.is_child and "NOTIFY_SOCKET" not in os.environ:
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
