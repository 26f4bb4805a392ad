"""Signing in with the company's account, as a browser does it: there, and back."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from gated.accounts.accounts import Accounts
from gated.config import Settings
from gated.errors import GatedError
from gated.http.answers import Route
from gated.http.callers import app_services, client_address, set_session_cookie
from gated.oidc.sign_ins import LASTS_S, CompanySignIns

log = logging.getLogger(__name__)

HERE = "/api/auth/company"
BEGIN, RETURN = f"{HERE}/begin", f"{HERE}/return"
PATHS = (BEGIN, RETURN)

router = APIRouter(tags=["accounts"], route_class=Route)

COOKIE = "gated_company"
PAGES = "/ui/"


class CompanyServices(Protocol):
    """The services that routes of this room call."""

    @property
    def settings(self) -> Settings: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def company(self) -> CompanySignIns: ...


Services = Annotated[CompanyServices, Depends(app_services)]


@router.get(
    BEGIN,
    response_class=RedirectResponse,
    status_code=HTTPStatus.SEE_OTHER,
    responses={303: {"description": "To the provider; to the pages, with `?sign_in=CODE`, if not"}},
)
def begin(request: Request, services: Services, again: bool = False) -> RedirectResponse:
    """Send a browser to the company's provider. again: it shall ask for the password."""
    back = services.settings.oidc.redirect_uri or str(request.url.replace(path=RETURN, query=""))
    try:
        begun = services.company.begin(back, again=again)
    except GatedError as error:
        return _failed(services, error)
    answer = RedirectResponse(begun.location, HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=LASTS_S,
        path=HERE,
        httponly=True,
        # the provider's page sends the browser back: a strict cookie would stay behind
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def end(request: Request, services: Services) -> RedirectResponse:
    """Take a browser back from the provider, and begin its session."""
    given = dict(request.query_params)
    try:
        token, life_s = services.company.end(
            given, request.cookies.get(COOKIE), client_address(request)
        )
    except GatedError as error:
        answer = _failed(services, error)
    else:
        answer = RedirectResponse(_pages(services), HTTPStatus.SEE_OTHER)
        set_session_cookie(request, answer, token, life_s)
    answer.delete_cookie(COOKIE, path=HERE, httponly=True, samesite="lax")
    return answer


router.add_api_route(
    RETURN,
    end,
    methods=["GET"],
    response_class=RedirectResponse,
    status_code=HTTPStatus.SEE_OTHER,
    responses={
        303: {"description": "To the pages; with `?sign_in=CODE` where nobody came in"},
    },
    # providers add parameters of their own to the query, and have to be forgiven
    route_class_override=APIRoute,
)


def _pages(services: CompanyServices) -> str:
    return PAGES if services.settings.ui.enabled else "/"


def _failed(services: CompanyServices, error: GatedError) -> RedirectResponse:
    log.warning("sign-in with the company's account: %s", error)
    return RedirectResponse(f"{_pages(services)}?sign_in={error.code}", HTTPStatus.SEE_OTHER)
