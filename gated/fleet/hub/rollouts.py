"""Roll-outs of configurations to gates: in stages, and no further when a gate suffers.

Any process of the hub may take the next step: who decides holds one lock for it, in the transaction
in which the gates are given what they shall have. A gate counts when it runs what it was given and
is well; one that refuses it, has troubles that it did not have before, or falls silent with it
halts the roll-out. Gates that were not heard of in the first place hold up nobody; they are given
the same, and take it when they come back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from gated.change import ROLLOUTS, Change
from gated.config import check_given, given_in
from gated.core.text import is_same
from gated.core.values import moment
from gated.database import change_feed
from gated.database.records import GateRow
from gated.database.tables import new_uid
from gated.errors import AlreadyDone, Broken, ConfigError, Conflict, Mistake, SettingsRefused
from gated.fleet.hub import gate_store as gates
from gated.fleet.hub import rollout_store
from gated.fleet.hub.rollout_store import Configuration, GivenTo, Rollout
from gated.fleet.wire.heartbeat import reported
from gated.journal.journal import Receipt
from gated.workspace import Service

__all__ = ["Configuration", "GateProgress", "Progress", "Rollout", "Rollouts", "Stage"]

log = logging.getLogger(__name__)

UNHEARD = timedelta(seconds=60)
"""A gate says how it is every ten seconds; a restart takes less than this."""

SILENT = timedelta(seconds=180)
"""A gate that is unheard for so long after it was given settings has suffered from them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The gates of a stage, besides those before: gates and sites by name, or everyone."""

    gates: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class GateProgress:
    """One gate of a roll-out. state: running, waiting, unreachable, or failed (`detail`: why)."""

    name: str
    site: str
    stage: int
    state: str
    since: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A roll-out, who began it, whom each stage reaches, and how the gates are so far.

    waiting_for: gates that the present stage still waits for; unreachable: those that it does not.
    """

    rollout: Rollout
    begun_by: str | None
    stages: Sequence[Stage]
    gates: Sequence[GateProgress]
    waiting_for: Sequence[str]
    unreachable: Sequence[str]


