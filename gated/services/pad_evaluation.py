"""How well presentation attacks are told from people: what `gated evaluate pad` prints.

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
from pathlib import Path
from typing import Any

from gated.config import LivenessSettings, Settings
from gated.core.model import Attention, Observation
from gated.core.pad import PAD_LEVELS, Liveness, PadPolicy, PadScore, pad_score
from gated.core.policy import GatePolicy
from gated.core.statistics import clopper_pearson
from gated.devices.recorded import PICTURES, recording
from gated.errors import AssetError, EnrollmentRefused, SourceError
from gated.ports import Frame
from gated.services.models import VisionKit
from gated.vision.decoding import decode

BONA_FIDE = "bona_fide"

GATE = GatePolicy()
"""What counts as close, and how many frames of a track are kept."""

Progress = Callable[[int, int], None]
"""How much is done, how much there is."""

Level = str


@dataclass(frozen=True, slots=True)
class Presentation:
    """One row of a manifest: a video, a folder of pictures or a still. name: the path as given."""

    path: Path
    name: str
    species: str
    person: str = ""


@dataclass(slots=True)
class Seen:
    """What the networks and the policy made of one presentation."""

    frames: list[PadScore] = field(default_factory=list)
    outcome: Liveness | None = None
    """LIVE when any face was taken for living, else ATTACK when one was refused as an attack; None
    without a usable face."""

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
    manifest: Path,
    level: Level | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """APCER by species and BPCER, per clip and per frame; the report as plain values.

    level: default that of the settings, or normal where they have none. SourceError, AssetError.
    """
    presentations = read_manifest(manifest)
    configured = settings.liveness.level
    level = level or ("normal" if configured == "off" else configured)
    kit = _kit(settings, level)
    policy = PAD_LEVELS[level]
    seen: list[Seen] = []
    for done, presentation in enumerate(presentations):
        progress(done, len(presentations))
        seen.append(examine(kit, presentation.path, policy))
    progress(len(presentations), len(presentations))
    return {
        "model": kit.models.pad.model if kit.models.pad else None,
        "level": level,
        "people": len({p.person for p in presentations if p.person}),
        **rates(presentations, seen, policy),
        "presentations": [_row(p, s) for p, s in zip(presentations, seen, strict=True)],
    }


def examine(kit: VisionKit, path: Path, policy: PadPolicy) -> Seen:
    """Put one recording to the networks and the policy; SourceError when it cannot be read."""
    if path.suffix.lower() in PICTURES and path.is_file():
        # one picture stands for as many frames of it as a verdict needs
        policy = dataclasses.replace(policy, frames=1)
    analyse = kit.analyzer(still_gate=False).analyse
    found = Seen()
    tracks: dict[int, list[PadScore]] = defaultdict(list)
    verdicts: dict[int, Liveness] = {}
    for frame in _frames(path):
        for track, score in _scores(analyse(frame, Attention())):
            found.frames.append(score)
            tracks[track] = [*tracks[track], score][-GATE.max_attempts :]
            if verdicts.get(track, Liveness.UNDECIDED) is Liveness.UNDECIDED:
                verdicts[track] = policy.verdict(tracks[track])[0]
    for outcome in (Liveness.LIVE, Liveness.ATTACK, Liveness.UNDECIDED):
        if outcome in verdicts.values():
            found.outcome = outcome
            break
    return found


def rates(
    presentations: Sequence[Presentation], seen: Sequence[Seen], policy: PadPolicy
) -> dict[str, Any]:
    """APCER by species, the worst of them, and BPCER, with 95 % intervals."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for presentation, one in zip(presentations, seen, strict=True):
        groups[presentation.species].append(one)
    attacks = {
        species: _both(group, policy, lambda live: live)
        for species, group in sorted(groups.items())
        if species != BONA_FIDE
    }
    clips = [a["clips"]["rate"] for a in attacks.values() if a["clips"]["rate"] is not None]
    return {
        "apcer": attacks,
        "apcer_worst_species": max(clips, default=None),
        "bpcer": _both(groups.get(BONA_FIDE, []), policy, lambda live: not live),
    }


def _both(
    group: Sequence[Seen], policy: PadPolicy, wrong: Callable[[bool], bool]
) -> Mapping[str, Any]:
    judged = [s.outcome for s in group if s.outcome is not None]
    alone = dataclasses.replace(policy, frames=1)
    frames = [alone.verdict([score])[0] for s in group for score in s.frames]
    return {
        "clips": {
            **_rate([wrong(o is Liveness.LIVE) for o in judged]),
            "undecided": judged.count(Liveness.UNDECIDED),
            "without_face": len(group) - len(judged),
        },
        "frames": _rate([wrong(o is Liveness.LIVE) for o in frames]),
    }


def _rate(errors: Sequence[bool]) -> dict[str, Any]:
    wrong, total = sum(errors), len(errors)
    low, high = clopper_pearson(wrong, total)
    return {
        "errors": wrong,
        "total": total,
        "rate": wrong / total if total else None,
        "interval": [round(low, 4), round(high, 4)],
    }


def _kit(settings: Settings, level: Level) -> VisionKit:
    liveness = LivenessSettings.model_validate({"level": level})
    kit = VisionKit(settings.model_copy(update={"liveness": liveness}), pad=True)
    if kit.pad_problem:
        raise AssetError(kit.pad_problem)
    return kit


def _frames(path: Path) -> Iterator[Frame]:
    if path.suffix.lower() in PICTURES:
        try:
            yield Frame(decode(path.read_bytes()), 0.0, 1)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from None
        except EnrollmentRefused as refusal:
            raise SourceError(f"{path}: {refusal}") from None
        return
    source, fps = recording(path, 15.0)
    for number, image in enumerate(source(), start=1):
        yield Frame(image, number / fps, number)


def _scores(seen: Observation) -> Iterator[tuple[int, PadScore]]:
    for face in seen.faces:
        close = face.quality.eye_distance >= GATE.close_eye_distance
        score = pad_score(face, close, seen.width, seen.height)
        if score is not None:
            yield face.track_id, score


def _row(presentation: Presentation, seen: Seen) -> dict[str, Any]:
    scores = [s.live for s in seen.frames]
    return {
        "path": presentation.name,
        "species": presentation.species,
        "person": presentation.person or None,
        "outcome": None if seen.outcome is None else str(seen.outcome),
        "frames": len(scores),
        "score": {
            "mean": None if seen.mean is None else round(seen.mean, 4),
            "lowest": round(min(scores), 4) if scores else None,
            "highest": round(max(scores), 4) if scores else None,
        },
    }
