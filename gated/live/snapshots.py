"""Keeps pictures of attacks, and optionally of strangers: few, sealed, for a limited time.

The number of pictures per place and per day is limited, as a poster may be refused again and again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from gated.core.messages import Attention, Decision, Observation
from gated.core.tracking import overlap
from gated.core.values import Box, Image, Reason, moment
from gated.database.records import Snapshot
from gated.link.running_gate import Analyse
from gated.live import snapshot_store
from gated.ports import Frame
from gated.vision.jpeg import encode_jpeg
from gated.workspace import Service, Workspace

AROUND = 2.5
"""Size of a picture, in sizes of the face's box."""

QUALITY = 85
REMEMBERED = 6
"""Number of frames with faces that are kept: a decision comes one or two frames after its own."""

SAME_PLACE = 0.3
"""Least overlap of two boxes in one place."""
PLACE_S, DAY_S, PER_DAY = 600.0, 86_400.0, 200
"""One picture per place in ten minutes, and PER_DAY pictures a day."""


@dataclass(slots=True)
class Caps:
    """Limits pictures per day and per place; times in monotonic seconds."""

    _kept: deque[tuple[float, Box]] = field(default_factory=deque)

    def allow(self, box: Box, now: float) -> bool:
        """Return whether to keep a picture of a face there, and count it if so."""
        while self._kept and now - self._kept[0][0] >= DAY_S:
            self._kept.popleft()
        near = (t for t, b in self._kept if overlap(b, box) >= SAME_PLACE)
        if len(self._kept) >= PER_DAY or any(now - t < PLACE_S for t in near):
            return False
        self._kept.append((now, box))
        return True


@dataclass(frozen=True, slots=True, eq=False)
class TakenSnapshot:
    """A picture to keep, and the decision that it shows."""

    image: Image
    decision: Decision


class SnapshotTaker:
    """Remembers frames in the inference thread; the controller's thread takes pictures."""

    def __init__(self, reasons: frozenset[Reason]) -> None:
        self._reasons = reasons
        self._frames: deque[tuple[float, Image]] = deque(maxlen=REMEMBERED)
        self._caps = Caps()

    @classmethod
    def of(cls, workspace: Workspace) -> Self | None:
        """Make one by the settings; None where no pictures are kept."""
        settings = workspace.settings
        if not settings.privacy.unknown_faces_days:
            return None
        strangers = settings.storage.keep_stranger_pictures
        return cls(frozenset({Reason.SPOOF, *([Reason.NO_MATCH] if strangers else [])}))

    def tapped(self, analyse: Analyse) -> Analyse:
        """Return `analyse`, wrapped to remember the last frames with faces."""

        def analyse_and_remember(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if seen.faces:  # a copy, as a driver may reuse its buffer
                self._frames.append((frame.captured_at, frame.image.copy()))
            return seen

        return analyse_and_remember

    def take(self, decision: Decision) -> TakenSnapshot | None:
        """Return the picture of a decision; None when none is to be kept, or it is gone."""
        box, at = decision.box, decision.captured_at
        if decision.reason not in self._reasons or box is None or at is None:
            return None
        image = next((i for t, i in tuple(self._frames) if t == at), None)
        if image is None or not self._caps.allow(box, decision.at.mono):
            return None
        return TakenSnapshot(_around(image, box), replace(decision))


def _around(image: Image, box: Box) -> Image:
    height, width = image.shape[:2]
    x, y = box.centre
    reach = AROUND * max(box.width, box.height) / 2
    left, right = (int(np.clip(v, 0, width)) for v in (x - reach, x + reach))
    top, bottom = (int(np.clip(v, 0, height)) for v in (y - reach, y + reach))
    cut = image[top:bottom, left:right]
    return cut if cut.size else image


class Snapshots(Service):
    """The stored pictures of a workspace."""

    def keep(self, taken: TakenSnapshot) -> None:
        """Seal and store a picture. Raises: StorageError."""
        files, decision = self._workspace.files, taken.decision
        path = files.save_image(encode_jpeg(taken.image, QUALITY))
        with self._workspace.database.write() as session:
            kept = snapshot_store.add(
                session,
                person_id=decision.person.id if decision.person else None,
                reason=decision.reason.value,
                gate_name=self._workspace.settings.gate.name,
                visit=decision.visit,
                pad=decision.pad,
                path=path,
                taken_at=moment(decision.at),
            )
        if not kept:
            files.delete(path)

    def list_(self, limit: int) -> list[Snapshot]:
        """List pictures, newest first."""
        with self._workspace.database.read() as session:
            return snapshot_store.list_(session, limit)

    def image(self, id_: int, *, actor: str) -> bytes:
        """Return one picture as JPEG, after journaling the look. Raises: NotFound, StorageError."""
        with self.change(actor) as change:
            found = snapshot_store.get(change.session, id_)
            change.record("snapshot_viewed", {"snapshot": found.uid, "reason": found.reason})
        return self._workspace.files.load_image(found.path)
