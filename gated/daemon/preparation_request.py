"""Waits, before a gate opens, until its service has brought the people up to date."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta

from gated.access.other_gates import is_unheard
from gated.core.values import moment
from gated.daemon.process import Process
from gated.database.hub_ownership import has_hub, heard_at
from gated.enrollment.enrollment_store import has_other_models
from gated.journal import erasure_ledger
from gated.link.messages import Report
from gated.live.demo import demo_person_is_known
from gated.runtime import watchdog

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""Seconds after which a gate that heard its hub lately opens with the people known here."""

LOOK_S = 0.25


class PreparationRequest:
    """The door's side of `daemon/preparation`: the door has no model for photos and no network."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._prepared = threading.Event()

    def take_report(self, report: Report) -> None:
        """Take a report of the service; from the thread of the socket."""
        if report.progress is not None:
            self._process.show(self._process.screen.renewing, *report.progress)
        if report.prepared == self._process.board.started_at:
            self._prepared.set()

    def wait(self, model: str) -> None:
        """Ask the service to prepare the people for a model, and wait for it where needed.

        Gives up after `PATIENCE_S`, unless the database is an older one that still has erased
        people, or this gate has not heard its hub for `sync.catch_up_after_h`: then it waits until
        the service is done, or the process is to end.
        """
        restored = self._is_restored()
        if not restored and not self._is_due(model):
            return
        process = self._process
        must, until = restored or self._is_overdue(), time.monotonic() + PATIENCE_S
        process.board.publish(awaits=model)
        warned = False
        while not process.stopping() and not self._prepared.wait(LOOK_S):
            watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
            if warned or time.monotonic() < until:
                continue
            warned = True
            if not must:
                log.warning("goes on with the people known here: the service has not answered")
                break
            log.error("opens for nobody until the service has brought the people up to date")
        process.board.publish(awaits=None)

    def _is_restored(self) -> bool:
        """Return whether the database is older than the journal's head file or the erasure
        ledger."""
        journal = self._process.workspace.journal
        if journal.is_behind():
            return True
        with self._process.workspace.database.read() as session:
            return erasure_ledger.is_ahead(session, journal.ledger.read(), journal.proves)

    def _is_due(self, model: str) -> bool:
        workspace = self._process.workspace
        with workspace.database.read() as session:
            if has_hub(session) or is_unheard(session) or has_other_models(session, model):
                return True
            return self._process.settings.gate.demo and not demo_person_is_known(session)

    def _is_overdue(self) -> bool:
        process = self._process
        with process.workspace.database.read() as session:
            heard = heard_at(session)
        now = process.clock.now()
        if heard is None or not now.sure:
            return False
        longest = timedelta(hours=process.settings.sync.catch_up_after_h)
        return moment(now) - datetime.fromisoformat(heard) > longest
