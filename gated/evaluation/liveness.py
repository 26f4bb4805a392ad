"""Measure how well presentation attacks are distinguished from people, for `gated evaluate pad`.

Each recording is put to the shipped detector, tracker, networks and policy as if every face in it
were that of an enrolled person. Rates as in ISO/IEC 30107-3: APCER, the share of attacks of one
species that are taken for living people; BPCER, the share of living people who are not. Recordings
without a usable face count in neither and are named.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

from gated.config import LivenessSettings, Settings
from gated.config.gate_policy import gate_policy
from gated.core.facial_motion import LEAST_FRAMES, Shape, moves_by_itself
from gated.core.messages import Attention, Observation
from gated.core.pad import PAD_LEVELS, Liveness, PadPolicy, PadScore, pad_score, shape_of
from gated.core.values import Image, TrackedFace
from gated.devices.recorded import PICTURES, recording
from gated.enrollment.models import VisionKit, asset_store
from gated.errors import AssetError, EnrollmentRefused, SourceError
from gated.evaluation.conditions import CONDITIONS, CameraCondition, named
from gated.evaluation.rates import error_rate
from gated.ports import Frame
from gated.vision.decoding import decode
from gated.vision.paper import FPS, SPECIES, Sitter, shown_to_camera

BONA_FIDE = "bona_fide"
PORTRAITS = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")

GATE = gate_policy(Settings())
"""The policy of a gate without settings: which faces are close, how many frames a track keeps."""

Progress = Callable[[int, int], None]
"""(steps done, steps in all)."""

Level = Literal["off", "normal", "strict", "challenge"]


@dataclass(frozen=True, slots=True)
class Presentation:
    """One row of a manifest: a video, a folder of pictures or a still. name: the path as given."""

    path: Path
    name: str
    species: str
    person: str = ""
    made: Callable[[], Iterator[Image]] | None = None
    """Makes its frames, in the place of a file."""


@dataclass(slots=True)
class Seen:
    """The scores and the outcome of one presentation, by the networks and the policy."""

    frames: list[PadScore] = field(default_factory=list)
    outcome: Liveness | None = None
    """LIVE when any face was taken for living, else ATTACK when one was refused as an attack; None
    without a usable face."""
    asked: bool = False
    """Taken for living by the networks, and asked for movements as no face moved by itself: neither
    accepted nor refused."""

    @property
    def accepted(self) -> bool:
        return self.outcome is Liveness.LIVE and not self.asked

    @property
    def mean(self) -> float | None:
        return sum(s.live for s in self.frames) / len(self.frames) if self.frames else None


def read_manifest(file: Path) -> list[Presentation]:
    """The presentations of a CSV file with the columns path, species and, optionally, person.

    Paths are relative to the file. SourceError names the line that is wrong.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise SourceError(f"{file}: {reason}") from None
    found = []
    for line, row in enumerate(rows, start=2):
        values = {k.strip(): (v or "").strip() for k, v in row.items() if k and isinstance(v, str)}
        path, species = values.get("path"), values.get("species")
        if not path or not species:
            raise SourceError(f"{file}:{line}: columns path and species are needed")
        found.append(Presentation(file.parent / path, path, species, values.get("person", "")))
    if not found:
        raise SourceError(f"{file}: names no recording (columns path, species, person)")
    return found


