"""Requests as Entra ID and Okta document that they send them, with other people in them."""

from __future__ import annotations

from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def entra_user(name: str, **more: Any) -> dict[str, Any]:
    """A user as Entra ID creates one."""
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": name,
        "userName": f"{name}@works.example",
        "active": True,
        "displayName": f"Lena {name}",
        "emails": [{"primary": True, "type": "work", "value": f"{name}@works.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": f"Lena {name}", "familyName": name, "givenName": "Lena"},
        "preferredLanguage": "nb-NO",
        "roles": [],
        **more,
    }


def okta_user(name: str, **more: Any) -> dict[str, Any]:
    """A user as Okta creates one; the password is one that Okta has made up."""
    return {
        "schemas": [USER],
        "userName": f"{name}@works.example",
        "name": {"givenName": "Omar", "familyName": name},
        "emails": [{"primary": True, "value": f"{name}@works.example", "type": "work"}],
        "displayName": f"Omar {name}",
        "locale": "en-US",
        "externalId": f"00u{name}",
        "groups": [],
        "password": "made-up-1-2-3",
        "active": True,
        **more,
    }


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """A PATCH with these operations."""
    return {"schemas": [PATCH], "Operations": list(operations)}


def replace(path: str | None, value: Any) -> dict[str, Any]:
    """An operation in the spelling of Entra ID."""
    return {"op": "Replace", **({} if path is None else {"path": path}), "value": value}
