"""All kinds of things that travel down.

A kind other than persons is small: all of it fits into the first page of a snapshot. Things that
speak of others name them by uid, and what is spoken of stands before in `KINDS`; a gate may still
hear of it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gated.fleet.feed.edits import EDIT
from gated.fleet.feed.operators import OPERATOR
from gated.fleet.feed.persons import PERSON
from gated.fleet.feed.rules import CREDENTIAL_KEYS, GROUP, SCHEDULE, SITE
from gated.fleet.feed.settings import SETTINGS
from gated.fleet.wire.kind import FeedKind

_ALL: tuple[FeedKind[Any], ...] = (
    *(CREDENTIAL_KEYS, SCHEDULE, GROUP, SITE, OPERATOR, EDIT, SETTINGS, PERSON),
)
KINDS: Mapping[str, FeedKind[Any]] = {kind.name: kind for kind in _ALL}
"""By name, in the order in which a page is applied; things are dropped the other way round."""