class Rollouts(Service):
    """The configurations and roll-outs of a workspace that is a hub; `actor` is who acts."""

    # --- configurations -----------------------------------------------------------------------

    def create(
        self, values: Mapping[str, Any], note: str | None = None, *, actor: str
    ) -> Configuration:
        """Keep values as the next revision; SettingsRefused names each key that is wrong."""
        problems = check_given(values)
        if problems:
            raise SettingsRefused(problems)
        with self.change(actor) as change:
            made = rollout_store.add_configuration(change.session, values, note)
            body = {"revision": made.id, "settings": made.settings}
            change.record("configuration_created", body)
        return made

    def create_of(self, text: str, note: str | None = None, *, actor: str) -> Configuration:
        """Keep the values of a text that is written as gate.yaml is, as `gated hub configure` does.

        SettingsRefused names each line that is wrong.
        """
        try:
            values = given_in(text, "line")
        except ConfigError as error:
            raise SettingsRefused(_by_line(error.mistakes)) from None
        return self.create(values, note, actor=actor)

    def configuration(self, id_: int) -> Configuration:
        """One revision; NotFound."""
        with self._workspace.database.read() as session:
            return rollout_store.configuration(session, id_)

    def configurations(
        self, limit: int | None = None, offset: int = 0
    ) -> tuple[list[Configuration], int]:
        """Revisions, newest first, and how many there are."""
        with self._workspace.database.read() as session:
            return rollout_store.list_configurations(session, limit, offset)

    # --- roll-outs ----------------------------------------------------------------------------

    def start(
        self,
        configuration_id: int,
        stages: Sequence[Stage],
        soak_s: float,
        *,
        automatic: bool = True,
        actor: str,
    ) -> Progress:
        """Give a revision to the gates of the first stage. soak_s: how long a stage has to be well.

        NotFound for a revision or gate that is not there, Conflict while another roll-out runs.
        """
        with self.change(actor) as change:
            change.touches(ROLLOUTS)
            session = change.session
            if (other := rollout_store.running(session)) is not None:
                text = f"roll-out {other.id} runs: halt it first"
                raise Conflict(text).named("rollout_runs")
            made = rollout_store.add(
                session,
                configuration_id=rollout_store.configuration(session, configuration_id).id,
                stages=[_kept(session, s) for s in stages],
                soak_s=soak_s,
                automatic=automatic,
                stage=0,
                state="running",
            )
            reached = self._reach(session, made)
            proof = _record(change, "rollout_started", made, gates=reached)
            made = rollout_store.update(session, made.id, chain=proof.chain, seq=proof.seq)
            return self._progress(session, made)

    def advance(self, id_: int, *, actor: str) -> Progress:
        """Go to the next stage at once, whatever the present one lacks; a halted one goes on.

        NotFound; Conflict when it is over.
        """
        with self.change(actor) as change:
            rollout = _locked(change, id_, "running", "halted")
            other = rollout_store.running(change.session)
            if other is not None and other.id != id_:
                text = f"roll-out {other.id} runs: halt it first"
                raise Conflict(text).named("rollout_runs")
            return self._progress(change.session, self._go_on(change, rollout))

    def halt(self, id_: int, *, actor: str) -> Progress:
        """Reach no further gates; those that were reached keep what they have. Conflict."""
        with self.change(actor) as change:
            _locked(change, id_, "running")
            halted = {"state": "halted", "reason": "by hand"}
            rollout = rollout_store.update(change.session, id_, **halted)
            _record(change, "rollout_halted", rollout)
            return self._progress(change.session, rollout)

    def roll_back(self, id_: int, *, actor: str) -> Progress:
        """Give every gate that was reached what it had before; Conflict, NotFound.

        Gates that a later roll-out has reached keep what that one gave.
        """
        with self.change(actor) as change:
            session, rollout = change.session, _locked(change, id_, "running", "halted", "done")
            given = rollout_store.given_by(session, id_)
            fleet = gates.by_id(session, [g.gate_id for g in given])
            now = moment(change.at)
            back = [_giving(rollout, fleet[g.gate_id], g.stage, g.before_id, g, now) for g in given]
            rollout = rollout_store.update(session, id_, state="rolled_back", reason=None)
            self._give(session, back)
            _record(change, "rollout_rolled_back", rollout, gates=len(back))
            return self._progress(session, rollout)

    def find(self, id_: int) -> Progress:
        """One roll-out and how far it is; NotFound."""
        with self._workspace.database.read() as session:
            return self._progress(session, rollout_store.get(session, id_))

    def list_(self, limit: int | None = None, offset: int = 0) -> tuple[list[Progress], int]:
        """Roll-outs, newest first, and how many there are."""
        with self._workspace.database.read() as session:
            found, total = rollout_store.list_(session, limit, offset)
            fleet = {g.id: g for g in gates.list_(session)}
            return [self._progress(session, rollout, fleet) for rollout in found], total

    # --- by itself ----------------------------------------------------------------------------

    def step(self) -> None:
        """Look how the gates are, and halt, go on, or wait; any process may. StorageError."""
        with self._workspace.database.read() as session:
            if rollout_store.running(session) is None:
                return
        with self.change("roll-outs") as change:
            change.touches(ROLLOUTS)
            session = change.session
            rollout = rollout_store.running(session)
            if rollout is None:
                return
            by_itself, now = change.by(f"roll-out {rollout.id}"), moment(change.at)
            before = rollout_store.given_by(session, rollout.id)
            fleet = gates.by_id(session, [g.gate_id for g in before])
            after = [_looked_at(g, fleet[g.gate_id], now) for g in before]
            rollout_store.give(session, [a for a, b in zip(after, before, strict=True) if a != b])
            failed = [
                f"{fleet[a.gate_id].name}: {a.flaw}"
                for a, b in zip(after, before, strict=True)
                if a.flaw != b.flaw
            ]
            last = rollout.stage + 1 == len(rollout.stages)
            if failed:
                _suffer(by_itself, rollout, "; ".join(failed))
            elif (rollout.automatic or last) and _is_done(rollout, after, fleet, now):
                self._go_on(by_itself, rollout)

    # --- inside -------------------------------------------------------------------------------

    def _go_on(self, change: Change, rollout: Rollout) -> Rollout:
        """Begin the next stage, or end the roll-out after the last one."""
        session = change.session
        if rollout.stage + 1 == len(rollout.stages):
            rollout = rollout_store.update(session, rollout.id, state="done", reason=None)
            _record(change, "rollout_done", rollout)
            return rollout
        values = {"stage": rollout.stage + 1, "state": "running", "reason": None}
        rollout = rollout_store.update(session, rollout.id, **values)
        reached = self._reach(session, rollout)
        _record(change, "rollout_advanced", rollout, gates=reached)
        return rollout

    def _reach(self, session: Session, rollout: Rollout) -> int:
        """Give the configuration to the gates of the present stage; how many there are."""
        now = moment(self._clock.now())
        stage = rollout.stages[rollout.stage]
        there = {g.gate_id for g in rollout_store.given_by(session, rollout.id)}
        wanted = [g for g in gates.list_(session) if _is_reached(g, stage) and g.id not in there]
        before = rollout_store.given_to(session, [g.id for g in wanted])
        given = [
            _giving(
                rollout, g, rollout.stage, rollout.configuration_id, before.get(g.id), now
            )
            for g in wanted
        ]  # fmt: skip
        self._give(session, given)
        return len(given)

    def _give(self, session: Session, given: Sequence[GivenTo]) -> None:
        rollout_store.give(session, given)
        # one thing for all gates: each receives its own version
        change_feed.note(session, change_feed.SETTINGS, [change_feed.SETTINGS])

    def _progress(
        self, session: Session, rollout: Rollout, fleet: Mapping[int, GateRow] | None = None
    ) -> Progress:
        fleet = fleet or {g.id: g for g in gates.list_(session)}
        given = rollout_store.given_by(session, rollout.id)
        now = moment(self._clock.now())
        present = [g for g in given if g.stage == rollout.stage and _is_joined(fleet[g.gate_id])]
        missing = [g for g in present if not _is_well(rollout, g, now)]
        return Progress(
            rollout,
            rollout_store.begun_by(session, rollout),
            [_shown(s, fleet) for s in rollout.stages],
            [_gate_progress(g, fleet[g.gate_id]) for g in given],
            [fleet[g.gate_id].name for g in missing if _counts(g)],
            [fleet[g.gate_id].name for g in missing if not _counts(g) and g.flaw is None],
        )


