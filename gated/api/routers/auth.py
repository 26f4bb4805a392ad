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

from gated.api.deps import SESSION, Anyone, Services, Token, client_address, session_cookie
from gated.api.errors import responses
from gated.api.schemas import (
    Credentials,
    MeOut,
    PasswordChange,
    PersonOut,
    Registration,
    SessionOut,
    SetupIn,
    TokenOut,
)
from gated.errors import BadCredentials
from gated.services.accounts import Principal

router = APIRouter(prefix="/api/auth", tags=["accounts"])

FAILURE_TAKES_S = 1.0
"""Every refusal takes so long: checking an old hash takes longer than finding no account."""

_SCHEMA = Credentials.model_json_schema()
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": _SCHEMA},
            "application/json": {"schema": _SCHEMA},
        },
    }
}


async def credentials(request: Request) -> Credentials:
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
        return Credentials.model_validate(body)
    except ValidationError as error:
        wrong = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_input=False)]
        raise RequestValidationError(wrong) from None


@router.post("/login", openapi_extra=_BODY, responses=responses(400, 401, 413, 415, 422, 429, 503))
async def login(
    request: Request, given: Annotated[Credentials, Depends(credentials)], services: Services
) -> TokenOut:
    """Exchange name (account, e-mail or personnel code) and password for a token."""
    token, life = await _sign_in(request, given, services)
    return TokenOut(access_token=token, expires_in=life)


async def _sign_in(request: Request, given: Credentials, services: Services) -> tuple[str, int]:
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
    "/sign-in", openapi_extra=_BODY, responses=responses(400, 401, 413, 415, 422, 429, 503)
)
async def begin_session(
    request: Request,
    response: Response,
    given: Annotated[Credentials, Depends(credentials)],
    services: Services,
) -> SessionOut:
    """Begin a browser's session: the token goes into a cookie that no script can read."""
    token, life = await _sign_in(request, given, services)
    response.set_cookie(
        SESSION,
        token,
        max_age=life,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    principal = await run_in_threadpool(services.accounts.verify_token, token)
    return _session(services, principal, token)


@router.get("/session", responses=responses(401, 403, 503))
def session(request: Request, principal: Anyone, services: Services) -> SessionOut:
    """The session of this browser, for a page that was loaded again."""
    return _session(services, principal, session_cookie(request))


@router.delete("/session", status_code=204, responses=responses(401, 403, 503))
def end_session(response: Response, principal: Anyone, token: Token, services: Services) -> None:
    """End this session: its token is void from now on, wherever a copy of it is."""
    services.accounts.sign_out(token, principal)
    response.delete_cookie(SESSION, httponly=True, samesite="strict")


def _session(services: Services, principal: Principal, cookie: str | None) -> SessionOut:
    return SessionOut(
        username=principal.username,
        role=principal.role,
        csrf_token=None if cookie is None else services.accounts.csrf_token(cookie),
    )


@router.post("/setup", status_code=201, responses=responses(400, 401, 409, 413, 422, 429, 503))
def setup(request: Request, body: SetupIn, services: Services) -> TokenOut:
    """Make the first administrator, with the code that the gate showed when it was started."""
    services.setup.create(body.code, body.username, body.password)
    address = client_address(request)
    token, life = services.accounts.sign_in(body.username, body.password, address)
    return TokenOut(access_token=token, expires_in=life)


@router.post("/register", status_code=201, responses=responses(400, 403, 409, 413, 422, 429, 503))
def register(request: Request, body: Registration, services: Services) -> PersonOut:
    """Register myself; unless registration is open an administrator has to activate me."""
    fields = body.model_dump(exclude={"password"})
    person = services.accounts.register(fields, body.password, client_address(request))
    return PersonOut.model_validate(person)


@router.get("/me", responses=responses(401, 403, 503))
def me(principal: Anyone) -> MeOut:
    """Whose token this is."""
    return MeOut.model_validate(principal)


@router.post("/password", responses=responses(400, 401, 403, 409, 413, 422, 429, 503))
def change_password(
    request: Request, body: PasswordChange, principal: Anyone, services: Services
) -> TokenOut:
    """Change my password; ends all my sessions and begins a new one."""
    token, life = services.accounts.change_password(
        principal, body.current_password, body.new_password, client_address(request)
    )
    return TokenOut(access_token=token, expires_in=life)
