"""Routes of privacy for people themselves: their consent, and a copy of everything about them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gated.core.values import moment
from gated.errors import ConsentMissing, NotFound
from gated.http.answers import Route
from gated.http.callers import Anyone, ChangeByAnyone
from gated.http.problems import responses
from gated.privacy.dependencies import Services
from gated.privacy.export import archive_of, record_export
from gated.privacy.routes import READING, ZIP
from gated.privacy.schemas import ConsentOut, OwnConsentIn, OwnConsentOut

router = APIRouter(prefix="/api/me", tags=["privacy"], route_class=Route)

BY_MYSELF = "by the person, signed in"
"""How a consent was given that nobody else has recorded."""


def _myself(me: Anyone) -> int:
    if me.person_id is None:
        raise NotFound("this account is nobody's: nothing about a person belongs to it")
    return me.person_id


@router.get("/consent", responses=READING)
def own_consent(me: Anyone, services: Services) -> OwnConsentOut:
    """Return my consent to face recognition, and the notice that I may consent to here."""
    given = services.privacy.find_consent(_myself(me))
    return OwnConsentOut(
        notice=services.workspace.settings.privacy.notice,
        given=None if given is None else ConsentOut.model_validate(given),
    )


@router.put("/consent", responses=responses(404, 409))
def give_own(
    body: OwnConsentIn, me: Anyone, change: ChangeByAnyone, services: Services
) -> OwnConsentOut:
    """Consent to face recognition, after reading the notice `notice_version`."""
    person, notice = _myself(me), services.workspace.settings.privacy.notice
    if notice is None or body.notice_version != notice:
        raise ConsentMissing("this is not the notice in force: read it again")
    with change:
        form = {"notice_version": notice, "given_at": moment(change.at), "expires_at": None}
        given = services.privacy.record_consent(change, person, form | {"method": BY_MYSELF})
    return OwnConsentOut(notice=notice, given=ConsentOut.model_validate(given))


@router.delete("/consent", status_code=204, responses=responses(404, 409))
def withdraw_own(me: Anyone, change: ChangeByAnyone, services: Services) -> None:
    """End my consent; where one is required, my photos and templates are removed at once."""
    person = _myself(me)
    with change:
        services.privacy.withdraw_consent(change, person)


@router.get("/export", response_class=Response, responses={**READING, **ZIP})
def own_export(me: Anyone, change: ChangeByAnyone, services: Services) -> Response:
    """Return everything about me as a ZIP archive; journaled."""
    mine = _myself(me)
    with change:
        person = record_export(change, mine)
    archive = archive_of(services.workspace, person)
    headers = {"Content-Disposition": 'attachment; filename="my-data.zip"'}
    return Response(archive, media_type="application/zip", headers=headers)
