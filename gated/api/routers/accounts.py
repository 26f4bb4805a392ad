"""Accounts of people and devices."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from gated.api.deps import Admin, Services
from gated.api.errors import responses
from gated.api.schemas import (
    AccountChange,
    AccountIn,
    AccountOut,
    DeviceIn,
    DeviceTokenOut,
    NewPassword,
)

router = APIRouter(prefix="/api", tags=["accounts"])

WRITING = responses(400, 401, 403, 404, 409, 413, 422, 503)
PEOPLE = Literal["self", "viewer", "operator", "admin", "auditor"]


@router.get("/accounts", responses=responses(401, 403, 422, 503))
def list_(
    _admin: Admin,
    services: Services,
    role: Annotated[PEOPLE | None, Query(description="only those of this role")] = None,
) -> list[AccountOut]:
    """Accounts by name, without devices."""
    found = services.accounts.list_()
    shown = [a for a in found if a.role != "device" and role in (None, a.role)]
    return [AccountOut.model_validate(a) for a in shown]


@router.post("/accounts", status_code=201, responses=WRITING)
def create(body: AccountIn, response: Response, admin: Admin, services: Services) -> AccountOut:
    """Add an account, of a person or of nobody in particular."""
    account = services.accounts.create(
        body.username, body.role, body.password, actor=admin.username, person_id=body.person_id
    )
    response.headers["Location"] = f"/api/accounts/{account.id}"
    return AccountOut.model_validate(account)


@router.get("/accounts/{id}", responses=responses(401, 403, 404, 422, 503))
def one(id: int, _admin: Admin, services: Services) -> AccountOut:
    """One account."""
    return AccountOut.model_validate(services.accounts.get(id))


@router.patch("/accounts/{id}", responses=WRITING)
def change(id: int, body: AccountChange, admin: Admin, services: Services) -> AccountOut:
    """Change role or switch on and off; ends the sessions. The last admin stays one."""
    name = services.accounts.get(id).username
    if body.role is not None:
        services.accounts.set_role(name, body.role, actor=admin.username)
    if body.is_active is not None:
        switch = services.accounts.enable if body.is_active else services.accounts.disable
        switch(name, actor=admin.username)
    return AccountOut.model_validate(services.accounts.get(id))


@router.put("/accounts/{id}/password", responses=WRITING)
def set_password(id: int, body: NewPassword, admin: Admin, services: Services) -> AccountOut:
    """Give an account another password; ends its sessions."""
    name = services.accounts.get(id).username
    account = services.accounts.set_password(name, body.password, actor=admin.username)
    return AccountOut.model_validate(account)


@router.delete("/accounts/{id}", status_code=204, responses=responses(401, 403, 404, 409, 422, 503))
def delete(id: int, admin: Admin, services: Services) -> None:
    """Remove an account and end its sessions; the last admin stays."""
    services.accounts.delete(services.accounts.get(id).username, actor=admin.username)


@router.get("/devices", responses=responses(401, 403, 503))
def devices(_admin: Admin, services: Services) -> list[AccountOut]:
    """Gates and hubs that hold a token, by name."""
    return [AccountOut.model_validate(d) for d in services.devices.list_()]


@router.post("/devices", status_code=201, responses=responses(400, 401, 403, 409, 413, 422, 503))
def add_device(body: DeviceIn, admin: Admin, services: Services) -> DeviceTokenOut:
    """Add a gate or hub; its token is in this answer and nowhere else."""
    device, token = services.devices.add(body.name, actor=admin.username)
    return DeviceTokenOut(id=device.id, username=device.username, token=token)


@router.post("/devices/{id}/token", responses=responses(401, 403, 404, 422, 503))
def renew_device(id: int, admin: Admin, services: Services) -> DeviceTokenOut:
    """Give a device another token; the one before is void."""
    device, token = services.devices.renew(id, actor=admin.username)
    return DeviceTokenOut(id=device.id, username=device.username, token=token)


@router.delete("/devices/{id}", status_code=204, responses=responses(401, 403, 404, 422, 503))
def remove_device(id: int, admin: Admin, services: Services) -> None:
    """Remove a device; its token is void at once."""
    services.devices.remove(id, actor=admin.username)
