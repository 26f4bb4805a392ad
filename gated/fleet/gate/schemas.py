"""Bodies about edits of the hub's people that were made at this gate, and about its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gated.http.schemas import In, Out

EdgeEditState = Literal["waiting", "sent", "accepted", "refused"]


class EdgeEditOut(Out):
    uid: str
    kind: str
    person: str
    """uid."""
    operator: str
    made_at: datetime
    at_once: bool
    """It worked here before the hub decided."""
    state: EdgeEditState
    reason: str | None
    decided_at: datetime | None


_Word = Annotated[str, StringConstraints(max_length=200)]
_Value = bool | int | float | _Word | None | Annotated[list[_Word], Field(max_length=20)]
_Part = Annotated[dict[_Word, _Value], Field(min_length=1, max_length=50)]


class SettingsIn(In):
    values: Annotated[dict[_Word, _Part], Field(min_length=1, max_length=20)]
    """Section -> key -> value, as in the configuration file."""


class SettingsChangeOut(Out):
    state: Literal["none", "waiting", "trial", "refused"]
    """waiting for nobody to be at the gate; on trial; refused, and what held before holds."""
    by: str
    values: Mapping[str, Mapping[str, Any]] | None
    reason: str
    problems: Sequence[str]
    """Codes of the problems that the gate had with it, as in its status; `reason` is a sentence."""
    rule: str | None
    """Name of the reason, as in `errors` of a problem; null where it has none."""
    limit: str | None


class SettingOut(Out):
    key: str
    value: Any
    default: Any
    source: Literal["environment", "pages", "file", "hub", "default"]
    place: str
    """File and line, variable, or revision."""
    explanation: str
    form: Mapping[str, Any] | None
    """JSON schema of the value; null: it is set in the file of the gate only."""


class SettingsOut(Out):
    file: str | None
    change: SettingsChangeOut
    settings: Sequence[SettingOut]
