"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.accounts.accounts import Accounts
from gated.accounts.audit import Audit
from gated.accounts.devices import Devices
from gated.accounts.setup import FirstAdmin
from gated.http.callers import app_services
from gated.link.shares import Shares


class AccountServices(Protocol):
    """The services that routes of this room call."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def audit(self) -> Audit: ...

    @property
    def devices(self) -> Devices: ...

    @property
    def setup(self) -> FirstAdmin: ...

    @property
    def streams(self) -> Shares: ...


Services = Annotated[AccountServices, Depends(app_services)]
