"""Services that the routes of this room call."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.accounts.accounts import Accounts
from gated.backup.stored_backups import StoredBackups
from gated.enrollment.jobs import Jobs
from gated.http.callers import app_services


class BackupServices(Protocol):
    """The services that routes of this room call."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def backups(self) -> StoredBackups: ...

    @property
    def jobs(self) -> Jobs: ...


Services = Annotated[BackupServices, Depends(app_services)]
