"""What routes depend on: the services, and who is asking."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from gated.config import Settings
from gated.core.model import Event
from gated.errors import CsrfMissing, NoGate, NotAllowed, NotJoined, NotSignedIn
from gated.services.access import Access
from gated.services.accounts import Accounts, Principal, Role
from gated.services.alarms import Alarms
from gated.services.attendance import Attendance
from gated.services.audit import Audit, current
from gated.services.camera_identity import CameraIdentity
from gated.services.correction_requests import CorrectionRequests
from gated.services.credentials import Credentials
from gated.services.desk import EnrollmentDesk
from gated.services.devices import Devices
from gated.services.gate import GateBoard
from gated.services.groups import Groups
from gated.services.jobs import Jobs
from gated.services.live import LiveGate
from gated.services.people import People
from gated.services.pins import PinDesk
from gated.services.privacy import Privacy
from gated.services.references import References
from gated.services.remote_door import RemoteDoor
from gated.services.reports import Reports
from gated.services.setup import FirstAdmin
from gated.services.snapshots import Snapshots
from gated.services.sync.bell import Bell
from gated.services.sync.collect import Collector
from gated.services.sync.edge import Author, Edge
from gated.services.sync.feed import Feed
from gated.services.sync.fleet import Caller, Fleet
from gated.services.sync.intake import EditIntake
from gated.services.sync.operators import Operators
from gated.services.sync.pictures import PictureIntake
from gated.services.sync.presence import SitePresence
from gated.services.sync.receipts import Erasures
from gated.services.sync.review import Review
from gated.services.sync.rollouts import Rollouts
from gated.services.sync.signing import HEADER
from gated.services.workspace import Workspace


@dataclass(frozen=True)
class ApiServices:
    """Everything that the API can call."""

    settings: Settings
    workspace: Workspace
    accounts: Accounts
    board: GateBoard
    people: People = field(init=False)
    attendance: Attendance = field(init=False)
    correction_requests: CorrectionRequests = field(init=False)
    devices: Devices = field(init=False)
    setup: FirstAdmin = field(init=False)
    groups: Groups = field(init=False)
    privacy: Privacy = field(init=False)
    audit: Audit = field(init=False)
    reports: Reports = field(init=False)
    references: References = field(init=False)
    desk: EnrollmentDesk = field(init=False)
    alarms: Alarms = field(init=False)
    remote_door: RemoteDoor = field(init=False)
    camera: CameraIdentity = field(init=False)
    snapshots: Snapshots = field(init=False)
    jobs: Jobs = field(init=False)
    fleet: Fleet = field(init=False)
    collector: Collector = field(init=False)
    site_presence: SitePresence = field(init=False)
    feed: Feed = field(init=False)
    operators: Operators = field(init=False)
    edge: Edge = field(init=False)
    intake: EditIntake = field(init=False)
    pictures: PictureIntake = field(init=False)
    review: Review = field(init=False)
    erasures: Erasures = field(init=False)
    rollouts: Rollouts = field(init=False)
    bell: Bell = field(init=False)
    access: Access = field(init=False)
    credentials: Credentials = field(init=False)
    live: LiveGate | None = None
    pins: PinDesk | None = field(init=False)
    """None where there is no gate to enter one at."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "people", People.of(self.workspace))
        attendance = Attendance(self.workspace, tell=self.live.post if self.live else None)
        object.__setattr__(self, "attendance", attendance)
        requests = CorrectionRequests(self.workspace, attendance)
        object.__setattr__(self, "correction_requests", requests)
        object.__setattr__(self, "audit", Audit(self.workspace))
        object.__setattr__(self, "devices", Devices.of(self.workspace))
        object.__setattr__(self, "setup", FirstAdmin.of(self.workspace))
        object.__setattr__(self, "groups", Groups.of(self.workspace))
        object.__setattr__(self, "privacy", Privacy.of(self.workspace))
        object.__setattr__(self, "reports", Reports(self.workspace))
        object.__setattr__(self, "references", References.of(self.workspace))
        object.__setattr__(self, "desk", EnrollmentDesk(self.workspace))
        object.__setattr__(self, "jobs", Jobs())
        object.__setattr__(self, "alarms", Alarms(self.workspace, self._tell))
        door = RemoteDoor(self.settings, self.accounts, self.board)
        object.__setattr__(self, "remote_door", door)
        object.__setattr__(self, "camera", CameraIdentity.of(self.workspace))
        object.__setattr__(self, "snapshots", Snapshots.of(self.workspace))
        object.__setattr__(self, "fleet", Fleet.of(self.workspace))
        object.__setattr__(self, "collector", Collector.of(self.workspace))
        object.__setattr__(self, "site_presence", SitePresence.of(self.workspace))
        object.__setattr__(self, "feed", Feed.of(self.workspace))
        object.__setattr__(self, "operators", Operators.of(self.workspace))
        edge = Edge.with_keys(self.workspace, self.accounts.signing)
        object.__setattr__(self, "edge", edge)
        object.__setattr__(self, "intake", EditIntake.of(self.workspace))
        object.__setattr__(self, "pictures", PictureIntake.of(self.workspace))
        object.__setattr__(self, "review", Review.with_desk(self.workspace, self.desk))
        object.__setattr__(self, "erasures", Erasures.of(self.workspace))
        object.__setattr__(self, "rollouts", Rollouts.of(self.workspace))
        object.__setattr__(self, "bell", Bell(self.workspace))
        object.__setattr__(self, "access", Access.of(self.workspace))
        object.__setattr__(self, "credentials", Credentials.of(self.workspace))
        pins = PinDesk.of(self.workspace, self.live.post) if self.live else None
        object.__setattr__(self, "pins", pins)

    def _tell(self, event: Event) -> None:
        """Hand the gate an event where one runs; a hub has nobody to tell."""
        if self.live is not None:
            self.live.post(event)

    def running_gate(self) -> LiveGate:
        """The gate that runs here; NoGate on a hub."""
        if self.live is None:
            raise NoGate("there is no camera and no door here: ask the gate itself")
        return self.live


