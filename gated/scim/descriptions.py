"""The service as it describes itself: what it can do, which resources it has (RFC 7643, 5 to 7)."""

from __future__ import annotations

from typing import Any

from gated.scim.attributes import ENTERPRISE, GROUPS, USERS, Attribute, Kind
from gated.scim.resources import MOST

CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"

KINDS = (USERS, GROUPS)


def service_provider_config(base: str) -> dict[str, Any]:
    """Describe what the service can do."""
    no, yes = {"supported": False}, {"supported": True}
    return {
        "schemas": [CONFIG],
        "patch": yes,
        "bulk": {**no, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {**yes, "maxResults": MOST},
        "changePassword": no,
        "sort": no,
        "etag": yes,
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token of a device with the role directory.",
                "primary": True,
            }
        ],
        "meta": _meta("ServiceProviderConfig", f"{base}/ServiceProviderConfig"),
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    """Describe the types of resources."""
    return [
        {
            "schemas": [RESOURCE_TYPE],
            "id": kind.name,
            "name": kind.name,
            "endpoint": kind.endpoint,
            "description": kind.description,
            "schema": kind.urn,
            **_extensions(kind),
            "meta": _meta("ResourceType", f"{base}/ResourceTypes/{kind.name}"),
        }
        for kind in KINDS
    ]


def schemas(base: str) -> list[dict[str, Any]]:
    """Describe the attributes."""
    found = [_schema(base, kind.urn, kind.name, kind.attributes) for kind in KINDS]
    own = USERS.extensions[ENTERPRISE]
    return [*found, _schema(base, ENTERPRISE, "EnterpriseUser", own)]


def _extensions(kind: Kind) -> dict[str, Any]:
    found = [{"schema": urn, "required": False} for urn in kind.extensions]
    return {"schemaExtensions": found} if found else {}


def _schema(base: str, urn: str, name: str, attributes: tuple[Attribute, ...]) -> dict[str, Any]:
    return {
        "schemas": [SCHEMA],
        "id": urn,
        "name": name,
        "description": f"{name}, as far as it is kept here.",
        "attributes": [attribute.described() for attribute in attributes],
        "meta": _meta("Schema", f"{base}/Schemas/{urn}"),
    }


def _meta(kind: str, location: str) -> dict[str, str]:
    return {"resourceType": kind, "location": location}
