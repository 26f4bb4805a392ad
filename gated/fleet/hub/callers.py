"""A gate of this hub as the caller of a request, known by its signature."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gated.core.roles import Role
from gated.errors import (
    NotJoined,
    NotSignedIn,
    Revoked,
)
from gated.fleet.hub.dependencies import HubServices, Services
from gated.fleet.hub.fleet import GateCaller, Holder
from gated.http.callers import CALLER, HOLDER, Require, Token, recognise
from gated.http.headers import HEADER


async def _body(request: Request) -> bytes:
    return await request.body()


class RequireGate:
    """Lets pass a gate of this hub that has signed its request; one look at the database.

    NotSignedIn, NotAllowed, NotJoined, BadSignature, ClockSkew.
    """

    role = Role.DEVICE
    answers = (401, 403, 409)

    def __call__(
        self,
        request: Request,
        services: Services,
        token: Token,
        body: Annotated[bytes, Depends(_body)],
    ) -> GateCaller:
        known: GateCaller | None = request.scope.get(CALLER)
        if known is not None:
            return known
        query = request.url.query
        target = request.url.path + (f"?{query}" if query else "")
        header = request.headers.get(HEADER, "")
        holder = self.admit(request, services, token)
        caller = services.fleet.proved(holder, (request.method, target, body), header)
        request.scope[CALLER] = caller
        return caller

    def admit(self, request: Request, services: HubServices, token: str) -> Holder:
        """Ask for the token alone, as before the body is read."""
        known: Holder | None = request.scope.get(HOLDER)
        if known is not None:
            return known
        try:
            holder = services.fleet.holder(token)
        except NotJoined:
            self._require_device(request, services, token)
            raise
        request.scope[HOLDER] = holder
        recognise(request, f"gate {holder.gate.uid}")
        return holder

    def _require_device(self, request: Request, services: HubServices, token: str) -> None:
        """Refuse a caller without a device's token, and one that signs as a gate and is none."""
        try:
            Require(self.role).admit(request, services, token)
        except NotSignedIn:
            if HEADER not in request.headers:
                raise
            raise Revoked(
                "this gate was revoked, or is not known here: let it join again"
            ) from None


FromGate = Annotated[GateCaller, Depends(RequireGate())]
