"""Bodies of requests and answers for those who run a fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gated.fleet.hub.fleet import FleetGate
from gated.fleet.hub.operators import Editor
from gated.fleet.hub.review import ReviewedEdit
from gated.fleet.hub.sync_schemas import Edits, Groups
from gated.http.schemas import In, Out, Text


class FleetGateIn(In):
    name: Text
    site: Text
    groups: Groups = ()
    """Whose members the gate is given."""
    everyone: bool = False
    """The gate is given everybody."""
    photos: bool = False
    """The gate is given reference photos, too, for models of its own."""
    edits: Edits = "none"
    """What operators may change there: nothing, or people; before the hub accepts it or not."""


class FleetGateChange(In):
    """Fields that are left out stay as they are."""

    name: Text = ""
    site: Text = ""
    groups: Groups = ()
    everyone: bool = False
    photos: bool = False
    edits: Edits = "none"


class ReportedSettingsOut(Out):
    revision: int
    """The one that it runs; 0: none, its own file."""
    state: str | None
    """running, waiting, trial or refused."""
    reason: str | None
    """Why it refused the last one."""
    overruled: Sequence[str]
    """Keys for which its file or environment says something else."""


class ReportedOut(Out):
    version: str | None
    started_at: str | None
    people: int | None
    templates: int | None
    gallery: str | None
    """Digest of whom it knows by which templates: equal at gates that know the same."""
    clock_ok: bool | None
    clock_offset_s: float | None
    """Its clock less that of the hub."""
    disk_free: int | None
    """Bytes."""
    backlog: int | None
    """Rows of its journal that the hub does not have."""
    alarms: Sequence[str]
    problems: Sequence[str]
    settings: ReportedSettingsOut


class FleetGateOut(Out):
    id: int
    uid: str
    name: str
    site: str
    state: str
    """invited, joined or revoked."""
    groups: Sequence[str]
    everyone: bool
    photos: bool
    edits: Edits
    invite_until: datetime | None
    """Until when its code lets a gate in; null once one has joined."""
    joined_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    model: str | None
    troubled: bool
    """It reported alarms or problems, or the hub noticed something."""
    troubles: Sequence[str]
    """What is wrong: `silent` (not heard of), `forked` (two units report as this gate),
    `clock_off` (by five minutes or more), `backlog_grows`, and the gate's problems and alarms."""
    configuration: int
    """The revision that it was given; 0: none, its own file."""
    reported: ReportedOut
    """The gate's latest report of itself."""
    status: Mapping[str, Any]
    """The same in its own words."""

    @staticmethod
    def of(found: FleetGate) -> FleetGateOut:
        values = {name: getattr(found.gate, name) for name in _OF_THE_GATE}
        if found.gate.state == "joined":
            # kept for the gate that did not hear that it had joined
            values["invite_until"] = None
        report = ReportedOut.model_validate(found.reported)
        return FleetGateOut(
            **values,
            groups=found.groups,
            configuration=found.wanted,
            reported=report,
            troubles=found.troubles,
        )


_OF_THE_GATE = FleetGateOut.model_fields.keys() - {
    *("groups", "configuration", "reported", "troubles")
}


class FleetOperatorIn(In):
    groups: Groups = ()
    """Whose members they may edit, at the gates that carry them."""
    everyone: bool = False
    """They may edit everybody whom a gate carries."""


class FleetOperatorOut(Out):
    username: str
    groups: Sequence[str]
    everyone: bool
    known: bool
    """Whether gates can know them: the password was seen since they were allowed."""

    @staticmethod
    def of(found: Editor) -> FleetOperatorOut:
        return FleetOperatorOut(
            username=found.username,
            groups=list(found.groups.values()),
            everyone=found.everyone,
            known=found.public_key is not None,
        )


class InvitationOut(Out):
    id: int
    name: str
    code: str
    valid_until: datetime


FleetEditState = Literal["pending", "accepted", "refused"]


class FleetEditOut(Out):
    id: int
    uid: str
    kind: str
    gate: str
    operator: str
    person: str
    """uid."""
    person_id: int | None
    """Of who is known here."""
    name: str | None
    made_at: datetime
    received_at: datetime
    state: FleetEditState
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    conflict: bool
    """The person was changed here after the version that the gate knew."""
    waits: int | None
    """The edit that has to be decided first."""
    wants: Mapping[str, Any] | None
    """Of one pending edit: what it is to change."""
    has: Mapping[str, Any] | None
    """What is there now."""

    @staticmethod
    def of(found: ReviewedEdit) -> FleetEditOut:
        values = {name: getattr(found.edit, name) for name in _OF_THE_EDIT}
        shown = {name: getattr(found, name) for name in _OF_THE_REVIEW}
        person = found.person
        return FleetEditOut(
            **values,
            **shown,
            person_id=None if person is None else person.id,
            name=None if person is None else person.name,
        )


_OF_THE_REVIEW = ("gate", "operator", "conflict", "waits", "wants", "has")
_OF_THE_EDIT = FleetEditOut.model_fields.keys() - {*_OF_THE_REVIEW, "person_id", "name"}


class AcceptIn(In):
    anyway: bool = False
    """Although the hub has changed the person since."""
    override: Annotated[Text, Field(min_length=3)] | None = None
    """Why the face may be another person's, too; admins only."""


class RefuseIn(In):
    reason: Text | None = None
    """What the operator reads at the gate."""
    erase: bool = False
    """Somebody who is new is forgotten for ever, at the gate as well."""


class GateConfirmationOut(Out):
    gate: str
    state: str
    seen_at: datetime | None
    confirmed_at: datetime | None
    """When the gate said that the person is gone there; null: outstanding."""


class SetApartOut(Out):
    chain: str
    seq: int
    reason: str
    at: datetime
    row: Mapping[str, Any] | None
    """As it came; null where the journal has it, or where it named a person."""
    private: Mapping[str, Mapping[str, Any]]
    """Whom the row speaks of and who acted, as far as the row commits to it."""


class FleetErasureOut(Out):
    uid: str
    erased_at: datetime
    closed_at: datetime | None
    """Since when only the number of gates that confirmed it is kept, and those that cannot."""
    confirmed: int
    outstanding: int
    gates: Sequence[GateConfirmationOut]
