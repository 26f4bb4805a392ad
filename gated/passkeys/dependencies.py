"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.accounts.accounts import Accounts
from gated.http.callers import app_services
from gated.passkeys.passkeys import Passkeys


class PasskeyServices(Protocol):
    """The services that routes of this room call."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def passkeys(self) -> Passkeys: ...


Services = Annotated[PasskeyServices, Depends(app_services)]
