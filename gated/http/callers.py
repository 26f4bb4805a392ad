"""Finds the principal behind a request's token, and asks for the role that a route needs."""

from __future__ import annotations

import functools
import hmac
import inspect
import ipaddress
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request, Response
from fastapi.security import OAuth2PasswordBearer

from gated.change import Change
from gated.core.roles import Principal, Role
from gated.database.request_origin import current
from gated.errors import (
    Conflict,
    CsrfMissing,
    NotAllowed,
    NotSignedIn,
    StorageError,
)
from gated.http.answers import answers
from gated.workspace import Workspace

MOST_STREAMS, STREAMS_EACH = 64, 4
"""Streams of events at a time, of everybody and of one account."""


class Authenticator(Protocol):
    """Knows whom a token stands for."""

    def verify_token(self, token: str) -> Principal:
        """Return the principal of a token. Raises: NotSignedIn."""
        ...

    def csrf_token(self, session: str) -> str:
        """Return what a page has to send beside the cookie of its session."""
        ...


class CallerServices(Protocol):
    """The services that tell callers apart."""

    @property
    def accounts(self) -> Authenticator: ...

    @property
    def workspace(self) -> Workspace: ...


@answers(503)
async def app_services(request: Request) -> Any:
    """Return the services of the application; each room declares the part that it calls."""
    return request.app.state.services


Services = Annotated[CallerServices, Depends(app_services)]

bearer_of = OAuth2PasswordBearer(tokenUrl="api/auth/login", auto_error=False)


SESSION, DISPLAY = "gated_session", "gated_display"
"""The cookies of a browser's session, and of a display in the same browser; they hold a token."""
OF_DISPLAY = "/api/display"
"""The only routes for which the cookie of a display counts, and to which browsers send it."""
CSRF = "X-CSRF-Token"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


LONGEST_S = 400 * 24 * 3600
"""As long as browsers keep a cookie at most."""


def _cookie_for(request: Request) -> tuple[str, str]:
    """Return name and path of the cookie that counts for a request.

    Somebody who signs in beside a display does not end it, nor does a display end their session.
    """
    path = request.scope["path"]
    of_display = path == OF_DISPLAY or path.startswith(f"{OF_DISPLAY}/")
    return (DISPLAY, OF_DISPLAY) if of_display else (SESSION, "/")


def session_cookie(request: Request) -> str | None:
    """The token of a browser's session; None for whoever brings a token in a header."""
    if "authorization" in request.headers:
        return None
    return request.cookies.get(_cookie_for(request)[0])


def set_session_cookie(request: Request, response: Response, token: str, life_s: int) -> None:
    """Put a token where no script can read it, and where no other site's request brings it."""
    name, path = _cookie_for(request)
    response.set_cookie(
        name,
        token,
        max_age=life_s,
        path=path,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def begin_device_cookie(request: Request, response: Response, token: str) -> None:
    """Let the browser of a device keep its token. Raises: Conflict when it has a cookie."""
    if session_cookie(request) is not None:
        raise Conflict("bring the token of the device in the header: this browser has it already")
    set_session_cookie(request, response, token, LONGEST_S)


def renew_device_cookie(request: Request, response: Response, token: str) -> None:
    """Let the cookie of a device's browser live on from now; nothing where there is none."""
    if session_cookie(request) is not None:
        set_session_cookie(request, response, token, LONGEST_S)


async def presented(request: Request, bearer: Annotated[str | None, Depends(bearer_of)]) -> str:
    """The token of a request, from its header or its cookie; NotSignedIn."""
    token = bearer or session_cookie(request)
    if not token:
        raise NotSignedIn("sign in first: POST /api/auth/login")
    return token


Token = Annotated[str, Depends(presented)]


PRINCIPAL, HOLDER, CALLER = "gated.principal", "gated.holder", "gated.caller"
"""In the scope of a request: who makes it, once that is known; of a gate by its token alone, and
by its signature."""

RECOGNISED = "gated.recognised"
"""In the scope: what the server knows of who makes the request, so that they keep their place."""


def recognise(request: Request, owner: str) -> None:
    """Tell the server that the connection of a request belongs to somebody who is known."""
    tell = request.scope.get(RECOGNISED)
    if tell is not None:
        tell(owner)


class Require:
    """Lets pass who holds a token of a role that includes `role`; NotSignedIn, NotAllowed.

    The token comes as bearer, or in the cookie of a browser's session; CsrfMissing for a change
    by a session whose page did not prove itself.
    """

    answers = (401, 403)

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(
        self,
        request: Request,
        services: Services,
        token: Token,
    ) -> Principal:
        known: Principal | None = request.scope.get(PRINCIPAL)
        if known is not None and known.role.includes(self.role):
            return known
        return self.admit(request, services, token)

    def admit(self, request: Request, services: CallerServices, token: str) -> Principal:
        """Ask for token and role; who has them is known for the rest of this request."""
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
        # not before: whoever is refused is to read why, however long the answer takes
        request.state.still = functools.partial(self._still, services.accounts, token)
        request.scope[PRINCIPAL] = principal
        recognise(request, f"account {principal.username}")
        return principal

    def _still(self, accounts: Authenticator, token: str) -> bool:
        """Return whether the holder of the token may go on; for answers that last."""
        try:
            return accounts.verify_token(token).role.includes(self.role)
        except NotSignedIn:
            return False
        except StorageError:
            return True  # who could be switched off while nothing can be written?


# each route asks for these, and would have their annotations evaluated anew
for _asked in (app_services, presented):
    vars(_asked)["__signature__"] = inspect.signature(_asked, eval_str=True)
Require.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    Require(Role.VIEWER), eval_str=True
)


def require(role: Role) -> Any:
    """The dependency that every route but the public ones has; gives the Principal."""
    return Depends(Require(role))


Anyone = Annotated[Principal, require(Role.SELF)]
Viewer = Annotated[Principal, require(Role.VIEWER)]
Operator = Annotated[Principal, require(Role.OPERATOR)]
Admin = Annotated[Principal, require(Role.ADMIN)]
Auditor = Annotated[Principal, require(Role.AUDITOR)]
Device = Annotated[Principal, require(Role.DEVICE)]
Directory = Annotated[Principal, require(Role.DIRECTORY)]
Display = Annotated[Principal, require(Role.DISPLAY)]


# A change by the caller, not yet open: the route opens it by `with`, in the thread in which it
# runs, so that nobody holds the database while waiting for a thread.


async def _by_anyone(services: Services, caller: Anyone) -> Change:
    return services.workspace.change(caller.username)


async def _by_operator(services: Services, caller: Operator) -> Change:
    return services.workspace.change(caller.username)


async def _by_admin(services: Services, caller: Admin) -> Change:
    return services.workspace.change(caller.username)


ChangeByAnyone = Annotated[Change, Depends(_by_anyone)]
ChangeByOperator = Annotated[Change, Depends(_by_operator)]
ChangeByAdmin = Annotated[Change, Depends(_by_admin)]


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
    """Return where a request comes from; the server has looked through trusted proxies already."""
    return request.client.host if request.client else "unknown"
