"""Web hooks: how the targets stand, and a test."""

from __future__ import annotations

from fastapi import APIRouter

from gated.http.answers import Route
from gated.http.callers import Admin
from gated.http.problems import responses
from gated.webhooks.dependencies import Services
from gated.webhooks.schemas import WebhookOut, WebhookTestOut

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=Route)


@router.get("", responses=responses(401, 403, 503))
def list_webhooks(admin: Admin, services: Services) -> list[WebhookOut]:
    """The targets of the configuration: what they took, what they lack, and the last tries."""
    return [WebhookOut.model_validate(webhook) for webhook in services.webhooks.list_()]


@router.post("/{name}/test", responses=responses(401, 403, 404, 422, 503))
def test_webhook(name: str, admin: Admin, services: Services) -> WebhookTestOut:
    """Send a target an event of the type `test`, once, and tell how that went; journaled."""
    outcome = services.webhooks.test(name, actor=admin.username)
    return WebhookTestOut(result=outcome.result, status=outcome.status, says=outcome.says)
