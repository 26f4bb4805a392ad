"""The settings of this gate: read, and changed as far as they may be set on its pages."""

from __future__ import annotations

from fastapi import APIRouter

from gated.fleet.gate.dependencies import Services
from gated.fleet.gate.schemas import SettingOut, SettingsChangeOut, SettingsIn, SettingsOut
from gated.http.answers import Route
from gated.http.callers import Admin, ChangeByAdmin
from gated.http.problems import responses

router = APIRouter(prefix="/api/settings", tags=["settings"], route_class=Route)


@router.get("", responses=responses(409))
def list_(_admin: Admin, services: Services) -> SettingsOut:
    """Settings in force, where each comes from, and how far the newest change is."""
    own = services.own_settings
    return SettingsOut(
        file=own.file,
        change=SettingsChangeOut.model_validate(own.newest()),
        settings=[SettingOut.model_validate(setting) for setting in own.list_()],
    )


@router.put("", status_code=202, responses=responses(409))
def change(body: SettingsIn, change: ChangeByAdmin, services: Services) -> SettingsChangeOut:
    """Change settings of this gate: it starts again when nobody is there, and tries them."""
    with change:
        services.own_settings.change(change, body.values)
    return SettingsChangeOut.model_validate(services.own_settings.newest())


@router.get("/change")
def newest(_admin: Admin, services: Services) -> SettingsChangeOut:
    """Return how far the newest change of settings is."""
    return SettingsChangeOut.model_validate(services.own_settings.newest())
