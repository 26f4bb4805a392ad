"""What holds whatever happens in front of the gate.

A state machine sends random events, keeps the history of what it sent, and judges every command
with an oracle of its own that knows nothing of `evidence`, `pad`, `access` and `door`.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gated.core.challenge import Movement
from gated.core.gallery import Gallery
from gated.core.gate import Gate
from gated.core.messages import (
    AlarmsAcknowledged,
    CameraEvent,
    Command,
    Condition,
    Decision,
    DoorEvent,
    Event,
    Expected,
    GalleryReplaced,
    JournalState,
    Observation,
    OperatorUnlock,
    RecordDecision,
    ResetFire,
    Restored,
    SetDoorMode,
    Silenced,
    Tick,
    Trigger,
    Unlock,
)
from gated.core.pad import PAD_LEVELS
from gated.core.policy import GatePolicy
from gated.core.values import (
    RETRYABLE,
    CameraEventKind,
    DoorEventKind,
    DoorMode,
    Instant,
    Reason,
    TrackedFace,
)
from tests.core.bolt import Bolt
from tests.core.policies import asking, door_rules, policy_with
from tests.core.scenes import ANN, BOB, CALIBRATION, CLEO, UTC, at, face, gallery

THRESHOLD, FLOOR, REJECT, MARGIN = 0.4477, 0.3, 0.1699, 0.05
"""What CALIBRATION and the default policy come to for a few people."""

LOOKS: list[dict[int, float]] = [
    {ANN: 0.8},
    {ANN: 0.8, BOB: 0.2},
    {ANN: 0.35},
    {ANN: 0.25},
    {BOB: 0.7},
    {BOB: 0.6, ANN: 0.58},
    {ANN: 0.6, BOB: 0.58},
    {CLEO: 0.75},
    {CLEO: 0.5, ANN: 0.32},
    {},
]
LEFT, UP = Movement.TURN_LEFT, Movement.LOOK_UP
TRACKS = st.integers(1, 3)
SMALL_EVENTS: list[Event] = [
    *(DoorEvent(kind) for kind in DoorEventKind),
    *(CameraEvent(kind) for kind in CameraEventKind),
    *(OperatorUnlock("op", "why", t) for t in (None, 0.0, 1.0, 20.0, 1e9, -5.0, float("nan"))),
    *(SetDoorMode(mode, "op", "why") for mode in DoorMode),
    *(SetDoorMode(mode, "op", "why", UTC + 5.0) for mode in DoorMode),
    *3 * [SetDoorMode(DoorMode.NORMAL, "op", "why")],
    *(Restored(mode, {"door_tamper": "alarm"}) for mode in DoorMode),
    DoorEvent(DoorEventKind.OTHER_CLOSED),
    ResetFire("op", "why"),
    AlarmsAcknowledged("door_forced"),
    Silenced("op"),
    Condition("disk_low", True),
    DoorEvent(DoorEventKind.REX),
    JournalState(False),
    JournalState(True),
    Trigger("button"),
    Expected(None),
    Tick(),
]
COUNTS: Counter[str] = Counter()
"""What the runs came to, so that nothing holds only because nothing happened."""


class Oracle:
    """The definition of a grant, applied to the history of events."""

    def __init__(self, policy: GatePolicy, people: Gallery) -> None:
        self.policy = policy
        self.people = people
        self.frames: dict[int, list[tuple[float, TrackedFace]]] = defaultdict(list)
        self.heard: dict[int, float] = {}
        self.triggered_until = -np.inf
        self.claim: tuple[int, float] | None = None
        self.journal = True

    def hear(self, event: Event, now: float) -> None:
        """Take note of an event before the gate handles it."""
        for track in [t for t, heard in self.heard.items() if now >= heard + 5.0]:
            self._forget(track)
        if isinstance(event, GalleryReplaced):
            self.people = event.gallery
        elif isinstance(event, Trigger) or event == DoorEvent(DoorEventKind.TRIGGER):
            self.triggered_until = now + self.policy.trigger_window_s
        elif isinstance(event, Expected):
            expected = event.person_id is not None and event.for_s > 0
            self.claim = (event.person_id or 0, now + event.for_s) if expected else None
        elif isinstance(event, JournalState):
            self.journal = event.available
        elif isinstance(event, Observation):
            self._observe(event, now)

    def forget(self, event: Event) -> None:
        """Tracks end after the frame that reports their loss."""
        if isinstance(event, Observation):
            for track in event.lost:
                self._forget(track)

    def _forget(self, track: int) -> None:
        self.frames.pop(track, None)
        self.heard.pop(track, None)

    def _observe(self, seen: Observation, now: float) -> None:
        watching = self.identifying(now) or self.claimed(now)
        fresh = 0.0 <= now - seen.captured_at < 1.0
        for f in seen.faces:
            self.heard[f.track_id] = now
            times = [t for t, _ in self.frames[f.track_id]]
            new = seen.captured_at > max(times, default=-np.inf)
            if watching and fresh and new and not f.flaws and f.embedding is not None:
                self.frames[f.track_id].append((seen.captured_at, f))

    def claimed(self, now: float) -> bool:
        """Whether somebody is expected."""
        return self.claim is not None and now < self.claim[1]

    def identifying(self, now: float) -> bool:
        """Whether anybody may be recognised."""
        return not self.policy.trigger or now < self.triggered_until

    def why_not(self, decision: Decision) -> str | None:
        """What speaks against this grant; None when nothing does."""
        person = decision.person
        if person is None or decision.track_id is None:
            return "grants nobody"
        members = {m.person.id: m for m in self.people.members}
        if person.id not in members:
            return "is not in the gallery"
        if not members[person.id].active:
            return "is inactive"
        if not self.journal:
            return "cannot be recorded"
        keep = max(self.policy.max_attempts, self.policy.frames, self.policy.pad.frames)
        frames = [f for _, f in self.frames[decision.track_id]]
        if len(self._movements(person.id, frames)) < self.policy.challenge.count:
            return "has not moved"
        frames = frames[-keep:]
        if self.claimed(decision.at.mono) and self.claim and self.claim[0] == person.id:
            why_not = self._weigh(person.id, frames, alone=True)
            if why_not is None or not self.identifying(decision.at.mono):
                return why_not
        elif not self.identifying(decision.at.mono):
            return "is not expected"
        return self._weigh(person.id, frames)

    def _movements(self, person_id: int, frames: list[TrackedFace]) -> set[str]:
        """What this person was seen to do."""
        seen = set()
        for f in frames:
            if f.mesh is not None and self._scores(f).get(person_id, -1.0) >= FLOOR:
                seen |= {"left"} if f.mesh.yaw > 18 else {"up"} if f.mesh.pitch > 12 else set()
        return seen

    def _weigh(self, person_id: int, frames: list[TrackedFace], alone: bool = False) -> str | None:
        """alone: the others of the gallery do not matter."""
        agreeing: list[tuple[float, float, float, TrackedFace]] = []
        for f in reversed(frames):
            scores = self._scores(f)
            if alone:
                scores = {person_id: scores[person_id]}
            best = max(scores, key=lambda p: scores[p])
            if scores[best] < REJECT or (scores[best] >= FLOOR and best != person_id):
                break
            if scores[best] >= FLOOR:
                others = [s for p, s in scores.items() if p != person_id]
                lead = scores[best] - max(others) if others else np.inf
                agreeing.append((f.quality.score, scores[best], lead, f))
        if len(agreeing) < self.policy.frames:
            return f"has {len(agreeing)} agreeing frames"
        weights = [w for w, *_ in agreeing]
        if np.average([s for _, s, _, _ in agreeing], weights=weights) < THRESHOLD - 1e-6:
            return "is below the threshold"
        if np.average([m for _, _, m, _ in agreeing], weights=weights) < MARGIN - 1e-6:
            return "has no margin"
        return self._attack([f for *_, f in agreeing], frames)

    def _attack(self, agreeing: list[TrackedFace], track: list[TrackedFace]) -> str | None:
        pad = self.policy.pad
        if not pad.enabled:
            return None
        own = [live for f in agreeing if (live := live_of(f)) is not None]
        # the picture is 640x480: a face of 150 pixels between the eyes hides what is around it
        cut_off = any(f.pad is not None and f.quality.eye_distance > 80 for f in agreeing)
        wanted = pad.live_cut_off if cut_off else pad.live
        if len(own) < pad.frames or np.mean(own) < wanted - 1e-9:
            return "is not live"
        return "is an attack" if self.proves_attack(track) or self.proves_attack(agreeing) else None

    def proves_attack(self, frames: list[TrackedFace]) -> bool:
        """Whether the large and sharp ones of these frames prove an attack."""
        pad, scores = self.policy.pad, clear_scores(frames)
        return len(scores) >= pad.frames and float(np.mean(scores)) <= pad.attack - 1e-9

    def _scores(self, f: TrackedFace) -> dict[int, float]:
        """Cosine of a face to each person of the present gallery, in double precision."""
        assert f.embedding is not None
        probe = f.embedding.astype(np.float64)
        scores: dict[int, float] = {}
        for vector, owner in zip(self.people.vectors, self.people.owners, strict=True):
            cosine = float(vector.astype(np.float64) @ probe / np.linalg.norm(probe))
            person_id = self.people.members[owner].person.id
            scores[person_id] = max(scores.get(person_id, -1.0), cosine)
        return scores or {0: -1.0}


def clear_scores(frames: list[TrackedFace]) -> list[float]:
    """Live scores of the large and sharp ones."""
    return [
        live
        for f in frames
        if (live := live_of(f)) is not None
        and 30 <= f.quality.eye_distance <= 80
        and f.quality.sharpness >= 0.3
    ]


def live_of(seen: TrackedFace) -> float | None:
    return seen.pad.live if seen.pad else None


class AnyGate(RuleBasedStateMachine):
    """Random events for one gate. Ticks are sent at the deadline or, when not punctual, rarely."""

    @initialize(
        frames=st.integers(1, 4),
        level=st.sampled_from(["off", "normal", "strict", "challenge"]),
        trigger=st.sampled_from([False, False, True]),
        attempts=st.sampled_from([4, 30]),
        cooldown=st.sampled_from([0.0, 3.0, 60.0]),
        punctual=st.booleans(),
        relock=st.sampled_from(["close", "close", "open", "deadline"]),
        contact=st.booleans(),
        start=st.floats(0.0, 1e6),
    )
    def begin(
        self,
        frames: int,
        level: str,
        trigger: bool,
        attempts: int,
        cooldown: float,
        punctual: bool,
        relock: str,
        contact: bool,
        start: float,
    ) -> None:
        self.policy = policy_with(
            frames=frames,
            pad=PAD_LEVELS[level],
            trigger=trigger,
            max_attempts=attempts,
            cooldown_s=cooldown,
            door=door_rules(relock=relock),
            contact=contact,
            challenge=asking(2 if level == "challenge" else 0, movements=(LEFT, UP)),
        )
        self.punctual = punctual
        self.now = start
        self.first_gallery = gallery([ANN, BOB, CLEO])
        self.gate = Gate(self.policy, self.first_gallery, CALIBRATION, seed=b"a secret")
        self.oracle = Oracle(self.policy, self.first_gallery)
        self.tape: list[tuple[Event, Instant, list[Command]]] = []
        self.frame_no = 0
        self.bolt = Bolt(self.policy, COUNTS)
        self.denied_at: dict[int, float] = {}
        self.attacked_at: dict[int, float] = {}
        self.last_reason: dict[int, Reason] = {}
        COUNTS["runs"] += 1

    # --- what happens ---

    def send(self, event: Event) -> list[Command]:
        self.oracle.hear(event, self.now)
        if isinstance(event, Expected):  # twins may show their cards
            self.last_reason = {
                v: r for v, r in self.last_reason.items() if r is not Reason.AMBIGUOUS
            }
        commands = self.gate.handle(event, at(self.now))
        self.tape.append((event, at(self.now), commands))
        self._check_door(event, commands)
        self._check_decisions(commands)
        self.oracle.forget(event)
        return commands

    def see(self, *faces: TrackedFace, lost: tuple[int, ...] = (), age: float = 0.05) -> None:
        self.frame_no += 1
        self.send(Observation(self.frame_no, self.now - age, 640, 480, faces, lost))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.punctual and (due := self.gate.deadline) is not None and due <= end:
            self.now = due
            self.send(Tick())
            assert self.gate.deadline != due, "a tick at the deadline found nothing to do"
        self.now = end

    @rule(
        track=TRACKS,
        looks=st.sampled_from(LOOKS),
        frames=st.integers(1, 6),
        pad=st.sampled_from([None, 0.1, 0.4, 0.9, 0.9, 0.995]),
        eye=st.sampled_from([20.0, 60.0, 60.0, 150.0]),
        sharpness=st.sampled_from([0.2, 0.7, 0.7]),
        score=st.sampled_from([0.2, 0.8]),
    )
    def somebody_stands_there(
        self,
        track: int,
        looks: dict[int, float],
        frames: int,
        pad: float | None,
        eye: float,
        sharpness: float,
        score: float,
    ) -> None:
        seen = face(looks, track=track, pad=pad, eye=eye, sharpness=sharpness, score=score)
        for _ in range(frames):
            self.pass_time(0.1)
            self.see(seen)

    @rule(looks=st.tuples(st.sampled_from(LOOKS), st.sampled_from(LOOKS)), frames=st.integers(1, 5))
    def two_stand_side_by_side(
        self, looks: tuple[dict[int, float], dict[int, float]], frames: int
    ) -> None:
        for _ in range(frames):
            self.pass_time(0.1)
            self.see(*(face(who, track=n, pad=0.9) for n, who in enumerate(looks, start=1)))

    @rule(track=TRACKS, who=st.sampled_from([ANN, BOB, CLEO]), away=st.sampled_from([0.5, 2.5]))
    def somebody_comes_and_goes(self, track: int, who: int, away: float) -> None:
        self.see(lost=(track,))
        self.send(Trigger("button"))
        self.somebody_stands_there(track, {who: 0.8}, 6, 0.9, 60.0, 0.7, 0.8)
        self.see(lost=(track,))
        self.pass_time(away)

    @precondition(lambda self: self.policy.challenge.count > 0)
    @rule(
        track=TRACKS,
        who=st.sampled_from([ANN, BOB, CLEO]),
        moves=st.permutations([(25.0, 0.0), (0.0, 20.0)]),
    )
    def somebody_moves(self, track: int, who: int, moves: list[tuple[float, float]]) -> None:
        self.see(lost=(track,))
        self.pass_time(2.5)
        self.send(Trigger("button"))
        ahead = (0.0, 0.0)
        for yaw, pitch in (ahead, ahead, ahead, ahead, moves[0], ahead, moves[1], ahead):
            seen = face({who: 0.8}, track=track, pad=0.9, mesh=(yaw, pitch, 0.3))
            for _ in range(2):
                self.pass_time(0.1)
                self.see(seen)

    @rule(track=TRACKS, who=st.sampled_from([ANN, BOB, CLEO]))
    def somebody_holds_up_a_photo(self, track: int, who: int) -> None:
        self.see(lost=(track,))
        self.send(Trigger("button"))
        self.somebody_stands_there(track, {who: 0.8}, 6, 0.05, 60.0, 0.7, 0.8)

    @rule(
        track=TRACKS,
        card=st.sampled_from([ANN, BOB, CLEO]),
        looks=st.sampled_from(LOOKS),
        for_s=st.sampled_from([-1.0, 0.2, 10.0]),
    )
    def somebody_presents_a_card(
        self, track: int, card: int, looks: dict[int, float], for_s: float
    ) -> None:
        self.send(Expected(card, for_s))
        self.somebody_stands_there(track, looks, 4, 0.9, 60.0, 0.7, 0.8)

    @rule()
    def the_door_is_opened_from_both_sides(self) -> None:
        self.send(SetDoorMode(DoorMode.NORMAL, "op", "why"))
        self.send(DoorEvent(DoorEventKind.OTHER_CLOSED))
        self.send(DoorEvent(DoorEventKind.REX))
        self.send(OperatorUnlock("op", "why", 1.0))

    @precondition(lambda self: not self.bolt.fire)
    @rule(seconds=st.sampled_from([0.5, 30.0]))
    def the_door_is_free_for_a_while(self, seconds: float) -> None:
        self.send(DoorEvent(DoorEventKind.OTHER_CLOSED))
        self.send(SetDoorMode(DoorMode.FREE_ACCESS, "op", "why"))
        self.pass_time(seconds)
        self.send(SetDoorMode(DoorMode.NORMAL, "op", "over"))

    @rule(track=TRACKS, frames=st.sampled_from([1, 3, 70]))
    def somebody_looks_away(self, track: int, frames: int) -> None:
        for _ in range(frames):
            self.pass_time(0.1)
            self.see(face({ANN: 0.8}, track=track, flaws=("extreme_pose",)))

    @rule(track=TRACKS, age=st.sampled_from([-1.0, 1.0, 1.5, 20.0]))
    def a_frame_of_another_time(self, track: int, age: float) -> None:
        for _ in range(3):
            self.pass_time(0.1)
            self.see(face({ANN: 0.8}, track=track, pad=0.9), age=age)

    @rule(track=TRACKS)
    def the_same_frame_again(self, track: int) -> None:
        frozen = Observation(0, self.now, 640, 480, (face({ANN: 0.8}, track=track, pad=0.9),))
        for _ in range(4):
            self.send(frozen)

    @rule(track=TRACKS)
    def a_broken_embedding(self, track: int) -> None:
        self.see(face(np.full(12, np.nan, np.float32), track=track, pad=0.9, flaws=()))

    @rule(lost=st.lists(TRACKS, max_size=3))
    def they_leave(self, lost: list[int]) -> None:
        self.see(lost=tuple(lost))

    @rule(
        people=st.sampled_from([(), (BOB,), (ANN, BOB), (ANN, BOB, CLEO), (ANN, BOB, CLEO)]),
        inactive=st.sampled_from([(), (ANN,), (BOB, CLEO)]),
    )
    def the_gallery_is_replaced(self, people: tuple[int, ...], inactive: tuple[int, ...]) -> None:
        self.send(GalleryReplaced(gallery(people, inactive)))

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(event=st.sampled_from(SMALL_EVENTS))
    def something_happens(self, event: Event) -> None:
        self.send(event)

    @precondition(lambda self: self.bolt.fire)
    @rule()
    def the_fire_is_out(self) -> None:
        self.send(DoorEvent(DoorEventKind.FIRE_CLEARED))

    @rule(
        track=TRACKS,
        shut=st.sampled_from(
            [DoorEvent(DoorEventKind.OTHER_OPEN), SetDoorMode(DoorMode.LOCKDOWN, "op", "why")]
        ),
    )
    def somebody_comes_while_it_is_shut_to_all(self, track: int, shut: Event) -> None:
        self.send(shut)
        self.somebody_comes_and_goes(track, ANN, 0.5)

    @precondition(lambda self: self.bolt.mode is not DoorMode.NORMAL or self.bolt.other_open)
    @rule()
    def all_is_back_to_normal(self) -> None:
        self.send(SetDoorMode(DoorMode.NORMAL, "op", "over"))
        self.send(DoorEvent(DoorEventKind.OTHER_CLOSED))

    @precondition(lambda self: self.bolt.until is not None)
    @rule(wait=st.floats(0.0, 5.0), held=st.sampled_from([0.5, 2.0, 40.0]))
    def somebody_goes_through(self, wait: float, held: float) -> None:
        self.pass_time(wait)
        self.send(DoorEvent(DoorEventKind.CONTACT_OPEN))
        self.pass_time(held)
        self.send(DoorEvent(DoorEventKind.CONTACT_CLOSED))

    @precondition(lambda self: not self.oracle.journal)
    @rule()
    def the_journal_is_back(self) -> None:
        self.send(JournalState(True))

    # --- what must hold ---

    def _check_door(self, event: Event, commands: list[Command]) -> None:
        self.bolt.journal = self.oracle.journal
        self.bolt.follow(event, commands, self.now)
        if self.bolt.until is not None:
            assert self.gate.deadline is not None
            assert self.gate.deadline <= self.bolt.until + 1e-6, "nobody will be told to lock"

    def _check_decisions(self, commands: list[Command]) -> None:
        for before, command in zip([None, *commands], commands, strict=False):
            granted = isinstance(before, RecordDecision) and before.decision.granted
            by_visit = isinstance(command, Unlock) and command.cause.startswith("visit")
            assert granted == by_visit, "a grant is recorded first, then the door"
            if isinstance(command, RecordDecision):
                self._check_decision(command.decision)
        assert not (
            commands and isinstance(commands[-1], RecordDecision) and commands[-1].decision.granted
        )

    def _check_decision(self, decision: Decision) -> None:
        visit = decision.visit
        before = self.last_reason.get(visit)
        assert before is None or before in RETRYABLE, f"{decision.reason} after {before}"
        self.last_reason[visit] = decision.reason
        COUNTS[decision.reason] += 1
        COUNTS["challenged"] += decision.granted and self.policy.challenge.count > 0
        if decision.granted:
            assert self.oracle.why_not(decision) is None, self.oracle.why_not(decision)
            assert decision.person is not None
            attacked_at = self.attacked_at.get(decision.person.id, -np.inf)
            assert self.now - attacked_at >= self.policy.lockout_s - 1e-6, "locked out"
            return
        if decision.reason is Reason.SPOOF:
            self._check_attack(decision)
        denied_at = self.denied_at.get(visit, -np.inf)
        assert self.now - denied_at >= self.policy.denial_interval_s - 1e-6, "denied twice"
        self.denied_at[visit] = self.now

    def _check_attack(self, attack: Decision) -> None:
        assert self.policy.pad.enabled, "nobody asked for liveness"
        assert attack.track_id is not None
        scores = clear_scores([f for _, f in self.oracle.frames[attack.track_id]])
        assert len(scores) >= self.policy.pad.frames, "too little for an attack"
        assert min(scores) <= self.policy.pad.attack + 1e-9, "no frame looks like an attack"
        if attack.person is not None:
            self.attacked_at[attack.person.id] = self.now

    @invariant()
    def the_deadline_lies_ahead(self) -> None:
        if self.tape and self.tape[-1][1].mono == self.now:
            due = self.gate.deadline
            assert due is None or due > self.now

    @invariant()
    def only_what_is_there_is_remembered(self) -> None:
        if not self.tape:
            return
        assert set(self.gate.tracks) <= set(self.oracle.heard)
        for number, visit in self.gate.visits.items():
            assert visit.number == number
            assert visit.tracks or visit.left_at is not None
            assert visit.tracks <= set(self.gate.tracks)
        assert len(self.gate.visits) <= len(self.gate.tracks) + sum(
            v.left_at is not None for v in self.gate.visits.values()
        )

    def teardown(self) -> None:
        if not hasattr(self, "gate"):
            return
        self._everything_ends()
        self._the_same_events_give_the_same_commands()

    def _everything_ends(self) -> None:
        """Nothing happens any more: deadlines lead to a gate at rest with the door locked."""
        if self.bolt.fire:
            self.send(DoorEvent(DoorEventKind.FIRE_CLEARED))
        self.send(SetDoorMode(DoorMode.NORMAL, "op", "the end"))
        self.send(Tick())
        for _ in range(100):
            if self.gate.deadline is None:
                break
            self.now = self.gate.deadline
            self.send(Tick())
        assert self.gate.deadline is None
        assert not self.gate.tracks
        assert not self.gate.visits
        assert self.bolt.until is None
        assert not self.policy.contact or self.bolt.granted == self.bolt.settled.keys()

    def _the_same_events_give_the_same_commands(self) -> None:
        again = Gate(self.policy, self.first_gallery, CALIBRATION, seed=b"a secret")
        for event, now, commands in self.tape:
            assert again.handle(event, now) == commands


def test_any_gate() -> None:
    COUNTS.clear()
    many = settings(max_examples=4 * settings().max_examples)
    wanted = (
        Reason.GRANTED,
        Reason.NO_MATCH,
        Reason.SPOOF,
        Reason.CHALLENGE_FAILED,
        "challenged",
        "lock",
        "unlock rex",
        "unlock remote",
        "unlock free",
        "passed",
        "not_used",
        Reason.LOCKDOWN,
        Reason.INTERLOCK,
    )
    for _ in range(4):  # what is rare may not happen in one round of random runs
        run_state_machine_as_test(AnyGate, settings=many)
        if all(COUNTS[happened] for happened in wanted):
            break
    for happened in wanted:
        assert COUNTS[happened], f"{happened} never happened in {COUNTS['runs']} runs"


def test_the_oracle_can_tell() -> None:
    """It would be worth nothing if it agreed with everything."""
    gate = Gate(policy_with(), gallery(), CALIBRATION)
    oracle = Oracle(policy_with(frames=4), gallery())
    for n in range(3):
        seen = Observation(n, n / 10, 640, 480, (face({ANN: 0.8}),))
        oracle.hear(seen, n / 10)
        commands = gate.handle(seen, at(n / 10))
    (decision,) = [c.decision for c in commands if isinstance(c, RecordDecision)]
    assert oracle.why_not(decision) == "has 3 agreeing frames"
    oracle.policy = policy_with()
    assert oracle.why_not(decision) is None
    oracle.people = gallery([BOB])
    assert oracle.why_not(decision) == "is not in the gallery"
    oracle.people = gallery(inactive=[ANN])
    assert oracle.why_not(decision) == "is inactive"
    oracle.people = gallery()
    oracle.policy = policy_with(pad=PAD_LEVELS["normal"])
    assert oracle.why_not(decision) == "is not live"


@pytest.mark.parametrize("looks", LOOKS)
def test_no_look_lies_on_an_edge(looks: dict[int, float]) -> None:
    """The oracle is exact only where rounding cannot tip a comparison."""
    for cosine in looks.values():
        assert min(abs(cosine - edge) for edge in (THRESHOLD, FLOOR, REJECT)) > 0.01
