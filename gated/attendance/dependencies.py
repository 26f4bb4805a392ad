"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.attendance.attendance import Attendance
from gated.attendance.correction_requests import CorrectionRequests
from gated.attendance.payroll import Payroll
from gated.attendance.reports import Reports
from gated.http.callers import app_services


class AttendanceServices(Protocol):
    """The services that routes of this room call."""

    @property
    def attendance(self) -> Attendance: ...

    @property
    def correction_requests(self) -> CorrectionRequests: ...

    @property
    def payroll(self) -> Payroll: ...

    @property
    def reports(self) -> Reports: ...


Services = Annotated[AttendanceServices, Depends(app_services)]
