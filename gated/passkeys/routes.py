"""Signing in with a passkey, and everybody's own passkeys."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from gated.accounts.schemas import SessionOut
from gated.errors import PasskeyRefused
from gated.http.answers import Route
from gated.http.callers import (
    Admin,
    Anyone,
    ChangeByAdmin,
    Token,
    client_address,
    set_session_cookie,
)
from gated.http.hosts import own_page
from gated.http.problems import responses
from gated.passkeys.challenges import LASTS_S
from gated.passkeys.dependencies import Services
from gated.passkeys.passkeys import Ceremony
from gated.passkeys.schemas import (
    Assertion,
    CreationOptionsOut,
    PasskeyIn,
    PasskeyName,
    PasskeyOut,
    RequestOptionsOut,
)

HERE = "/api/auth/passkeys"
CHALLENGE, SIGN_IN = f"{HERE}/challenge", f"{HERE}/sign-in"
PATHS = (CHALLENGE, SIGN_IN)

router = APIRouter(tags=["accounts"], route_class=Route)

COOKIE = "gated_passkey"
FAILURE_TAKES_S = 1.0
"""Every refusal takes so long, whatever was wrong."""


def _keep(request: Request, response: Response, asked: Ceremony) -> None:
    """Put what was asked for where no script reads it, and no other browser has it."""
    response.set_cookie(
        COOKIE,
        asked.cookie,
        max_age=LASTS_S,
        path=HERE,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _forget(response: Response) -> None:
    response.delete_cookie(COOKIE, path=HERE, httponly=True, samesite="strict")


@router.post(CHALLENGE, responses=responses(404), dependencies=[Depends(own_page)])
def challenge_passkey(
    request: Request, response: Response, services: Services
) -> RequestOptionsOut:
    """Ask the browser for a signature by a passkey, of whatever account."""
    asked = services.passkeys.begin_sign_in()
    _keep(request, response, asked)
    return RequestOptionsOut(challenge=asked.challenge.challenge, rp_id=asked.party.domain)


@router.post(SIGN_IN, responses=responses(401, 404, 429), dependencies=[Depends(own_page)])
async def sign_in_with_passkey(
    request: Request, response: Response, given: Assertion, services: Services
) -> SessionOut:
    """Begin a browser's session by what a passkey has signed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        token, life_s = await run_in_threadpool(
            services.passkeys.sign_in,
            given.model_dump(by_alias=True),
            request.cookies.get(COOKIE),
            client_address(request),
        )
    except PasskeyRefused:
        await asyncio.sleep(began + FAILURE_TAKES_S - loop.time())
        raise
    _forget(response)
    set_session_cookie(request, response, token, life_s)
    return await run_in_threadpool(_session, services, token)


def _session(services: Services, token: str) -> SessionOut:
    principal = services.accounts.verify_token(token)
    return SessionOut(
        username=principal.username,
        role=principal.role,
        csrf_token=services.accounts.csrf_token(token),
        expires_at=services.accounts.session_ends(token),
        person_id=principal.person_id,
    )


@router.get(HERE)
def my_passkeys(principal: Anyone, services: Services) -> list[PasskeyOut]:
    """My passkeys, oldest first."""
    return [PasskeyOut.model_validate(p) for p in services.passkeys.list_(principal.account_id)]


@router.post(f"{HERE}/registration", responses=responses(404, 409))
def begin_passkey(
    request: Request, response: Response, principal: Anyone, token: Token, services: Services
) -> CreationOptionsOut:
    """Ask the browser for a new passkey of mine; needs a sign-in of the last five minutes."""
    asked = services.passkeys.begin_registration(principal, token)
    _keep(request, response, asked)
    return CreationOptionsOut.of(asked, principal.username)


@router.post(HERE, status_code=201, responses=responses(404, 409))
def add_passkey(
    request: Request, response: Response, body: PasskeyIn, principal: Anyone, services: Services
) -> PasskeyOut:
    """Keep a passkey that the browser has made, under a name."""
    given = body.credential.model_dump(by_alias=True)
    made = services.passkeys.register(principal, body.name, given, request.cookies.get(COOKIE))
    _forget(response)
    return PasskeyOut.model_validate(made)


@router.patch(f"{HERE}/{{id}}", responses=responses(404))
def rename_passkey(id: int, body: PasskeyName, principal: Anyone, services: Services) -> PasskeyOut:
    """Give a passkey of mine another name."""
    return PasskeyOut.model_validate(services.passkeys.rename_own(principal, id, body.name))


@router.delete(f"{HERE}/{{id}}", status_code=204, responses=responses(404))
def remove_passkey(id: int, principal: Anyone, token: Token, services: Services) -> None:
    """Remove a passkey of mine, and end my sessions; needs a sign-in of the last five minutes."""
    services.passkeys.remove_own(principal, token, id)


@router.get("/api/accounts/{id}/passkeys", responses=responses(404))
def passkeys_of(id: int, _admin: Admin, services: Services) -> list[PasskeyOut]:
    """Passkeys of an account, oldest first."""
    return [PasskeyOut.model_validate(p) for p in services.passkeys.list_(id)]


@router.delete("/api/accounts/{id}/passkeys", status_code=204, responses=responses(404))
def remove_passkeys_of(id: int, change: ChangeByAdmin, services: Services) -> None:
    """Remove all passkeys of an account, and end its sessions; the password stays."""
    with change:
        services.passkeys.remove(change, id)
