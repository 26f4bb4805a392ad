"""Signing in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from gated.accounts.dependencies import Services
from gated.accounts.schemas import (
    KioskSessionOut,
    MeOut,
    PasswordChange,
    Registration,
    SessionOut,
    SetupIn,
    SignInForm,
    TokenOut,
)
from gated.core.roles import Principal
from gated.errors import BadCredentials, Conflict
from gated.http.answers import Route, answers
from gated.http.callers import (
    SESSION,
    Anyone,
    Kiosk,
    Token,
    begin_device_cookie,
    client_address,
    renew_device_cookie,
    session_cookie,
    set_session_cookie,
)
from gated.http.hosts import own_page
from gated.http.problems import responses
from gated.people.schemas import PersonOut

router = APIRouter(prefix="/api/auth", tags=["accounts"], route_class=Route)
kiosk = APIRouter(prefix="/api/kiosk", tags=["kiosk"], route_class=Route)

FAILURE_TAKES_S = 1.0
"""Every refusal takes so long: checking an old hash takes longer than finding no account."""

_SCHEMA = SignInForm.model_json_schema()
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


def _body(kind: str) -> dict[str, Any]:
    """Describe a body of one kind: of two, generators of clients make code that does not load."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": _SCHEMA}}}}


@answers(400, 413, 415, 422)
async def credentials(request: Request) -> SignInForm:
    """The credentials of a form or a JSON object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            body: Any = dict(await request.form(max_files=0, max_fields=20))
        elif kind == "application/json":
            body = json.loads(await request.body())
        else:
            raise HTTPException(415, "send a form or JSON")
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body cannot be read") from None
    if not isinstance(body, Mapping):
        raise HTTPException(400, "the body must be an object")
    try:
        return SignInForm.model_validate(body)
    except ValidationError as error:
        wrong = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_input=False)]
        raise RequestValidationError(wrong) from None


@router.post("/login", openapi_extra=_body(_FORM), responses=responses(401, 429))
async def login(
    request: Request, given: Annotated[SignInForm, Depends(credentials)], services: Services
) -> TokenOut:
    """Exchange name (account, e-mail or personnel code) and password for a token.

    A form, as OAuth2 has it, or the same as JSON.
    """
    token, life = await _sign_in(request, given, services)
    return TokenOut(access_token=token, expires_in=life)


async def _sign_in(request: Request, given: SignInForm, services: Services) -> tuple[str, int]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await run_in_threadpool(
            services.accounts.sign_in, given.username, given.password, client_address(request)
        )
    except BadCredentials:
        await asyncio.sleep(began + FAILURE_TAKES_S - loop.time())
        raise


@router.post(
    "/sign-in",
    openapi_extra=_body(_JSON),
    responses=responses(401, 429),
    dependencies=[Depends(own_page)],
)
async def begin_session(
    request: Request,
    response: Response,
    given: Annotated[SignInForm, Depends(credentials)],
    services: Services,
) -> SessionOut:
    """Begin a browser's session: the token goes into a cookie that no script can read.

    JSON, or the same as a form.
    """
    token, _ = await _sign_in(request, given, services)
    set_session_cookie(request, response, token, services.accounts.session_life_s)
    principal = await run_in_threadpool(services.accounts.verify_token, token)
    return _session(services, principal, token)


@router.post("/session", responses=responses(409))
def renew_session(
    request: Request, response: Response, principal: Anyone, token: Token, services: Services
) -> SessionOut:
    """Let a browser's session go on, until `auth.session_hours` after the password was given."""
    if session_cookie(request) is None:
        raise Conflict("a browser's session is renewed by its cookie")
    renewed = services.accounts.renew(token)
    set_session_cookie(request, response, renewed, services.accounts.session_life_s)
    return _session(services, principal, renewed)


@router.get("/session")
def session(request: Request, principal: Anyone, services: Services) -> SessionOut:
    """The session of this browser, for a page that was loaded again."""
    return _session(services, principal, session_cookie(request))


@router.delete("/session", status_code=204)
def end_session(response: Response, principal: Anyone, token: Token, services: Services) -> None:
    """End this session: its token is void from now on, wherever a copy of it is."""
    services.accounts.sign_out(token, principal)
    response.delete_cookie(SESSION, httponly=True, samesite="strict")


def _session(services: Services, principal: Principal, cookie: str | None) -> SessionOut:
    return SessionOut(
        username=principal.username,
        role=principal.role,
        csrf_token=None if cookie is None else services.accounts.csrf_token(cookie),
        expires_at=None if cookie is None else services.accounts.session_ends(cookie),
        person_id=principal.person_id,
    )


@kiosk.post("/session", responses=responses(409), dependencies=[Depends(own_page)])
def begin_kiosk(
    request: Request, response: Response, _kiosk: Kiosk, token: Token, services: Services
) -> KioskSessionOut:
    """Let the browser of the kiosk keep its device's token in a cookie that no script reads."""
    begin_device_cookie(request, response, token)
    return KioskSessionOut(csrf_token=services.accounts.csrf_token(token))


@kiosk.get("/session", responses=responses(409))
def kiosk_session(
    request: Request, response: Response, kiosk: Kiosk, token: Token, services: Services
) -> KioskSessionOut:
    """The session of the kiosk, for a page that was loaded again; its cookie lives on from now."""
    renew_device_cookie(request, response, token)
    services.devices.saw(kiosk.account_id)
    return KioskSessionOut(csrf_token=services.accounts.csrf_token(token))


@router.post("/setup", status_code=201, responses=responses(401, 409, 429))
def setup(request: Request, body: SetupIn, services: Services) -> TokenOut:
    """Make the first administrator, with the code that the gate showed when it was started."""
    address = client_address(request)
    services.setup.create(body.code, body.username, body.password, address)
    token, life = services.accounts.sign_in(body.username, body.password, address)
    return TokenOut(access_token=token, expires_in=life)


@router.post("/register", status_code=201, responses=responses(403, 409, 429))
def register(request: Request, body: Registration, services: Services) -> PersonOut:
    """Register myself; unless registration is open an administrator has to activate me."""
    fields = body.model_dump(exclude={"password"})
    person = services.accounts.register(fields, body.password, client_address(request))
    return PersonOut.model_validate(person)


@router.get("/me")
def me(principal: Anyone) -> MeOut:
    """The account of this token."""
    return MeOut.model_validate(principal)


@router.post("/password", responses=responses(409, 429))
def change_password(
    request: Request, body: PasswordChange, principal: Anyone, services: Services
) -> TokenOut:
    """Change my password; ends all my sessions and begins a new one."""
    token, life = services.accounts.change_password(
        principal, body.current_password, body.new_password, client_address(request)
    )
    return TokenOut(access_token=token, expires_in=life)