async def _services(request: Request) -> ApiServices:
    return cast(ApiServices, request.app.state.services)


Services = Annotated[ApiServices, Depends(_services)]

_bearer = OAuth2PasswordBearer(tokenUrl="api/auth/login", auto_error=False)


SESSION = "gated_session"
"""The cookie of a browser's session; holds an access token."""
CSRF = "X-CSRF-Token"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def session_cookie(request: Request) -> str | None:
    """The token of a browser's session; None for whoever brings a token in a header."""
    return None if "authorization" in request.headers else request.cookies.get(SESSION)


async def presented(request: Request, bearer: Annotated[str | None, Depends(_bearer)]) -> str:
    """The token of a request, from its header or its cookie; NotSignedIn."""
    token = bearer or session_cookie(request)
    if not token:
        raise NotSignedIn("sign in first: POST /api/auth/login")
    return token


Token = Annotated[str, Depends(presented)]


class Require:
    """Lets pass who holds a token of a role that includes `role`; NotSignedIn, NotAllowed.

    The token comes as bearer, or in the cookie of a browser's session; CsrfMissing for a change
    by a session whose page did not prove itself.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(
        self,
        request: Request,
        services: Services,
        token: Token,
    ) -> Principal:
        principal = services.accounts.verify_token(token)
        cookie = session_cookie(request)
        if cookie is not None and request.method not in READING:
            sent = request.headers.get(CSRF, "").encode()
            if not hmac.compare_digest(sent, services.accounts.csrf_token(cookie).encode()):
                raise CsrfMissing(f"a browser's session needs its token in {CSRF}")
        if (origin := current()) is not None:
            origin.person_uid = principal.person_uid
        if not principal.role.includes(self.role):
            raise NotAllowed(f"this needs the role {self.role}")
        return principal


def require(role: Role) -> Any:
    """The dependency that every route but the public ones has; gives the Principal."""
    return Depends(Require(role))


Anyone = Annotated[Principal, require(Role.SELF)]
Viewer = Annotated[Principal, require(Role.VIEWER)]
Operator = Annotated[Principal, require(Role.OPERATOR)]
Admin = Annotated[Principal, require(Role.ADMIN)]
Auditor = Annotated[Principal, require(Role.AUDITOR)]
Device = Annotated[Principal, require(Role.DEVICE)]


async def _body(request: Request) -> bytes:
    return await request.body()


class RequireGate:
    """Lets pass a gate of this hub that has signed its request; one look at the database.

    NotSignedIn, NotAllowed, NotJoined, BadSignature, ClockSkew.
    """

    role = Role.DEVICE

    def __call__(
        self,
        request: Request,
        services: Services,
        token: Token,
        body: Annotated[bytes, Depends(_body)],
    ) -> Caller:
        query = request.url.query
        target = request.url.path + (f"?{query}" if query else "")
        header = request.headers.get(HEADER, "")
        try:
            return services.fleet.caller(token, (request.method, target, body), header)
        except NotJoined:
            Require(self.role)(request, services, token)  # who is no device at all is told that
            raise


FromGate = Annotated[Caller, Depends(RequireGate())]


def _author(operator: Operator, services: Services) -> Author | None:
    return services.edge.author(operator)


EditAuthor = Annotated[Author | None, Depends(_author)]
"""The operator of the hub who asks; None for an account of this gate."""


FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""What a proxy adds to a request that it hands on."""


def at_the_gate(request: Request, device: Device) -> Principal:
    """The kiosk, whose request was made on this machine and was not handed on; NotAllowed."""
    try:
        address = ipaddress.ip_address(client_address(request))
        # a server on :: sees IPv4 clients as mapped ones
        local = (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        local = False
    if not local or any(name in request.headers for name in FORWARDED):
        raise NotAllowed("this is entered at the gate only")
    return device


Kiosk = Annotated[Principal, Depends(at_the_gate)]


def client_address(request: Request) -> str:
    """Where a request comes from; the server has looked through trusted proxies already."""
    return request.client.host if request.client else "unknown"
