"""Services that the routes of this room call."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.fleet.gate.pictures import PictureIntake
from gated.fleet.hub.change_notifier import ChangeNotifier
from gated.fleet.hub.collect import Collector
from gated.fleet.hub.edit_intake import EditIntake
from gated.fleet.hub.erasure_receipts import Erasures
from gated.fleet.hub.feed import Feed
from gated.fleet.hub.fleet import Fleet
from gated.fleet.hub.operators import Operators
from gated.fleet.hub.review import Review
from gated.fleet.hub.rollouts import Rollouts
from gated.fleet.hub.site_presence import SitePresence
from gated.http.callers import CallerServices, app_services
from gated.workspace import Workspace


class HubServices(CallerServices, Protocol):
    """The services that routes of this room call."""

    @property
    def bell(self) -> ChangeNotifier: ...

    @property
    def collector(self) -> Collector: ...

    @property
    def erasures(self) -> Erasures: ...

    @property
    def feed(self) -> Feed: ...

    @property
    def fleet(self) -> Fleet: ...

    @property
    def intake(self) -> EditIntake: ...

    @property
    def operators(self) -> Operators: ...

    @property
    def pictures(self) -> PictureIntake: ...

    @property
    def review(self) -> Review: ...

    @property
    def rollouts(self) -> Rollouts: ...

    @property
    def site_presence(self) -> SitePresence: ...

    @property
    def workspace(self) -> Workspace: ...


Services = Annotated[HubServices, Depends(app_services)]
