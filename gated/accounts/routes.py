"""Accounts of people and devices."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from gated.accounts.dependencies import Services
from gated.accounts.schemas import (
    AccountChange,
    AccountIn,
    AccountOut,
    DeviceIn,
    DeviceOut,
    DeviceTokenOut,
    NewPassword,
)
from gated.core.roles import PROGRAMS
from gated.http.answers import Route
from gated.http.callers import Admin, ChangeByAdmin
from gated.http.listing import page_headers
from gated.http.problems import responses

router = APIRouter(prefix="/api", tags=["accounts"], route_class=Route)

WRITING = responses(404, 409)
PEOPLE = Literal["self", "viewer", "operator", "admin", "auditor"]


@router.get("/accounts")
def list_(
    request: Request,
    response: Response,
    _admin: Admin,
    services: Services,
    role: Annotated[PEOPLE | None, Query(description="only those of this role")] = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[AccountOut]:
    """Accounts by name, no devices; their number is in X-Total-Count, the next page in Link."""
    found = services.accounts.list_()
    shown = [a for a in found if a.role not in PROGRAMS and role in (None, a.role)]
    page = shown[offset : None if limit is None else offset + limit]
    response.headers.update(page_headers(request, len(page), len(shown), limit, offset))
    return [AccountOut.model_validate(a) for a in page]


@router.post("/accounts", status_code=201, responses=WRITING)
def create(body: AccountIn, response: Response, admin: Admin, services: Services) -> AccountOut:
    """Add an account, of a person or of nobody in particular."""
    account = services.accounts.create(
        body.username, body.role, body.password, actor=admin.username, person_id=body.person_id
    )
    response.headers["Location"] = f"/api/accounts/{account.id}"
    return AccountOut.model_validate(account)


@router.get("/accounts/{id}", responses=responses(404))
def one(id: int, _admin: Admin, services: Services) -> AccountOut:
    """One account."""
    return AccountOut.model_validate(services.accounts.get(id))


@router.patch("/accounts/{id}", responses=WRITING)
def change(id: int, body: AccountChange, change: ChangeByAdmin, services: Services) -> AccountOut:
    """Change role or switch on and off; ends the sessions. The last admin stays one."""
    name = services.accounts.get(id).username
    with change:
        if body.role is not None:
            services.accounts.set_role(change, name, body.role)
        if body.is_active is not None:
            switch = services.accounts.enable if body.is_active else services.accounts.disable
            switch(change, name)
    return AccountOut.model_validate(services.accounts.get(id))


@router.put("/accounts/{id}/password", responses=WRITING)
def set_password(id: int, body: NewPassword, admin: Admin, services: Services) -> AccountOut:
    """Give an account another password; ends its sessions."""
    name = services.accounts.get(id).username
    account = services.accounts.set_password(name, body.password, actor=admin.username)
    return AccountOut.model_validate(account)


@router.delete("/accounts/{id}", status_code=204, responses=responses(404, 409))
def delete(id: int, change: ChangeByAdmin, services: Services) -> None:
    """Remove an account and end its sessions; the last admin stays."""
    name = services.accounts.get(id).username
    with change:
        services.accounts.delete(change, name)


@router.get("/devices")
def devices(_admin: Admin, services: Services) -> list[DeviceOut]:
    """Gates, hubs, screens and directories that hold a token, by name."""
    return [
        DeviceOut(
            **AccountOut.model_validate(device).model_dump(),
            last_seen_at=device.last_seen_at,
            watching=services.streams.holds(device.id),
        )
        for device in services.devices.list_()
    ]


@router.post("/devices", status_code=201, responses=responses(409))
def add_device(body: DeviceIn, change: ChangeByAdmin, services: Services) -> DeviceTokenOut:
    """Add a gate, hub, screen or directory; its token is in this answer and nowhere else."""
    with change:
        device, token = services.devices.add(change, body.name, body.role)
    return DeviceTokenOut(id=device.id, username=device.username, token=token)


@router.post("/devices/{id}/token", responses=responses(404))
def renew_device(id: int, change: ChangeByAdmin, services: Services) -> DeviceTokenOut:
    """Give a device another token; the one before is void."""
    with change:
        device, token = services.devices.renew(change, id)
    return DeviceTokenOut(id=device.id, username=device.username, token=token)


@router.delete("/devices/{id}", status_code=204, responses=responses(404))
def remove_device(id: int, change: ChangeByAdmin, services: Services) -> None:
    """Remove a device; its token is void at once."""
    with change:
        services.devices.remove(change, id)