def _by_line(mistakes: Sequence[Mistake]) -> dict[str, Broken]:
    """Return what is wrong by the place in the text, such as `line:3`.

    Several mistakes of one line have no name together.
    """
    found: dict[str, Broken] = {}
    for one in mistakes:
        why = f"{one.key}: {one.broken.detail}" if one.key else one.broken.detail
        before = found.get(one.place)
        found[one.place] = (
            replace(one.broken, detail=why)
            if before is None
            else Broken(None, None, f"{before.detail}; {why}")
        )
    return found


def _locked(change: Change, id_: int, *states: str) -> Rollout:
    """Read a roll-out that nobody else changes meanwhile; Conflict for one in another state."""
    change.touches(ROLLOUTS)
    rollout = rollout_store.get(change.session, id_)
    if rollout.state not in states:
        raise AlreadyDone(f"roll-out {id_} is {rollout.state.replace('_', ' ')}")
    return rollout


def _suffer(change: Change, rollout: Rollout, reason: str) -> None:
    """Halt a roll-out because of what became of a gate, as an alarm."""
    log.error("roll-out %d is halted: %s", rollout.id, reason)
    rollout = rollout_store.update(change.session, rollout.id, state="halted", reason=reason)
    _record(change, "rollout_halted", rollout, severity="alarm")


def _record(change: Change, kind: str, rollout: Rollout, **more: Any) -> Receipt:
    body = {
        "rollout": rollout.id,
        "revision": rollout.configuration_id,
        "stage": rollout.stage + 1,
        **({"reason": rollout.reason} if rollout.reason else {}),
        **more,
    }
    return change.record(kind, body)


def welcome(session: Session, gate: GateRow, now: datetime) -> None:
    """Give a gate that is new what the last roll-out has given to everyone, or is giving."""
    if rollout_store.given_to(session, [gate.id]):
        return
    for rollout in rollout_store.list_(session)[0]:
        whole = [n for n, s in enumerate(rollout.stages) if s["everyone"]]
        if whole and (rollout.state == "done" or _is_going_on(rollout, whole[0])):
            stage = whole[0] if rollout.state == "done" else rollout.stage
            given = _giving(rollout, gate, stage, rollout.configuration_id, None, now)
            rollout_store.give(session, [given])
            return


