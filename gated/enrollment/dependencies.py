"""Declare what the routes of this room depend on."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.core.roles import Principal
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.jobs import Jobs
from gated.enrollment.local_editor import PhotoEditor
from gated.enrollment.photo_doubts import PhotoDoubts
from gated.http.callers import Operator, app_services
from gated.people.people import People
from gated.workspace import Workspace


class EnrollmentServices(Protocol):
    """The services that routes of this room call."""

    @property
    def enrollment_queue(self) -> EnrollmentQueue: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def people(self) -> People: ...

    @property
    def photo_doubts(self) -> PhotoDoubts: ...

    @property
    def references(self) -> Enrollments: ...

    @property
    def workspace(self) -> Workspace: ...

    def editor(self, principal: Principal) -> PhotoEditor:
        """Choose how somebody changes persons and photos here. Raises: SealError."""
        ...


Services = Annotated[EnrollmentServices, Depends(app_services)]


def _editor(operator: Operator, services: Services) -> PhotoEditor:
    return services.editor(operator)


Editor = Annotated[PhotoEditor, Depends(_editor)]
"""Changes persons and photos here or proposes it to the hub, as it is for the operator who asks."""
