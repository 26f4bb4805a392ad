"""Bring the people of a gate up to date before it opens; by whoever has models and a network."""

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
    """The end was asked for in the middle."""


def prepare_people(
    workspace: Workspace, clock: Clock, model: str, going_on: Callable[[], bool], progress: Progress
) -> None:
    """Make good for an older database, hear the hub, make templates of `model`, enroll the demo's.

    going_on: asked between steps that may take long; False ends it early. Waits for the hub as
    `catch_up` does. SealError, StorageError.
    """
    recover(workspace, clock)
    catch_up(workspace, clock, model, going_on)
    if not going_on():
        return
    with workspace.database.read() as session:
        demo = workspace.settings.gate.demo and not demo_person_is_known(session)
        if not demo and not has_other_models(session, model):
            return

    def told(done: int, total: int) -> None:
        progress(done, total)
        if not going_on():
            raise _Stopped

    office = enrollment_context(workspace, VisionKit(workspace.settings), clock)
    try:
        if demo:
            enroll_demo_person(office, workspace.settings)
        for problem in ensure_templates(office, told):
            log.warning("%s", problem)
    except _Stopped:
        log.info("templates are made of the other photos after the next start")


def enroll_demo_person(office: EnrollmentContext, settings: Settings) -> None:
    """Enroll the demo person from one photo unless that was done before.

    Where that cannot be, as the person is the hub's or agreed to nothing, the demo goes without.
    """
    try:
        office.enrollment.enroll_as(CODE, NAMES, asset_store(settings).read(PHOTO), ACTOR)
    except Refused as error:
        log.warning("the demo person is not enrolled here: %s", error)


class PreparationLoop(Loop):
    """Prepares the people for a door process that waits for it.

    wanted: the run of the door that waits and its model; None while none does. changed: called when
    `prepared` or `progress` has changed; returns at once.
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
        """The run of the door for which that was done last."""
        self.progress: tuple[int, int] | None = None
        """Of the templates: so many of so many."""
        self._workspace = workspace
        self._wanted = wanted
        self._changed = changed
        self._looking = threading.Event()

    def look(self) -> None:
        """Look whether a door waits, at once; any thread may say so."""
        self._looking.set()

    def stop(self) -> None:
        super().stop()
        self._looking.set()

    def work(self) -> None:
        # not only where a door waits: a gate that is the hub of others learns what it forgot
        self._trying(lambda: recover(self._workspace, self._workspace.clock))
        while not self.stopping.is_set():
            self.beat()
            self._looking.wait(LOOK_S)
            self._looking.clear()
            wanted = self._wanted()
            if wanted is None or wanted[0] == self.prepared:
                continue
            self._trying(functools.partial(self._prepare, *wanted))

    def _trying(self, what: Callable[[], None]) -> None:
        try:
            what()
        except (SealError, StorageError) as error:
            log.error("the people cannot be prepared yet: %s", error)
            self.stopping.wait(RETRY_S)

    def _prepare(self, run: datetime, model: str) -> None:
        workspace = self._workspace
        prepare_people(workspace, workspace.clock, model, self._going_on, self._told)
        if not self.stopping.is_set():
            self.prepared, self.progress = run, None
            self._changed()

    def _going_on(self) -> bool:
        self.beat()
        return not self.stopping.is_set()

    def _told(self, done: int, total: int) -> None:
        self.progress = done, total
        self._changed()