def _is_going_on(rollout: Rollout, stage: int) -> bool:
    return rollout.state == "running" and rollout.stage >= stage


# --- stages -------------------------------------------------------------------------------------


def _kept(session: Session, stage: Stage) -> dict[str, Any]:
    """A stage as it is stored; NotFound for a gate that does not exist."""
    return {**asdict(stage), "gates": [gates.by_name(session, name).id for name in stage.gates]}


def _shown(stage: Mapping[str, Any], fleet: Mapping[int, GateRow]) -> Stage:
    names = tuple(fleet[id_].name for id_ in stage["gates"])
    return Stage(names, tuple(stage["sites"]), stage["everyone"])


def _is_reached(gate: GateRow, stage: Mapping[str, Any]) -> bool:
    named = gate.id in stage["gates"] or any(is_same(gate.site, s) for s in stage["sites"])
    return _is_joined(gate) and (stage["everyone"] or named)


def _is_joined(gate: GateRow) -> bool:
    return gate.state == "joined"


# --- gates --------------------------------------------------------------------------------------


def _giving(
    rollout: Rollout,
    gate: GateRow,
    stage: int,
    configuration_id: int | None,
    last: GivenTo | None,
    now: datetime,
) -> GivenTo:
    """Return what a gate is given now. last: what it was given before."""
    before = None
    if last is not None:
        before = last.configuration_id if last.flaw is None else last.before_id
    troubles, heard = list(reported(gate.status).problems), _is_heard(gate, now)
    return GivenTo(
        gate.id, new_uid(), rollout.id, stage, configuration_id, before, troubles, heard,
        None, None, None,
    )  # fmt: skip


def _looked_at(given: GivenTo, gate: GateRow, now: datetime) -> GivenTo:
    """Return how a gate is with what it was given."""
    if given.flaw is not None or not _is_joined(gate):
        return given
    shown = gate.status.get("settings")
    shown = shown if isinstance(shown, Mapping) else {}
    heard = _is_heard(gate, now)
    silent_since = None if heard else given.silent_since or now
    runs = shown.get("given") == given.uid and shown.get("state") == "running"
    new = sorted(set(reported(gate.status).problems) - set(given.troubles)) if runs else []
    flaw, healthy_since = None, None
    if shown.get("refused") == given.uid:
        flaw = f"refused: {str(shown.get('reason'))[:500]}"
    elif new:
        flaw = f"is not well with it: {', '.join(new)}"
    elif given.heard and silent_since is not None and now - silent_since >= SILENT:
        flaw = "was not heard of since it was given it"
    elif runs and heard:
        healthy_since = given.healthy_since or now
    return replace(given, healthy_since=healthy_since, silent_since=silent_since, flaw=flaw)


def _is_done(
    rollout: Rollout, given: Sequence[GivenTo], fleet: Mapping[int, GateRow], now: datetime
) -> bool:
    """Return whether the present stage is: nobody in it, or all who count, and one at least."""
    present = [g for g in given if g.stage == rollout.stage and _is_joined(fleet[g.gate_id])]
    counted = [g for g in present if _counts(g)]
    return not present or (bool(counted) and all(_is_well(rollout, g, now) for g in counted))


def _counts(given: GivenTo) -> bool:
    """Return whether a stage waits for this gate."""
    return given.flaw is None and (given.heard or given.silent_since is None)


def _is_well(rollout: Rollout, given: GivenTo, now: datetime) -> bool:
    since = given.healthy_since
    return since is not None and (now - since).total_seconds() >= rollout.soak_s


def _is_heard(gate: GateRow, now: datetime) -> bool:
    return gate.seen_at is not None and now - gate.seen_at < UNHEARD


def _gate_progress(given: GivenTo, gate: GateRow) -> GateProgress:
    if given.flaw is not None:
        state, since = "failed", None
    elif given.healthy_since is not None:
        state, since = "running", given.healthy_since
    elif _counts(given):
        state, since = "waiting", None
    else:
        state, since = "unreachable", given.silent_since
    return GateProgress(gate.name, gate.site, given.stage + 1, state, since, given.flaw)
