"""Configurations that a hub gives to its gates, and how they are rolled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from gated.fleet.hub.rollouts import Progress, Stage
from gated.http.schemas import In, Out, Text

Word = Annotated[str, StringConstraints(pattern=r"^\w{1,64}$")]
Settings = Mapping[Word, Mapping[Word, Any]]
"""Section -> key -> value, as in gate.yaml."""


class ConfigurationIn(In):
    """Settings as an object, or as a text; one of the two."""

    settings: Annotated[Settings, Field(max_length=64)] | None = None
    """All that gates are given; what is left out is as their files say."""
    text: Annotated[str, StringConstraints(max_length=65_536)] | None = None
    """The same, written as gate.yaml is; what is wrong is named by its line."""
    note: Text | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.settings is None) == (self.text is None):
            raise ValueError("settings or text is needed, not both")
        return self


class ConfigurationOut(Out):
    id: int
    """The number of the revision."""
    settings: Settings
    note: str | None
    created_at: datetime


class StageIn(In):
    """The gates that a stage reaches, besides those before."""

    gates: Annotated[Sequence[Text], Field(max_length=10_000)] = ()
    """By name."""
    sites: Annotated[Sequence[Text], Field(max_length=1000)] = ()
    everyone: bool = False

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Self:
        if not (self.gates or self.sites or self.everyone):
            raise ValueError("a stage names gates or sites, or is for everyone")
        return self

    def stage(self) -> Stage:
        return Stage(tuple(self.gates), tuple(self.sites), self.everyone)


class RolloutIn(In):
    configuration: Annotated[int, Field(ge=1, le=2**53)]
    """The number of a revision."""
    stages: Annotated[Sequence[StageIn], Field(min_length=1, max_length=50)]
    soak_s: Annotated[float, Field(ge=0, le=604_800)] = 300.0
    """Seconds for which all gates of a stage have to be well."""
    automatic: bool = True
    """Go on to the next stage when one is done; else by hand."""


class StageOut(Out):
    gates: Sequence[str]
    sites: Sequence[str]
    everyone: bool


class GateProgressOut(Out):
    name: str
    site: str
    stage: int
    """From 1."""
    state: str
    """running, waiting, unreachable or failed."""
    since: datetime | None
    """Well, or not heard of, since then."""
    detail: str | None


class RolloutOut(Out):
    id: int
    configuration: int
    state: str
    """running, halted, done or rolled_back."""
    reason: str | None
    stage: int
    """The present one, from 1."""
    stages: Sequence[StageOut]
    soak_s: float
    automatic: bool
    begun_by: str | None
    begun_at: datetime
    waiting_for: Sequence[str]
    """Gates of the present stage that are not well for long enough yet."""
    unreachable: Sequence[str]
    """Those of them that nothing is heard of; the stage does not wait for them."""
    gates: Sequence[GateProgressOut]

    @staticmethod
    def of(found: Progress) -> RolloutOut:
        rollout = found.rollout
        return RolloutOut(
            id=rollout.id,
            configuration=rollout.configuration_id,
            state=rollout.state,
            reason=rollout.reason,
            stage=rollout.stage + 1,
            stages=[StageOut.model_validate(s) for s in found.stages],
            soak_s=rollout.soak_s,
            automatic=rollout.automatic,
            begun_by=found.begun_by,
            begun_at=rollout.created_at,
            waiting_for=found.waiting_for,
            unreachable=found.unreachable,
            gates=[GateProgressOut.model_validate(g) for g in found.gates],
        )
