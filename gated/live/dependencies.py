"""Dependencies of the routes of this room."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Protocol

from fastapi import Depends

from gated.access.passage_cache import PassageCache
from gated.accounts.devices import Devices
from gated.accounts.setup import FirstAdmin
from gated.config import Settings
from gated.door.alarms import Alarms
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.jobs import Jobs
from gated.http.callers import app_services
from gated.link.running_gate import RunningGate
from gated.link.shares import Shares
from gated.link.status_board import StatusBoard
from gated.live.camera_identity import CameraIdentity
from gated.live.database_health import DatabaseHealth
from gated.live.decision_pictures import DecisionPictures
from gated.live.journal_review import JournalReview
from gated.live.metrics import Metrics
from gated.live.refused_visits import RefusedVisits
from gated.live.snapshots import Snapshots
from gated.live.unknown_faces import UnknownFaces
from gated.people.people import People
from gated.workspace import Workspace


class LiveServices(Protocol):
    """The services that routes of this room call."""

    @property
    def alarms(self) -> Alarms: ...

    @property
    def board(self) -> StatusBoard: ...

    @property
    def camera(self) -> CameraIdentity: ...

    @property
    def decision_pictures(self) -> DecisionPictures: ...

    @property
    def database_health(self) -> DatabaseHealth: ...

    @property
    def devices(self) -> Devices: ...

    @property
    def enrollment_queue(self) -> EnrollmentQueue: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def journal_review(self) -> JournalReview: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def passage_cache(self) -> PassageCache: ...

    @property
    def people(self) -> People: ...

    @property
    def references(self) -> Enrollments: ...

    @property
    def refused_visits(self) -> RefusedVisits: ...

    def running_gate(self) -> RunningGate:
        """Return the gate that runs here.

        Raises: NoGate on a hub, GateUnavailable while its process is away.
        """
        ...

    def require_state(self) -> None:
        """Raises: GateUnavailable where a gate's own state is asked for and it is away."""
        ...

    @property
    def settings(self) -> Settings: ...

    @property
    def setup(self) -> FirstAdmin: ...

    @property
    def snapshots(self) -> Snapshots: ...

    @property
    def unknown_faces(self) -> UnknownFaces: ...

    @property
    def streams(self) -> Shares: ...

    @property
    def workspace(self) -> Workspace: ...

    def zone_here(self) -> tzinfo:
        """Return the zone of the site's clock; UTC while it cannot be read."""
        ...


Services = Annotated[LiveServices, Depends(app_services)]
