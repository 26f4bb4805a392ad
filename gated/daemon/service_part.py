"""Runs the service as a part of a process: API, sync with a hub, periodic duties."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from gated.access.revocation import Revocation
from gated.accounts.accounts import Accounts
from gated.core.clock import ClockStanding
from gated.daemon.process import CLOCK_S, Duty, Part, Process
from gated.enrollment.strangers import refresh_error_estimate
from gated.errors import ClockDoubtful, StorageError
from gated.fleet.gate.hub_loops import loops_of
from gated.fleet.gate.membership import Membership
from gated.fleet.hub.restored import recover
from gated.fleet.hub.rollouts import Rollouts
from gated.fleet.hub.site_presence import SitePresence
from gated.fleet.hub.tidying import tidy_feed
from gated.journal.journal import Entry
from gated.link.loop import end
from gated.link.running_gate import RunningGate
from gated.link.status_board import ERASURE_PENDING, erasure_pending
from gated.live.certificate_watch import CertificateWatch
from gated.live.damage_watch import DamageWatch
from gated.live.disk_space import DiskSpace
from gated.live.file_sweep import UNREADABLE, sweep_files, unreadable_files
from gated.live.hub_contact import HubContact
from gated.live.journal_watch import LogWatch
from gated.live.unknown_faces import DeletedFaces
from gated.privacy.privacy import Privacy
from gated.web.app import create_app
from gated.web.places import Bounds
from gated.web.server import ApiServer
from gated.web.services import api_services
from gated.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from gated.mqtt.bridge import MqttBridge
    from gated.syslog.syslog import Syslog

log = logging.getLogger(__name__)

HOUSEKEEPING_S = 3600.0
LOG_S = 60.0
DAMAGE_S = 86_400.0
ROLLOUT_S = 5.0
CONTACT_S = 1.0
WEBHOOK_S = 1.0
FILES_S = 600.0
FACES_S = 60.0
TRACES_S = 2.0
"""Seconds between two tries to remove traces of erased data from the database file."""


class ServicePart(Part):
    """Serves the API, syncs with the hub and does periodic duties.

    gate: returns the running gate, None on a hub; called after the parts before were built. many:
    returns the event that is set while the hub sends changes of many people.
    """

    def __init__(
        self,
        process: Process,
        gate: Callable[[], RunningGate | None],
        many: Callable[[], threading.Event] = threading.Event,
    ) -> None:
        self._process = process
        self._gate_of = gate
        self._many_of = many
        self._gate: RunningGate | None = None
        self._accounts: Accounts | None = None
        self._server: ApiServer | None = None
        self._contact: HubContact | None = None
        """Records the state of the connection to the hub; None without a hub."""
        self._clock_reported = False
        self._mqtt: MqttBridge | None = None
        self._syslog: Syslog | None = None

    @property
    def follows_hub(self) -> bool:
        """True when this gate belongs to a hub."""
        return self._contact is not None

    @property
    def _is_hub(self) -> bool:
        return self._process.settings.gate.role == "hub"

    async def build(self, stack: ExitStack) -> None:
        """Start webhooks, MQTT and syslog, and the loops that sync with the hub."""
        process = self._process
        self._gate = self._gate_of()
        if process.stopping():
            return
        self._hooks = Webhooks.of(process.workspace)
        with contextlib.suppress(StorageError):  # then a target starts with its first delivery
            self._hooks.begin()
        self._start_mqtt(stack)
        self._start_syslog()
        if self._is_hub:
            recover(process.workspace, process.clock)
        sweep_files(process.workspace)
        if Membership(process.workspace, process.clock).find() is not None:
            state_dir, sync = process.settings.storage.state_dir, process.settings.sync
            self._contact = HubContact(state_dir, process.clock, sync.degraded_after_s)
        post = self._gate.notify if self._gate else None
        for loop in loops_of(
            process.workspace, process.board, process.clock, post, self._many_of(), process.crash,
            self._contact,
        ):  # fmt: skip
            stack.callback(end, loop)
            loop.start()
            process.loops.append(loop)

    def _start_mqtt(self, stack: ExitStack) -> None:
        """Connect to the broker, if one is configured; only then its modules are loaded."""
        if self._process.settings.mqtt.host is None or self._gate is None:
            return
        from gated.mqtt.bridge import MqttBridge

        self._mqtt = MqttBridge(self._process.workspace, self._process.board, self._gate)
        stack.callback(self._mqtt.stop)
        self._mqtt.start()

    def _start_syslog(self) -> None:
        """Start syslog, if a collector is configured; only then its modules are loaded."""
        if self._process.settings.syslog.host is None:
            return
        from gated.syslog.syslog import Syslog

        self._syslog = Syslog.of(self._process.workspace)
        with contextlib.suppress(StorageError):  # then it starts with its first delivery
            self._syslog.begin()

    # --- the API ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve the API while the block runs."""
        process = self._process
        settings = process.settings
        if not settings.api.enabled:
            yield
            return
        accounts = Accounts.of(process.workspace)
        self._accounts = accounts
        services = api_services(
            settings,
            process.workspace,
            accounts,
            process.board,
            live=self._gate,
            held=process.held,
        )
        process.setup_code = services.setup.new_code()
        bounds = Bounds.of_hub() if self._is_hub else Bounds()
        server = ApiServer(create_app(services), settings.api, bounds)
        self._server = server
        serving = asyncio.create_task(server.serve())
        serving.add_done_callback(functools.partial(process.task_ended, "api"))
        process.address = await server.started()
        try:
            yield
        finally:
            services.jobs.stop()
            services.bell.stop()
            services.enrollment_queue.close()
            server.stop()
            await asyncio.wait([serving])

    # --- duties -------------------------------------------------------------------------------

    def duties(self) -> Sequence[Duty]:
        process = self._process
        privacy = Privacy.of(process.workspace)
        self._log_watch = LogWatch(process.workspace, process.board, process.clock)
        damage = DamageWatch(process.workspace, process.clock, process.board)
        duties = [
            # hourly, as midnight depends on the time zone of each site
            Duty("retention", HOUSEKEEPING_S, lambda: self._keep_house(privacy)),
            Duty("roll-out", ROLLOUT_S, self._roll_out),
            Duty("log", LOG_S, self._check_journal),
            Duty("traces", TRACES_S, self._erase_traces),
            Duty("files", FILES_S, self._look_for_files),
            Duty("faces", FACES_S, DeletedFaces(process.workspace, process.clock).purge),
            Duty("certificate", HOUSEKEEPING_S, self._certificate_watch().look),
            Duty("damage", DAMAGE_S, damage.look),
        ]
        for name in self._hooks.names:
            deliver = functools.partial(self._deliver_webhook, name)
            duties.append(Duty(f"webhook {name}", WEBHOOK_S, deliver))
        if self._syslog is not None:
            duties.append(Duty("syslog", WEBHOOK_S, self._deliver_syslog))
        if self._mqtt is not None:
            duties.append(Duty("mqtt", CONTACT_S, self._mqtt.publish))
        if self._is_hub:
            duties.append(Duty("doubts", CLOCK_S, self._record_clock_doubt))
        if self._contact is not None:
            duties.append(Duty("hub contact", CONTACT_S, self._watch_hub))
        return duties

    def _deliver_webhook(self, name: str) -> None:
        self._hooks.deliver(name, self._process.should_continue)
        self._hooks.publish(self._process.board)

    def _deliver_syslog(self) -> None:
        assert self._syslog is not None  # noqa: S101
        self._syslog.deliver(self._process.should_continue)
        self._syslog.publish(self._process.board)

    def _check_journal(self) -> None:
        """Verify new rows of the journal; publish problems as health and alarm."""
        self._log_watch.look()

    def _watch_hub(self) -> None:
        """Publish the state of the connection to the hub, and apply a revocation."""
        assert self._contact is not None  # noqa: S101
        process = self._process
        self._contact.publish(process.board)
        revocation = Revocation(process.workspace, process.clock)
        if revocation.step():
            log.error("the hub has revoked this gate long ago: nobody passes by face any more")
        revoked = revocation.find()
        process.board.trouble("hub_revoked", None if revoked is None else revoked.sentence())

    def _certificate_watch(self) -> CertificateWatch:
        def reload() -> None:
            if self._server is not None:
                self._server.reload_certificate()

        process = self._process
        return CertificateWatch(process.workspace, process.clock, process.board, reload)

    def _erase_traces(self) -> None:
        """Try to remove traces of erased data from the database file, and publish when some are
        left."""
        workspace, board = self._process.workspace, self._process.board
        before, state = workspace.traces_since, workspace.erase_traces()
        since = workspace.traces_since
        board.trouble(ERASURE_PENDING, None if since is None else erasure_pending(since))
        if since is not None and before is None:
            log.warning("%s", erasure_pending(since))
        elif before is not None and state == "complete":
            log.info("erased data is in the database's log of changes no more")

    def _look_for_files(self) -> None:
        """Publish which photos and templates cannot be read."""
        process = self._process
        process.board.trouble(UNREADABLE, unreadable_files(process.workspace))

    def _keep_house(self, privacy: Privacy) -> None:
        process = self._process
        if process.awaits_clock and not process.keeper.look().trusted:
            return
        if self._accounts is not None:
            self._accounts.flush_sign_ins()
        refresh_error_estimate(process.workspace, process.board, process.clock.now())
        try:
            self._apply_retention(privacy)
            process.awaits_clock = False
        except ClockDoubtful as error:
            if not process.awaits_clock:
                log.warning("%s", error)
            process.awaits_clock = True

    def _apply_retention(self, privacy: Privacy) -> None:
        """Delete what has reached its retention period. Raises: ClockDoubtful."""
        process = self._process
        should_continue, workspace = process.should_continue, process.workspace
        applied = {name: n for name, n in asdict(privacy.apply(should_continue)).items() if n}
        if applied:
            log.info("retention: %s", applied)
        # also without erasures: the log of changes still holds former values, such as a name
        workspace.database.truncate_log()
        # files of operations that were interrupted just before the start were too young then
        sweep_files(workspace, HOUSEKEEPING_S)
        tidy_feed(workspace, process.clock, should_continue)
        if self._gate is not None:
            DiskSpace(workspace, process.clock).expire(should_continue)
        SitePresence(workspace, process.clock).forget()

    def _record_clock_doubt(self) -> None:
        """Record that a hub's clock is doubted, in the journal; a gate posts a condition
        instead."""
        process = self._process
        trust = process.keeper.look()
        if trust.doubted and not self._clock_reported:
            unset = trust.standing is ClockStanding.UNSET
            why = "clock_unset" if unset else "clock_in_doubt"
            body = {"severity": "warning", "detail": str(trust), "why": why}
            entry = Entry(process.clock.now(), "clock_wrong", body)
            process.workspace.journal.append([entry])
        self._clock_reported = trust.doubted

    def _roll_out(self) -> None:
        # the duration of stages, and of a gate's silence, needs a right clock
        if self._process.clock.now().sure:
            Rollouts.of(self._process.workspace).step()