def evaluate_pad(
    settings: Settings,
    manifest: Path | None,
    level: Level | None = None,
    progress: Progress = lambda done, total: None,
    conditions: Sequence[str] | None = None,
    paper: int = 0,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Evaluate one level, default that of the settings, or normal where they have none.

    Otherwise as `evaluate_levels`.
    """
    configured = settings.liveness.level
    level = level or ("normal" if configured == "off" else configured)
    return evaluate_levels(settings, manifest, [level], progress, conditions, paper, seconds)[level]


def evaluate_levels(
    settings: Settings,
    manifest: Path | None,
    levels: Sequence[Level],
    progress: Progress = lambda done, total: None,
    conditions: Sequence[str] | None = None,
    paper: int = 0,
    seconds: float | None = None,
) -> dict[Level, dict[str, Any]]:
    """APCER by species and BPCER of each level, per clip and per frame; reports as plain values.

    conditions: names of camera conditions to try everything under besides, all of them for an empty
    sequence. paper: trials of each species of print that is made from the demo's portraits.
    seconds: of each recording, from the first usable face on; default: all. The networks see each
    frame once for all levels. SourceError, AssetError.
    """
    tried = [CONDITIONS["clean"]]
    if conditions is not None:
        tried += [c for c in named(conditions) if c.name != "clean"]
    presentations = read_manifest(manifest) if manifest is not None else []
    kit = _kit(settings, "strict" if "strict" in levels else levels[0])
    presentations += made_of_paper(kit, paper) if paper else []
    found: dict[str, list[dict[Level, Seen]]] = {c.name: [] for c in tried}
    work = len(tried) * len(presentations)
    for done, (condition, shown) in enumerate(product(tried, presentations)):
        progress(done, work)
        found[condition.name].append(examine(kit, shown, levels, condition, seconds))
    progress(work, work)
    return {
        level: _report(
            kit,
            level,
            presentations,
            {name: [seen[level] for seen in every] for name, every in found.items()},
            by_condition=conditions is not None,
        )
        for level in levels
    }


def _report(
    kit: VisionKit,
    level: Level,
    presentations: Sequence[Presentation],
    found: Mapping[str, Sequence[Seen]],
    *,
    by_condition: bool,
) -> dict[str, Any]:
    policy, seen = PAD_LEVELS[level], found["clean"]
    under = {
        name: {"described": CONDITIONS[name].described, **rates(presentations, every, policy)}
        for name, every in found.items()
    }
    return {
        "model": kit.models.pad.model if kit.models.pad else None,
        "level": level,
        "people": len({p.person for p in presentations if p.person}),
        **rates(presentations, seen, policy),
        **({"conditions": under} if by_condition else {}),
        "presentations": [_row(p, s) for p, s in zip(presentations, seen, strict=True)],
    }


def made_of_paper(kit: VisionKit, trials: int) -> list[Presentation]:
    """Attacks of each species of `vision.paper`, from the portraits of the demo; AssetError."""
    assets = asset_store(kit.settings)
    sitters = []
    for name in PORTRAITS:
        image = decode(assets.read(name))
        face = kit.models.photo_detector.detect(image)[0]
        sitters.append(Sitter(name, image, face.box, face.landmarks))
    return [
        Presentation(
            Path(),
            f"{species.name}/{trial + 1}",
            species.name,
            made=partial(shown_to_camera, species, *_cast(sitters, trial), trial),
        )
        for species in SPECIES
        for trial in range(trials)
    ]


def _cast(sitters: Sequence[Sitter], trial: int) -> tuple[Sitter, Sitter]:
    """Choose who is printed in a trial, and who wears it: the last, for the last one the first."""
    last = len(sitters) - 1
    printed = trial % len(sitters)
    return sitters[printed], sitters[last if printed != last else 0]


def examine(
    kit: VisionKit,
    shown: Presentation,
    levels: Sequence[Level],
    condition: CameraCondition = CONDITIONS["clean"],
    seconds: float | None = None,
) -> dict[Level, Seen]:
    """Put one recording to the networks, and what they say to the policy of each level.

    seconds: no more than this from the first usable face on. SourceError when it cannot be read.
    """
    # one picture stands for as many frames of it as a verdict needs
    still = shown.made is None and _is_still(shown.path)
    own = kit.settings.liveness
    judges = {
        level: _Judge(
            dataclasses.replace(PAD_LEVELS[level], frames=1) if still else PAD_LEVELS[level],
            steps_up=level == "strict" and own.step_up,
            doubt_s=own.doubt_s,
        )
        for level in levels
    }
    analyse = kit.analyzer(still_gate=False).analyse
    began: float | None = None
    for frame in _frames(shown, condition):
        if began is not None and seconds is not None and frame.captured_at - began > seconds:
            break
        for face, score in _scores(analyse(frame, Attention())):
            began = frame.captured_at if began is None else began
            for judge in judges.values():
                judge.see(face, score, frame.captured_at)
    return {level: judge.seen() for level, judge in judges.items()}


@dataclass(slots=True)
class _Judge:
    """One level's view of the tracks of one recording."""

    policy: PadPolicy
    steps_up: bool
    doubt_s: float
    frames: list[PadScore] = field(default_factory=list)
    tracks: dict[int, _Judged] = field(default_factory=dict)

    def see(self, face: TrackedFace, score: PadScore, now: float) -> None:
        self.frames.append(score)
        track = self.tracks.setdefault(face.track_id, _Judged(now, moved=not self.steps_up))
        track.see(score, self.policy)
        track.watch(face, now, self.doubt_s)

    def seen(self) -> Seen:
        verdicts = {track.verdict for track in self.tracks.values()}
        order = (Liveness.LIVE, Liveness.ATTACK, Liveness.UNDECIDED)
        living = [t for t in self.tracks.values() if t.verdict is Liveness.LIVE]
        return Seen(
            self.frames,
            next((outcome for outcome in order if outcome in verdicts), None),
            asked=bool(living) and not any(t.moved for t in living),
        )


@dataclass(slots=True)
class _Judged:
    """One track: the newest scores and meshes, as the gate keeps them, and what came of them."""

    since: float
    moved: bool
    scores: list[PadScore] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    verdict: Liveness = Liveness.UNDECIDED

    def see(self, score: PadScore, policy: PadPolicy) -> None:
        self.scores = [*self.scores, score][-GATE.max_attempts :]
        if self.verdict is Liveness.UNDECIDED:
            self.verdict = policy.verdict(self.scores)[0]

    def watch(self, face: TrackedFace, now: float, doubt_s: float) -> None:
        """Look for movement, as long as the gate does before it asks."""
        shape = shape_of(face)
        if self.moved or shape is None:
            return
        self.shapes = [*self.shapes, shape][-GATE.max_attempts :]
        early = now - self.since <= doubt_s or len(self.shapes) <= LEAST_FRAMES
        waiting = early or self.verdict is Liveness.UNDECIDED
        self.moved = waiting and moves_by_itself(self.shapes)


def rates(
    presentations: Sequence[Presentation], seen: Sequence[Seen], policy: PadPolicy
) -> dict[str, Any]:
    """APCER by species, the worst of them, and BPCER, with 95 % intervals."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for presentation, one in zip(presentations, seen, strict=True):
        groups[presentation.species].append(one)
    attacks = {
        species: _both(group, policy, lambda s: s.accepted, lambda live: live)
        for species, group in sorted(groups.items())
        if species != BONA_FIDE
    }
    clips = [a["clips"]["rate"] for a in attacks.values() if a["clips"]["rate"] is not None]
    return {
        "apcer": attacks,
        "apcer_worst_species": max(clips, default=None),
        "bpcer": _both(
            groups.get(BONA_FIDE, []),
            policy,
            lambda s: s.outcome is not Liveness.LIVE,
            lambda live: not live,
        ),
    }


def _both(
    group: Sequence[Seen],
    policy: PadPolicy,
    wrong_clip: Callable[[Seen], bool],
    wrong_frame: Callable[[bool], bool],
) -> Mapping[str, Any]:
    judged = [s for s in group if s.outcome is not None]
    alone = dataclasses.replace(policy, frames=1)
    frames = [alone.verdict([score])[0] for s in group for score in s.frames]
    return {
        "clips": {
            **error_rate([wrong_clip(s) for s in judged]),
            "undecided": sum(s.outcome is Liveness.UNDECIDED for s in judged),
            "asked": sum(s.asked for s in judged),
            "without_face": len(group) - len(judged),
        },
        "frames": error_rate([wrong_frame(o is Liveness.LIVE) for o in frames]),
    }


def _kit(settings: Settings, level: Level) -> VisionKit:
    own = settings.liveness
    liveness = LivenessSettings(level=level, step_up=own.step_up, doubt_s=own.doubt_s)
    kit = VisionKit(settings.model_copy(update={"liveness": liveness}), pad=True)
    if kit.pad_problem:
        raise AssetError(kit.pad_problem)
    return kit


def _frames(shown: Presentation, condition: CameraCondition) -> Iterator[Frame]:
    images, fps = (shown.made(), FPS) if shown.made is not None else _recorded(shown.path)
    for number, image in enumerate(condition.change(images), start=1):
        yield Frame(image, number / fps, number)


def _is_still(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and path.is_file()


def _recorded(path: Path) -> tuple[Iterator[Image], float]:
    """The pictures of a recording or still, and their rate."""
    if path.suffix.lower() not in PICTURES or path.is_dir():
        source, fps = recording(path, 15.0)
        return source(), fps
    try:
        return iter([decode(path.read_bytes())]), 15.0
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except EnrollmentRefused as refusal:
        raise SourceError(f"{path}: {refusal}") from None


def _scores(seen: Observation) -> Iterator[tuple[TrackedFace, PadScore]]:
    for face in seen.faces:
        close = face.quality.eye_distance >= GATE.close_eye_distance
        score = pad_score(face, close, seen.width, seen.height)
        if score is not None:
            yield face, score


def _row(presentation: Presentation, seen: Seen) -> dict[str, Any]:
    scores = [s.live for s in seen.frames]
    return {
        "path": presentation.name,
        "species": presentation.species,
        "person": presentation.person or None,
        "outcome": None if seen.outcome is None else "asked" if seen.asked else str(seen.outcome),
        "frames": len(scores),
        "score": {
            "mean": None if seen.mean is None else round(seen.mean, 4),
            "lowest": round(min(scores), 4) if scores else None,
            "highest": round(max(scores), 4) if scores else None,
        },
    }
