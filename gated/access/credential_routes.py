"""Routes of cards, PINs and badges."""

from __future__ import annotations

import base64

from fastapi import APIRouter, Response

from gated.access.credential_lookup import badge_picture
from gated.access.dependencies import AccessServices, Services
from gated.access.schemas import (
    CardIn,
    CardOwnerOut,
    CredentialChange,
    CredentialGivenOut,
    CredentialIn,
    CredentialOut,
    PinIn,
    PinOut,
)
from gated.core.messages import CredentialPresented
from gated.core.values import Method
from gated.errors import NoCardReader, NoGate, NotFound
from gated.http.answers import Route
from gated.http.callers import ChangeByOperator, Kiosk, Operator, Viewer
from gated.http.entity_tags import IfMatch, etag, versions_of
from gated.http.problems import responses
from gated.link.command import running_door

router = APIRouter(prefix="/api", tags=["credentials"], route_class=Route)

READING = responses(404)

HELD_WITHIN_S = 30.0
"""So long a request waits for a card; meanwhile the reader opens no door."""


@router.get("/persons/{id}/credentials", responses=READING)
def list_(id: int, _viewer: Viewer, services: Services) -> list[CredentialOut]:
    """Return the cards, badges and the PIN of a person, without what they hold."""
    return [CredentialOut.model_validate(c) for c in services.credentials.list_(id)]


@router.post(
    "/persons/{id}/credentials",
    status_code=201,
    responses=responses(404, 409, 503),
)
def give(
    id: int, body: CredentialIn, response: Response, operator: Operator, services: Services
) -> CredentialGivenOut:
    """Give a person a card, a PIN or a badge; a badge is shown in this answer and nowhere else."""
    secret = _held_to_reader(services, id) if body.next_card else body.secret
    fields = body.model_dump(include={"label", "valid_from", "valid_until"})
    given, content = services.credentials.add(
        id, body.kind, secret, fields, actor=operator.username
    )
    response.headers["ETag"] = etag(given)
    response.headers["Location"] = f"/api/credentials/{given.id}"
    image = None
    if content is not None:
        png = base64.b64encode(badge_picture(content)).decode()
        image = f"data:image/png;base64,{png}"
    shown = CredentialOut.model_validate(given).model_dump()
    return CredentialGivenOut(**shown, secret=content, image=image)


def _held_to_reader(services: AccessServices, person_id: int) -> str:
    """Return the number of the next card at the gate's reader, for a person.

    Raises: NotFound before anybody waits, NoCardReader, NoCardCame, GateUnavailable.
    """
    services.people.get(person_id)
    settings = services.workspace.settings
    if settings.credentials.reader == "none":
        raise NoCardReader("there is no card reader here (credentials.reader): type the number")
    with running_door(settings.storage.state_dir) as gate:
        return gate.next_card(HELD_WITHIN_S)


@router.post("/credentials/owner", responses=responses(404))
def owner(body: CardIn, change: ChangeByOperator, services: Services) -> CardOwnerOut:
    """Look up whose card this is, blocked or not; each look-up is journaled."""
    with change:
        found = services.credentials.owner(change, body.number)
    if found is None:
        raise NotFound("this card is nobody's")
    person, card = found
    return CardOwnerOut(
        person_id=person.id,
        uid=person.uid,
        personnel_code=person.personnel_code,
        name=person.name,
        credential=CredentialOut.model_validate(card),
    )


@router.get("/credentials/{id}", responses=READING)
def one(id: int, response: Response, _viewer: Viewer, services: Services) -> CredentialOut:
    """Return one card, badge or PIN, without what it holds."""
    found = services.credentials.get(id)
    response.headers["ETag"] = etag(found)
    return CredentialOut.model_validate(found)


@router.put("/credentials/{id}", responses=responses(404, 409, 412))
def change(
    id: int,
    body: CredentialChange,
    response: Response,
    change: ChangeByOperator,
    services: Services,
    if_match: IfMatch = None,
) -> CredentialOut:
    """Change label and dates, block or release it; the gate obeys at once."""
    fields, versions = body.model_dump(exclude_unset=True), versions_of(if_match)
    with change:
        changed = services.credentials.update(change, id, fields, versions=versions)
    response.headers["ETag"] = etag(changed)
    return CredentialOut.model_validate(changed)


@router.delete("/credentials/{id}", status_code=204, responses=responses(404, 409))
def take(id: int, change: ChangeByOperator, services: Services) -> None:
    """Take a card, badge or PIN away."""
    with change:
        services.credentials.delete(change, id)


@router.post(
    "/kiosk/pin",
    status_code=202,
    tags=["kiosk"],
    responses=responses(409, 429),
)
def pin(body: PinIn, _kiosk: Kiosk, services: Services) -> PinOut:
    """Take a PIN that somebody entered at the gate; from this machine only, and slow to guess."""
    if services.pins is None:
        raise NoGate("there is no gate here to enter a PIN at")
    person_id = services.pins.present(body.personnel_code, body.pin)
    services.running_gate().post(CredentialPresented(Method.PIN, person_id))
    return PinOut()
