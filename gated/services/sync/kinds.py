"""All kinds of things that travel down, besides persons.

A kind is small: all of it fits into the first page of a snapshot. Things that speak of others name
them by uid, and what is spoken of stands before in `KINDS`; a gate may still hear of it later.
"""

from __future__ import annotations

from collections.abc import Mapping

from gated.services.sync.edits_down import EDIT
from gated.services.sync.kind import Kind
from gated.services.sync.operators_down import OPERATOR
from gated.services.sync.rules_down import CREDENTIAL_KEYS, GROUP, SCHEDULE, SITE
from gated.services.sync.settings_down import SETTINGS

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (CREDENTIAL_KEYS, SCHEDULE, GROUP, SITE, OPERATOR, EDIT, SETTINGS)
}
"""By name, in the order in which a snapshot tells of them; they are dropped the other way round."""
