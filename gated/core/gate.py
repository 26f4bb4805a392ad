"""The gate: a state machine without I/O. Events and the time go in, commands come out.

Theory of operation
-------------------
Every track opens a *visit*: WATCHING -> PENDING -> GRANTED | DENIED -> CLOSED. Usable frames with
an embedding become samples of the track; after each sample the track's evidence is weighed
(`evidence`), then its liveness (`pad`), then the rules (`access`). The first grant ends the visit's
search; a retryable denial may still become that one grant. Tracks recognised as the same person
share a visit. A visit closes some seconds after its last track was lost. A track without
observations for some time counts as lost: observations may be dropped on their way, and a visit
that never closes would never let its person in again.

The gate never reads a clock: `handle` is given the time, `deadline` says when it needs a Tick. All
state follows from the events, so that the same events give the same commands. A new gallery is an
event, too: the samples of open tracks are matched again, nothing of the old gallery survives.

This module decides identity and liveness; `admission` (`access_control`) decides who is let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from gated.core.access import Need
from gated.core.access_control import AccessControl
from gated.core.calibration import Calibration
from gated.core.challenge import Challenge, Challenger, posture_of
from gated.core.door_supervision import DoorSupervision
from gated.core.evidence import Identification, Identity, Sample, weigh
from gated.core.facial_motion import LEAST_FRAMES, moves_by_itself
from gated.core.gallery import Gallery, GalleryPerson, unit
from gated.core.messages import (
    Attention,
    Command,
    CredentialPresented,
    Decision,
    DoorEvent,
    Event,
    Expected,
    Forgive,
    GalleryReplaced,
    GateState,
    JournalState,
    LastPunches,
    Notice,
    Observation,
    PlanReplaced,
    PresenceHeard,
    RecordEvent,
    ReleaseFailed,
    RemotePresence,
    Tick,
    Trigger,
)
from gated.core.pad import AttackMemory, Liveness, PadScore, pad_score, shape_of
from gated.core.passage import Passage
from gated.core.policy import GatePolicy, criteria_for
from gated.core.static_faces import StaticFaces
from gated.core.tailgating import Tailgating
from gated.core.values import DoorEventKind, Instant, Method, Outcome, Reason, TrackedFace
from gated.core.verification import REOPENED, IdentityClaim
from gated.core.visit import TrackState, VisitInput, Visits, VisitState


@dataclass(frozen=True, slots=True)
class Judgement:
    """The evidence of one track as it was weighed at one moment.

    liveness, pad: verdict on the track, and its mean score (None without scores). captured_at:
    monotonic time of the frame that caused the judgement.
    """

    track: TrackState
    finding: Identification
    liveness: Liveness
    pad: float | None
    captured_at: float
    now: Instant


class Gate:
    """One gate with its door. Not thread-safe: the controller thread owns it."""

    def __init__(
        self,
        policy: GatePolicy,
        gallery: Gallery,
        calibration: Calibration,
        seed: bytes = b"",
    ) -> None:
        """Make a gate. seed: secret randomness for challenges; without it there are none."""
        self.policy = policy
        self.calibration = calibration
        self.attacks = AttackMemory(policy.lockout_s, policy.alarm_attacks, policy.alarm_window_s)
        self.fixed_faces = StaticFaces()
        self.company = Tailgating(policy.unlock_s)
        self.challenger = Challenger(policy.challenge, seed)
        self.entrance = DoorSupervision(policy, self._settled)
        self.tracks: dict[int, TrackState] = {}
        self.visits = Visits()
        self.admission = AccessControl(
            policy, self.entrance, self.visits, self.attacks, self.company
        )
        self.stale_frames = 0
        self._triggered_until: float | None = None
        self.claim: IdentityClaim | None = None
        self._attention = Attention(watching=not policy.trigger)
        self._guidance: tuple[int, str] | None = None
        self._turned = False
        """Whether pictures are turned: nobody resembles themselves in them."""
        self._replace_gallery(gallery)

    # --- events in, commands out --------------------------------------------------------------

    def handle(self, event: Event, now: Instant) -> list[Command]:
        """Handle one event at `now` (never earlier than the one before); return the commands."""
        fire = isinstance(event, DoorEvent) and event.kind is DoorEventKind.FIRE
        commands = [
            # in a fire the adapter has released already: a relock due now must not undo it
            *([] if fire else self.entrance.advance(now)),
            *self.admission.advance(now),
            *self._expire(now),
            *self._dispatch(event, now),
        ]
        self.entrance.recorded(commands)
        attention = self._wanted(now)
        if attention != self._attention:
            self._attention = attention
            commands.append(attention)
        return commands

    @property
    def state(self) -> GateState:
        """The present state: the door, its mode, the lights, the alarms."""
        settled = self._attention.settled
        looking = self._attention.watching and any(t not in settled for t in self.tracks)
        return self.entrance.state(looking)

    @property
    def deadline(self) -> float | None:
        """The monotonic time at which the gate needs a Tick if nothing happens before."""
        visits = self.visits.values()
        claimed = self.claim.until if self.claim is not None else None
        own = (self._triggered_until, claimed)
        return min(
            (
                t
                for t in chain(
                    (*own, self.entrance.deadline, self.admission.deadline, self.company.deadline),
                    (
                        v.left_at + self.policy.visit_closes_after_s
                        for v in visits
                        if v.left_at is not None
                    ),
                    (t.rests_until for t in self.tracks.values()),
                    (t.challenge.until for t in self.tracks.values() if t.challenge),
                    (t.heard_at + self.policy.track_timeout_s for t in self.tracks.values()),
                )
                if t is not None
            ),
            default=None,
        )

    def _dispatch(self, event: Event, now: Instant) -> list[Command]:
        match event:
            case Observation():
                return list(self._observe(event, now))
            case GalleryReplaced(gallery):
                self._replace_gallery(gallery)
            case PlanReplaced() | LastPunches() | Forgive() | RemotePresence() | PresenceHeard():
                return list(self.admission.take(event, now))
            case CredentialPresented():
                return list(self._credential(event, now))
            case DoorEvent(DoorEventKind.FIRE | DoorEventKind.FIRE_CLEARED):
                door = list(self.entrance.handle(event, now))
                return [*door, *self.admission.fire(now)]
            case Trigger() | DoorEvent(DoorEventKind.TRIGGER):
                self._trigger(now)
            case Expected(person_id, for_s):
                self._expect(person_id, for_s, now)
            case ReleaseFailed():
                return list(self.entrance.not_released(now))
            case JournalState(available):
                return self._journal_state(available, now)
            case Tick():
                pass
            case _:
                return list(self.entrance.handle(event, now))
        return []

    def _trigger(self, now: Instant) -> None:
        self._triggered_until = now.mono + self.policy.trigger_window_s

    def _expect(self, person_id: int | None, for_s: float, now: Instant) -> None:
        """Verify faces against this person from now on; visits that failed may try again."""
        self.claim = None
        if person_id is None or not for_s > 0:
            return
        until = now.mono + for_s
        self.claim = IdentityClaim.of(person_id, until, self.gallery, self.policy, self.calibration)
        for visit in self.visits.values():
            if visit.state is VisitState.DENIED and visit.reason in REOPENED:
                visit.take(VisitInput.CLAIMED)
                visit.denials = 0
        for track in self.tracks.values():
            track.attempts, track.rests_until = 0, None

    def _credential(self, shown: CredentialPresented, now: Instant) -> Iterator[Command]:
        """Handle a credential; when the face is still missing, expect this person."""
        yield from self.admission.present(shown, now)
        if self.admission.needs(shown.person_id) is Need.FACE:
            self._expect(shown.person_id, self.admission.patience_s, now)

    def _journal_state(self, available: bool, now: Instant) -> list[Command]:
        access = self.admission.access
        if available == access.journal_available:
            return []
        access.journal_available = self.entrance.journal_available = available
        if available:
            return [RecordEvent(now, "log_available")]
        return [RecordEvent(now, Reason.LOG_UNAVAILABLE, severity="alarm")]

    # --- gallery and thresholds ---------------------------------------------------------------

    def _replace_gallery(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.admission.known(gallery)
        self.criteria = criteria_for(self.policy, gallery, self.calibration)
        for track in self.tracks.values():
            matches = gallery.match_all([sample.vector for sample in track.samples])
            for sample, match in zip(track.samples, matches, strict=True):
                sample.match = match
        if self.claim is not None:
            claim = self.claim
            self.claim = IdentityClaim.of(
                claim.person_id, claim.until, gallery, self.policy, self.calibration
            )

    # --- observations -------------------------------------------------------------------------

    def _observe(self, seen: Observation, now: Instant) -> Iterator[Command]:
        # a frame from the future was stamped by another clock: its age is unknown
        fresh = 0.0 <= now.mono - seen.captured_at < self.policy.max_frame_age_s
        self.stale_frames += not fresh
        self._turned = seen.turn is not None
        for face in seen.faces:
            track = self._follow(face, seen.captured_at, now)
            # checked for each face: a grant ends the claim, which another face must not use
            if fresh and self._watching(now):
                yield from self._consider(track, face, seen, now)
            behind = track.visit.state is not VisitState.GRANTED and self._is_close(face)
            if fresh and behind and not face.flaws:
                self.company.near(track.visit.number)
        for track_id in seen.lost:
            yield from self._lose(track_id, now)
        if fresh and self._watching(now):
            yield from self._guide(seen)

    def _follow(self, face: TrackedFace, captured_at: float, now: Instant) -> TrackState:
        track = self.tracks.get(face.track_id)
        if track is None:
            visit = self.visits.of_track(face.track_id)
            policy = self.policy
            keep = max(policy.max_attempts, policy.frames, policy.pad.frames)
            samples: deque[Sample] = deque(maxlen=keep)
            box = face.face.box
            track = TrackState(face.track_id, visit, captured_at, samples, box, now.mono)
            self.tracks[face.track_id] = track
        track.heard_at = now.mono
        track.box = face.face.box
        track.flaws = face.flaws
        return track

    def _consider(
        self, track: TrackState, face: TrackedFace, seen: Observation, now: Instant
    ) -> Iterator[Command]:
        captured_at = seen.captured_at
        close = self._is_close(face)
        if track.visit.final:
            return
        if close and not track.near:
            # attempts spent while the face was far away must not cost the person at the door
            track.near, track.attempts, track.rests_until = True, 0, None
        if face.flaws:
            track.dark += close and "too_dark" in face.flaws
            yield from self._wait_for_quality(track, close, face.flaws, captured_at, now)
            return
        track.poor_since = None
        if face.embedding is None or (
            track.samples and captured_at <= track.samples[-1].captured_at
        ):  # the same frame twice is one frame
            return
        match = self.gallery.match(face.embedding)
        weight = max(face.quality.score, 1e-3)
        pad = pad_score(face, close, seen.width, seen.height)
        posture, shape = posture_of(face), shape_of(face)
        track.grey = face.pad is not None and face.pad.grey
        track.samples.append(
            Sample(
                captured_at, face.embedding, weight, close, pad, match, posture, shape, track.grey
            )
        )
        track.attempts += 1
        track.usable_since = captured_at if track.usable_since is None else track.usable_since
        if close and track.close_since is None:
            track.close_since = captured_at
        yield from self._judge(track, captured_at, now)
        if track.attempts >= self.policy.max_attempts and track.challenge is None:
            track.attempts = 0
            track.rests_until = now.mono + self.policy.denial_interval_s

    def _is_close(self, face: TrackedFace) -> bool:
        return face.quality.eye_distance >= self.policy.close_eye_distance

    def _wait_for_quality(
        self,
        track: TrackState,
        close: bool,
        flaws: tuple[str, ...],
        captured_at: float,
        now: Instant,
    ) -> Iterator[Command]:
        judged_by_frames = len(track.samples) >= self.policy.frames
        if not close or judged_by_frames or "outside_zone" in flaws:
            track.poor_since = None
        elif track.poor_since is None:
            track.poor_since = captured_at
        elif captured_at - track.poor_since >= self.policy.low_quality_after_s:
            track.poor_since = captured_at
            yield from self._deny(_unweighed(track, captured_at, now), Reason.LOW_QUALITY)

    def _judge(self, track: TrackState, captured_at: float, now: Instant) -> Iterator[Command]:
        judged = self._judged(track, captured_at, now)
        finding = judged.finding
        if judged.liveness is Liveness.ATTACK and len(track.samples) >= self.policy.frames:
            yield from self._deny(judged, Reason.SPOOF)
        elif track.challenge is not None and not track.challenge.passed:
            yield from self._follow_challenge(judged, track.challenge)
        elif finding.identity is Identity.MATCH and finding.member is not None:
            yield from self._matched(judged, finding.member)
        elif self._patience_is_over(track, captured_at):
            yield from self._deny_unknown(judged)

    def _judged(self, track: TrackState, captured_at: float, now: Instant) -> Judgement:
        """Weigh the evidence of a track as it is now."""
        finding = self._who(track, now)
        liveness, pad = self._liveness(track, finding)
        return Judgement(track, finding, liveness, pad, captured_at, now)

    def _who(self, track: TrackState, now: Instant) -> Identification:
        """Weigh the samples against the expected person, else identify, unless cards come first."""
        if self.claim is not None:
            claimed = self.claim.weigh(track.samples)
            if claimed.identity is Identity.MATCH or not self._identifying(now):
                return claimed
        return weigh(track.samples, self.criteria)

    def _liveness(
        self, track: TrackState, finding: Identification
    ) -> tuple[Liveness, float | None]:
        """Return the liveness of a track, and its mean score.

        An attack counts in any frame, liveness only in the agreeing frames: otherwise a stranger's
        own live face would vouch for the photo that is held up next.
        """
        whole = self.policy.pad.verdict(_scores(track))
        if whole[0] is Liveness.ATTACK or not finding.frames:
            return whole
        return self.policy.pad.verdict(finding.pads)

    def _matched(self, judged: Judgement, member: GalleryPerson) -> Iterator[Command]:
        track, now = judged.track, judged.now
        if self._join(track, member):
            return
        request = self.admission.request(member.person, Method.FACE, now, member.active)
        request = replace(request, extended=member.extended)
        verdict = self.admission.check(request, now)
        if not verdict.granted and verdict.need is None:
            yield from self._deny(judged, verdict.reason, verdict.rule)
            if track.visit.final:
                track.visit.person_id = member.person.id
            return
        unseen = self._unseen(judged.finding, judged.liveness)
        living = judged.liveness in (Liveness.LIVE, Liveness.OFF) or unseen
        living = living and not self.attacks.locks(member.person.id, now.mono)
        if living and self._answered(track, member, judged.finding):
            draft = self._decision(judged, Reason.GRANTED)
            yield from self.admission.ask(track.visit, request, draft, now)
            self._keep_challenge(track, member.person.id)
            self._settle_track(track, member.person.id)
        elif living and self.challenger.seed:
            if self._doubted_long_enough(judged):
                yield from self._challenge(track, member, now)
            else:
                track.visit.take(VisitInput.ASKED)
        else:
            track.visit.take(VisitInput.ASKED)
            if self._patience_is_over(track, judged.captured_at):
                yield from self._deny(judged, Reason.LIVENESS_UNDECIDED)

    def _settle_track(self, track: TrackState, person_id: int) -> None:
        """Drop the samples of a track after a grant, and the claim that led to it."""
        if track.visit.final:
            track.challenge = None
            track.samples.clear()
            if self.claim is not None and self.claim.person_id == person_id:
                self.claim = None

    # --- challenges ---------------------------------------------------------------------------

    def _answered(self, track: TrackState, member: GalleryPerson, finding: Identification) -> bool:
        """Return whether no challenge is needed, or this person has passed it."""
        challenge, asks = track.challenge, self.policy.challenge
        if challenge is not None:
            return challenge.passed and challenge.person_id == member.person.id
        if not asks.count:
            return True
        if finding.grey and self.policy.pad.enabled:
            return False
        return asks.doubt_s is not None and moves_by_itself(finding.shapes)

    def _unseen(self, finding: Identification, liveness: Liveness) -> bool:
        """Return whether only a challenge can show liveness, as the picture has no colour."""
        seen_enough = finding.frames >= self.policy.pad.frames
        undecided = liveness is Liveness.UNDECIDED and not finding.pads
        return self.policy.challenge.infra_red and finding.grey and undecided and seen_enough

    def _doubted_long_enough(self, judged: Judgement) -> bool:
        """Return whether the face had enough time and frames to be seen moving by itself."""
        wait, since = self.policy.challenge.doubt_s, judged.track.usable_since
        if wait is None or since is None:
            return True
        waited = judged.captured_at - since
        # in noise there may never be enough frames with a mesh
        return waited >= wait and (len(judged.finding.shapes) >= LEAST_FRAMES or waited >= 3 * wait)

    def _challenge(
        self, track: TrackState, member: GalleryPerson, now: Instant
    ) -> Iterator[Command]:
        """Begin a challenge, unless the visit was refused just now."""
        track.visit.take(VisitInput.ASKED)
        if not self.admission.may_refuse(track.visit, now):
            return
        challenge = track.challenge = self.challenger.new(member.person.id, now.mono)
        # claim and trigger must not end before the challenge
        if self.claim is not None:
            self.claim = replace(self.claim, until=max(self.claim.until, challenge.until))
        if self._triggered_until is not None:
            self._triggered_until = max(self._triggered_until, challenge.until)
        yield _prompt(track, challenge, now)

    def _follow_challenge(self, judged: Judgement, challenge: Challenge) -> Iterator[Command]:
        """Check the movement, only in frames that agree with the challenged person."""
        track, finding = judged.track, judged.finding
        member, sample = finding.member, track.samples[-1]
        prompt = challenge.prompt
        if member is None or member.person.id != challenge.person_id:
            challenge.failed = True
        elif finding.fresh and sample.posture is not None:
            challenge.see(sample.posture)
        if challenge.failed:
            yield from self._fail(replace(judged, captured_at=sample.captured_at))
        elif challenge.prompt != prompt:
            yield _prompt(track, challenge, judged.now)

    def _keep_challenge(self, track: TrackState, person_id: int) -> None:
        """Let a challenge that was passed last as long as the request waits for something else."""
        until = self.admission.waits_until(person_id)
        if track.challenge is not None and until is not None:
            track.challenge.until = max(track.challenge.until, until)

    def _end_challenge(
        self, track: TrackState, challenge: Challenge, now: Instant
    ) -> Iterator[Command]:
        """End a challenge whose time is over: it failed, unless it was passed before."""
        if challenge.passed:
            track.challenge = None
            return
        yield from self._fail(self._judged(track, track.samples[-1].captured_at, now))

    def _fail(self, judged: Judgement) -> Iterator[Command]:
        """End a failed challenge; a next one needs new samples."""
        judged.track.challenge = None
        yield from self._deny(judged, Reason.CHALLENGE_FAILED)
        judged.track.samples.clear()

    def _patience_is_over(self, track: TrackState, captured_at: float) -> bool:
        """Return whether a denial is due: close for a while, or usable for much longer."""
        if len(track.samples) < self.policy.frames:
            return False
        wait = self.policy.decide_after_s
        near = track.close_since is not None and captured_at - track.close_since >= wait
        since = track.usable_since
        return near or (since is not None and captured_at - since >= 3 * wait)

    def _join(self, track: TrackState, member: GalleryPerson) -> bool:
        """Move the track into the open visit in which this person was granted or refused."""
        for visit in self.visits.values():
            if visit is not track.visit and visit.person_id == member.person.id:
                self.visits.close(track.visit)
                self.company.forget(track.visit.number)
                track.visit = visit
                visit.tracks.add(track.id)
                visit.left_at = None
                return True
        return False

    def _lose(self, track_id: int, now: Instant) -> Iterator[Command]:
        track = self.tracks.pop(track_id, None)
        if track is None:
            return
        yield from self._last_word(track, now)
        track.visit.tracks.discard(track_id)
        if not track.visit.tracks:
            track.visit.left_at = now.mono

    def _last_word(self, track: TrackState, now: Instant) -> Iterator[Command]:
        """Deny a person who leaves before a decision and was seen well enough for one."""
        state = track.visit.state
        if state not in (VisitState.WATCHING, VisitState.PENDING):
            return
        if not track.samples:
            yield from self._too_dark(track, now)
            return
        judged = self._judged(track, track.samples[-1].captured_at, now)
        finding = judged.finding
        if finding.identity is Identity.MATCH:
            waits = self.admission.needs(finding.member.person.id) if finding.member else None
            if state is VisitState.PENDING and waits is None:
                asked = track.challenge is not None
                reason = Reason.CHALLENGE_FAILED if asked else Reason.LIVENESS_UNDECIDED
                yield from self._deny(judged, reason)
        elif sum(s.close for s in track.samples) >= self.policy.frames:
            yield from self._deny_unknown(judged)

    def _too_dark(self, track: TrackState, now: Instant) -> Iterator[Command]:
        """Record once that a person came close but was never recognisable for lack of light."""
        if track.dark >= self.policy.frames:
            track.flaws = ("too_dark",)
            yield from self._deny(_unweighed(track, now.mono, now), Reason.LOW_QUALITY)

    # --- decisions ----------------------------------------------------------------------------

    def _deny_unknown(self, judged: Judgement) -> Iterator[Command]:
        """Refuse a face that is not known for certain, or cannot be, as the camera hangs turned."""
        if self._turned:
            judged.track.flaws = ("extreme_pose",)
            yield from self._deny(judged, Reason.LOW_QUALITY)
        else:
            yield from self._deny(judged, _reason_against(judged.finding))

    def _deny(self, judged: Judgement, reason: Reason, rule: str = "") -> Iterator[Command]:
        track, now = judged.track, judged.now
        decision = self._decision(judged, reason)
        if self.admission.may_refuse(track.visit, now) and not self._is_news(decision, track):
            self.admission.pass_over(track.visit, reason, now)
            return
        undecided = reason is Reason.LIVENESS_UNDECIDED
        advice = self._advice(track) if undecided else ""
        if self._turned and reason in (Reason.LIVENESS_UNDECIDED, Reason.LOW_QUALITY):
            advice = "rotate"
        refused = replace(decision, rule=rule)
        commands = list(self.admission.refuse(track.visit, refused, now, advice))
        yield from commands
        if commands:
            track.challenge = None
        if commands and reason is Reason.SPOOF:
            yield from self._attacked(decision, now)
        if track.visit.final:
            track.samples.clear()

    def _is_news(self, refusal: Decision, track: TrackState) -> bool:
        """Return whether to record a denial: always with a name, of a poster only a few times."""
        if refusal.person is not None or not track.samples:
            return True
        face, alike = unit(track.samples[-1].vector), self.criteria.threshold
        return self.fixed_faces.refused(track.box, face, alike, refusal.at.mono)

    def _settled(self, passage: Passage, used: bool) -> None:
        self.admission.settled(passage, used)

    def _attacked(self, attack: Decision, now: Instant) -> Iterator[Command]:
        person_id = attack.person.id if attack.person else None
        if self.attacks.attacked(person_id, now.mono):
            body = {"attacks": self.policy.alarm_attacks, "within_s": self.policy.alarm_window_s}
            yield RecordEvent(now, "repeated_attacks", body, "alarm")

    def _decision(self, judged: Judgement, reason: Reason) -> Decision:
        track, finding, now = judged.track, judged.finding, judged.now
        similarity = finding.similarity
        person = finding.member.person if finding.member else None
        direction, flags = self.admission.directions.next(person.id if person else None, now)
        return Decision(
            at=now,
            outcome=Outcome.GRANTED if reason is Reason.GRANTED else Outcome.DENIED,
            reason=reason,
            person=person,
            direction=direction,
            flags=flags,
            confidence=0.0 if similarity is None else self.calibration.confidence(similarity),
            score=similarity,
            threshold=finding.threshold,
            margin=finding.margin if finding.margin != float("inf") else None,
            frames=finding.frames if finding.member else len(track.samples),
            pad=judged.pad,
            visit=track.visit.number,
            track_id=track.id,
            first_seen=track.first_seen,
            usable_since=track.usable_since,
            captured_at=judged.captured_at,
            box=track.box,
            flaws=track.flaws,
        )

    def _advice(self, track: TrackState) -> str:
        """Return advice for a better liveness score: a code of a notice."""
        return "infra_red" if track.grey else self.policy.pad.advice(_scores(track))

    # --- time ---------------------------------------------------------------------------------

    def _expire(self, now: Instant) -> Iterator[Command]:
        # the same sums as in `deadline`, so that a tick at the deadline finds its work due
        closes, timeout = self.policy.visit_closes_after_s, self.policy.track_timeout_s
        for number, others in self.company.followed(now.mono):
            yield RecordEvent(now, "tailgating", {"visit": number, "faces": others}, "warning")
        for visit in list(self.visits.values()):
            if visit.left_at is not None and now.mono >= visit.left_at + closes:
                self.visits.close(visit)
        for track in list(self.tracks.values()):
            if track.rests_until is not None and now.mono >= track.rests_until:
                track.rests_until = None
            if track.challenge is not None and now.mono >= track.challenge.until:
                yield from self._end_challenge(track, track.challenge, now)
            if now.mono >= track.heard_at + timeout:
                yield from self._lose(track.id, now)
        if self._triggered_until is not None and now.mono >= self._triggered_until:
            self._triggered_until = None
        if self.claim is not None and now.mono >= self.claim.until:
            self.claim = None

    # --- attention and guidance ---------------------------------------------------------------

    def _watching(self, now: Instant) -> bool:
        return self.claim is not None or self._identifying(now)

    def _identifying(self, now: Instant) -> bool:
        until = self._triggered_until
        return not self.policy.trigger or (until is not None and now.mono < until)

    def _wanted(self, now: Instant) -> Attention:
        settled = frozenset(
            t.id for t in self.tracks.values() if t.visit.final or t.rests_until is not None
        )
        challenged = frozenset(t.id for t in self.tracks.values() if t.challenge is not None)
        # with a claim another threshold applies, and time is short
        strange = frozenset(
            t.id
            for t in self.tracks.values()
            if self.claim is None and t.is_strange(self.criteria.floor)
        )
        return Attention(
            self._watching(now), settled, challenged - settled, strange - settled - challenged
        )

    def _guide(self, seen: Observation) -> Iterator[Command]:
        """Show the person with the largest face what to change to be seen well."""
        tracks = self.tracks
        open_faces = [
            f for f in seen.faces if f.track_id in tracks and not tracks[f.track_id].visit.final
        ]
        nearest = max(open_faces, key=lambda f: f.face.eye_distance, default=None)
        if nearest is None or "outside_zone" in nearest.flaws:
            return
        track = tracks[nearest.track_id]
        if track.challenge is not None:
            self._guidance = None
            return
        code = nearest.flaws[0] if nearest.flaws else "look_here"
        if seen.turn is not None:
            code = "rotate"
        elif not nearest.flaws and track.visit.state is VisitState.PENDING:
            if track.visit.number in self.admission.waiting_visits:
                return
            code = self._advice(track)
        elif not nearest.flaws and self.policy.pad.enabled and _is_cut_off(track):
            # before any decision: with more of the surroundings a lower score is enough
            code = "step_back"
        if self._guidance != (nearest.track_id, code):
            self._guidance = (nearest.track_id, code)
            yield Notice(nearest.track_id, code)


def _is_cut_off(track: TrackState) -> bool:
    """Return whether the last sample shows the face without its surroundings."""
    last = track.samples[-1].pad if track.samples else None
    return last is not None and not last.whole


def _unweighed(track: TrackState, captured_at: float, now: Instant) -> Judgement:
    """Make the judgement on a track without any frame that could be weighed."""
    nothing = Identification(Identity.NONE)
    return Judgement(track, nothing, Liveness.UNDECIDED, None, captured_at, now)


def _prompt(track: TrackState, challenge: Challenge, now: Instant) -> Notice:
    left = round(challenge.until - now.mono, 1)
    steps = len(challenge.movements)
    return Notice(track.id, challenge.prompt, "", challenge.done, steps, left)


def _scores(track: TrackState) -> list[PadScore]:
    return [s.pad for s in track.samples if s.pad is not None]


def _reason_against(finding: Identification) -> Reason:
    return Reason.AMBIGUOUS if finding.identity is Identity.AMBIGUOUS else Reason.NO_MATCH
