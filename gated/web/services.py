"""The services that the routes of all rooms call, put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from gated.access.credentials import Credentials
from gated.access.passage_cache import PassageCache
from gated.access.pins import PinCheck
from gated.access.rules import Access
from gated.accounts.accounts import Accounts
from gated.accounts.audit import Audit
from gated.accounts.devices import Devices
from gated.accounts.setup import FirstAdmin
from gated.attendance.attendance import Attendance
from gated.attendance.correction_requests import CorrectionRequests
from gated.attendance.payroll import Payroll
from gated.attendance.reports import Reports
from gated.backup.stored_backups import StoredBackups
from gated.config import Settings
from gated.core.messages import Event
from gated.core.roles import Principal
from gated.door.alarms import Alarms
from gated.door.remote_door import RemoteDoor
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.jobs import Jobs
from gated.enrollment.local_editor import LocalEditor
from gated.enrollment.photo_doubts import PhotoDoubts
from gated.errors import NoGate, StorageError
from gated.fleet.gate.config_trial import InForce
from gated.fleet.gate.hub_editor import HubEditor
from gated.fleet.gate.offline_edits import OfflineEdits
from gated.fleet.gate.own_settings import OwnSettings
from gated.fleet.gate.pictures import PictureIntake
from gated.fleet.hub.change_notifier import ChangeNotifier
from gated.fleet.hub.collect import Collector
from gated.fleet.hub.edit_intake import EditIntake
from gated.fleet.hub.erasure_receipts import Erasures
from gated.fleet.hub.feed import Feed
from gated.fleet.hub.fleet import Fleet
from gated.fleet.hub.operators import Operators
from gated.fleet.hub.review import Review
from gated.fleet.hub.rollouts import Rollouts
from gated.fleet.hub.site_presence import SitePresence
from gated.http.callers import MOST_STREAMS, STREAMS_EACH
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
from gated.oidc.sign_ins import CompanySignIns
from gated.passkeys.passkeys import Passkeys
from gated.people.groups import Groups
from gated.people.people import People
from gated.people.zones import zone_here
from gated.privacy.privacy import Privacy
from gated.scim.groups import DirectoryGroups
from gated.scim.users import Users
from gated.webhooks.webhooks import Webhooks
from gated.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """Everything that the API can call; `api_services` makes it."""

    settings: Settings
    workspace: Workspace
    accounts: Accounts
    board: StatusBoard
    people: People
    attendance: Attendance
    correction_requests: CorrectionRequests
    devices: Devices
    setup: FirstAdmin
    groups: Groups
    privacy: Privacy
    audit: Audit
    payroll: Payroll
    reports: Reports
    references: Enrollments
    photo_doubts: PhotoDoubts
    enrollment_queue: EnrollmentQueue
    alarms: Alarms
    journal_review: JournalReview
    remote_door: RemoteDoor
    camera: CameraIdentity
    refused_visits: RefusedVisits
    snapshots: Snapshots
    decision_pictures: DecisionPictures
    unknown_faces: UnknownFaces
    jobs: Jobs
    fleet: Fleet
    collector: Collector
    site_presence: SitePresence
    feed: Feed
    operators: Operators
    offline_edits: OfflineEdits
    intake: EditIntake
    pictures: PictureIntake
    review: Review
    erasures: Erasures
    rollouts: Rollouts
    bell: ChangeNotifier
    access: Access
    credentials: Credentials
    webhooks: Webhooks
    company: CompanySignIns
    passkeys: Passkeys
    directory_users: Users
    directory_groups: DirectoryGroups
    metrics: Metrics
    live: RunningGate | None
    """None on a hub: nobody passes there."""
    own_settings: OwnSettings
    backups: StoredBackups
    passage_cache: PassageCache
    database_health: DatabaseHealth
    streams: Shares
    """Places for streams of events."""
    pins: PinCheck | None
    """None where there is no gate to enter one at."""

    def editor(self, principal: Principal) -> LocalEditor | HubEditor:
        """Choose who decides on somebody's changes of persons: this gate, or its hub. SealError."""
        local = LocalEditor(self.people, self.references, self.enrollment_queue, principal.username)
        signer = self.offline_edits.signer(principal)
        return local if signer is None else HubEditor(self.workspace, local, signer)

    def zone_here(self) -> tzinfo:
        """Return the zone of the site's clock; UTC while it cannot be read."""
        try:
            with self.workspace.database.read() as session:
                return zone_here(self.workspace, session)
        except StorageError:
            return UTC  # the route itself says what is wrong with the database

    def running_gate(self) -> RunningGate:
        """Return the gate that runs here. Raises: NoGate on a hub, GateUnavailable."""
        if self.live is None:
            raise NoGate("there is no camera and no door here: ask the gate itself")
        self.live.require()
        return self.live

    def require_state(self) -> None:
        """Raises: GateUnavailable where a gate's own state is asked for and it is away."""
        if self.live is not None:
            self.live.require()


