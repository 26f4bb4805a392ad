"""Dependencies of the routes about persons."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.core.roles import Principal
from gated.http.callers import Operator, app_services
from gated.people.groups import Groups
from gated.people.people import People
from gated.people.person_editor import PersonEditor
from gated.workspace import Workspace


class PeopleServices(Protocol):
    """The services that routes of this room call."""

    @property
    def groups(self) -> Groups: ...

    @property
    def people(self) -> People: ...

    @property
    def workspace(self) -> Workspace: ...

    def editor(self, principal: Principal) -> PersonEditor:
        """Choose how somebody changes persons here. Raises: SealError."""
        ...


Services = Annotated[PeopleServices, Depends(app_services)]


def _editor(operator: Operator, services: Services) -> PersonEditor:
    return services.editor(operator)


Editor = Annotated[PersonEditor, Depends(_editor)]
"""Changes persons here or proposes it to the hub, as it is for the operator who asks."""
