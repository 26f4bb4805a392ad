"""Brings the people of a gate up to date before it opens, in the service process.

That process has the models for photos and the network.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from gated.config import Settings
from gated.enrollment.enrollment_context import (
    EnrollmentContext,
    enrollment_context,
    ensure_templates,
)
from gated.enrollment.enrollment_store import has_other_models
from gated.enrollment.models import VisionKit, asset_store
from gated.errors import Refused, SealError, StorageError
from gated.fleet.gate.catchup import catch_up
from gated.fleet.hub.restored import recover
from gated.link.loop import Loop, OnCrash
from gated.live.demo import ACTOR, CODE, NAMES, PHOTO, demo_person_is_known
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_S = 0.5
RETRY_S = 2.0

Progress = Callable[[int, int], None]


class _Stopped(Exception):
    """The process is to end."""


def prepare_people(
    workspace: Workspace,
    clock: Clock,
    model: str,
    should_continue: Callable[[], bool],
    progress: Progress,
) -> None:
    """Bring the people up to date for `model`.

    Repeats erasures that a restore has undone, catches up with the hub (and waits for it as
    `catch_up` does), computes missing templates, and enrolls the demo person. should_continue:
    asked between long steps; False ends it early. Raises: SealError, StorageError.
    """
    recover(workspace, clock)
    catch_up(workspace, clock, model, should_continue)
    if not should_continue():
        return
    with workspace.database.read() as session:
        demo = workspace.settings.gate.demo and not demo_person_is_known(session)
        if not demo and not has_other_models(session, model):
            return

    def report(done: int, total: int) -> None:
        progress(done, total)
        if not should_continue():
            raise _Stopped

    context = enrollment_context(workspace, VisionKit(workspace.settings), clock)
    try:
        if demo:
            enroll_demo_person(context, workspace.settings)
        for problem in ensure_templates(context, report):
            log.warning("%s", problem)
    except _Stopped:
        log.info("templates are made of the other photos after the next start")


def enroll_demo_person(context: EnrollmentContext, settings: Settings) -> None:
    """Enroll the demo person from one photo.

    Logs a warning where that is refused, as the person is the hub's or has not consented.
    """
    try:
        context.enrollment.enroll_as(CODE, NAMES, asset_store(settings).read(PHOTO), ACTOR)
    except Refused as error:
        log.warning("the demo person is not enrolled here: %s", error)


class PreparationLoop(Loop):
    """Prepares the people for a door process that waits for it.

    wanted: returns the start time and the model of the waiting door; None while none waits.
    changed: called when `prepared` or `progress` has changed; must return at once.
    """

    beat_limit_s = 180.0

    def __init__(
        self,
        workspace: Workspace,
        wanted: Callable[[], tuple[datetime, str] | None],
        changed: Callable[[], None],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("preparation", on_crash)
        self.prepared: datetime | None = None
        """The start time of the door for which the people were prepared last."""
        self.progress: tuple[int, int] | None = None
        """Templates done and in all."""
        self._workspace = workspace
        self._wanted = wanted
        self._changed = changed
        self._looking = threading.Event()

    def look(self) -> None:
        """Check at once whether a door waits; from any thread."""
        self._looking.set()

    def stop(self) -> None:
        super().stop()
        self._looking.set()

    def work(self) -> None:
        # also where no door waits: a gate that is a hub of others has to repeat erasures, too
        self._attempt(lambda: recover(self._workspace, self._workspace.clock))
        while not self.stopping.is_set():
            self.beat()
            self._looking.wait(LOOK_S)
            self._looking.clear()
            wanted = self._wanted()
            if wanted is None or wanted[0] == self.prepared:
                continue
            self._attempt(functools.partial(self._prepare, *wanted))

    def _attempt(self, what: Callable[[], None]) -> None:
        try:
            what()
        except (SealError, StorageError) as error:
            log.error("the people cannot be prepared yet: %s", error)
            self.stopping.wait(RETRY_S)

    def _prepare(self, run: datetime, model: str) -> None:
        workspace = self._workspace
        prepare_people(workspace, workspace.clock, model, self._should_continue, self._report)
        if not self.stopping.is_set():
            self.prepared, self.progress = run, None
            self._changed()

    def _should_continue(self) -> bool:
        self.beat()
        return not self.stopping.is_set()

    def _report(self, done: int, total: int) -> None:
        self.progress = done, total
        self._changed()