def api_services(
    settings: Settings,
    workspace: Workspace,
    accounts: Accounts,
    board: StatusBoard,
    live: RunningGate | None = None,
    held: InForce | None = None,
) -> ApiServices:
    """Make the services of all rooms, each once.

    live: the gate that runs here; None on a hub. held: where the settings come from, if known.
    """
    attendance = Attendance(workspace, tell=live.notify if live else None)
    queue = EnrollmentQueue(workspace)
    return ApiServices(
        settings=settings,
        workspace=workspace,
        accounts=accounts,
        board=board,
        live=live,
        own_settings=OwnSettings(workspace, held),
        backups=StoredBackups(workspace, None if held is None else held.file),
        people=People.of(workspace),
        attendance=attendance,
        correction_requests=CorrectionRequests(workspace, attendance),
        devices=Devices.of(workspace),
        setup=FirstAdmin.of(workspace),
        groups=Groups.of(workspace),
        privacy=Privacy.of(workspace),
        audit=Audit(workspace),
        payroll=Payroll(workspace),
        reports=Reports(workspace),
        references=Enrollments.of(workspace),
        photo_doubts=PhotoDoubts.of(workspace),
        enrollment_queue=queue,
        alarms=Alarms(workspace, live.notify if live else _tell_nobody),
        journal_review=JournalReview.of(workspace),
        remote_door=RemoteDoor(settings, accounts, board),
        camera=CameraIdentity.of(workspace),
        refused_visits=RefusedVisits.of(workspace),
        snapshots=Snapshots.of(workspace),
        decision_pictures=DecisionPictures.of(workspace),
        unknown_faces=UnknownFaces(workspace, workspace.clock, queue),
        jobs=Jobs(),
        fleet=Fleet.of(workspace),
        collector=Collector.of(workspace),
        site_presence=SitePresence.of(workspace),
        feed=Feed.of(workspace),
        operators=Operators.of(workspace),
        offline_edits=OfflineEdits.with_keys(workspace, accounts.signing),
        intake=EditIntake.of(workspace),
        pictures=PictureIntake.of(workspace),
        review=Review.with_queue(workspace, queue),
        erasures=Erasures.of(workspace),
        rollouts=Rollouts.of(workspace),
        bell=ChangeNotifier(workspace),
        access=Access.of(workspace),
        credentials=Credentials.of(workspace),
        webhooks=Webhooks.of(workspace),
        company=CompanySignIns(workspace, accounts),
        passkeys=Passkeys(workspace, accounts),
        directory_users=Users(workspace, People.of(workspace)),
        directory_groups=DirectoryGroups(workspace, Groups.of(workspace)),
        metrics=Metrics(settings, board),
        passage_cache=PassageCache(),
        database_health=DatabaseHealth.of(settings.storage.url),
        streams=Shares(MOST_STREAMS, STREAMS_EACH, "streams of events"),
        pins=PinCheck.of(workspace, live.notify) if live else None,
    )


def _tell_nobody(_event: Event) -> None:
    """Do nothing with what a gate would hear of: a hub has none."""
