"""Cards, PINs and badges."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Header, Response

from gated.api.deps import Kiosk, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas_access import (
    CredentialChange,
    CredentialGivenOut,
    CredentialIn,
    CredentialOut,
    PinIn,
    PinOut,
)
from gated.api.tags import etag, version_of
from gated.core.model import Credential, Method
from gated.errors import NoGate
from gated.services.presenting import badge_picture

router = APIRouter(prefix="/api", tags=["credentials"])

IfMatch = Annotated[str | None, Header(description="ETag of what was read", max_length=200)]
READING = responses(401, 403, 404, 422, 503)


@router.get("/persons/{id}/credentials", responses=READING)
def list_(id: int, _viewer: Viewer, services: Services) -> list[CredentialOut]:
    """The cards, badges and the PIN of a person, without what they hold."""
    return [CredentialOut.model_validate(c) for c in services.credentials.list_(id)]


@router.post(
    "/persons/{id}/credentials",
    status_code=201,
    responses=responses(400, 401, 403, 404, 409, 413, 422, 503),
)
def give(
    id: int, body: CredentialIn, response: Response, operator: Operator, services: Services
) -> CredentialGivenOut:
    """Give a person a card, a PIN or a badge; a badge is shown in this answer and nowhere else."""
    fields = body.model_dump(include={"label", "valid_from", "valid_until"})
    given, content = services.credentials.add(
        id, body.kind, body.secret, fields, actor=operator.username
    )
    response.headers["ETag"] = etag(given)
    response.headers["Location"] = f"/api/credentials/{given.id}"
    image = None
    if content is not None:
        png = base64.b64encode(badge_picture(content)).decode()
        image = f"data:image/png;base64,{png}"
    shown = CredentialOut.model_validate(given).model_dump()
    return CredentialGivenOut(**shown, secret=content, image=image)


@router.get("/credentials/{id}", responses=READING)
def one(id: int, response: Response, _viewer: Viewer, services: Services) -> CredentialOut:
    """One card, badge or PIN, without what it holds."""
    found = services.credentials.get(id)
    response.headers["ETag"] = etag(found)
    return CredentialOut.model_validate(found)


@router.put("/credentials/{id}", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503))
def change(
    id: int,
    body: CredentialChange,
    response: Response,
    operator: Operator,
    services: Services,
    if_match: IfMatch = None,
) -> CredentialOut:
    """Change label and dates, block or release it; the gate obeys at once."""
    changed = services.credentials.update(
        id,
        body.model_dump(exclude_unset=True),
        actor=operator.username,
        version=version_of(if_match),
    )
    response.headers["ETag"] = etag(changed)
    return CredentialOut.model_validate(changed)


@router.delete(
    "/credentials/{id}", status_code=204, responses=responses(401, 403, 404, 409, 422, 503)
)
def take(id: int, operator: Operator, services: Services) -> None:
    """Take a card, badge or PIN away."""
    services.credentials.delete(id, actor=operator.username)


@router.post(
    "/kiosk/pin",
    status_code=202,
    tags=["kiosk"],
    responses=responses(400, 401, 403, 409, 413, 422, 429, 503),
)
def pin(body: PinIn, _kiosk: Kiosk, services: Services) -> PinOut:
    """Take a PIN that somebody entered at the gate; from this machine only, and slow to guess."""
    if services.pins is None:
        raise NoGate("there is no gate here to enter a PIN at")
    person_id = services.pins.present(body.personnel_code, body.pin)
    services.running_gate().post(Credential(Method.PIN, person_id))
    return PinOut()
