"""Follows faces over frames, by overlap with and distance from their predicted position.

Faces at a door are few and move little between frames, so the best pairs are taken greedily.
A wrong link only costs time: evidence of another person on a track is contrary evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gated.core.values import Box, Face

MAX_GAP_S = 0.5
"""A track that was not seen for this time has ended."""

MAX_TRACKS = 64
MIN_AFFINITY = 0.2
MAX_SPEED = 8.0
"""Highest speed of a prediction, in face widths per second."""


@dataclass(frozen=True, slots=True)
class _Track:
    id: int
    box: Box
    seen: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def predicted(self, now: float) -> Box:
        """Predict the position of the face at `now`."""
        dt = max(0.0, now - self.seen)
        vx, vy = self.velocity
        return replace(self.box, x=self.box.x + vx * dt, y=self.box.y + vy * dt)


class Tracker:
    """Assigns every face the id of its track; ids grow and are never reused."""

    def __init__(self, max_gap_s: float = MAX_GAP_S, max_tracks: int = MAX_TRACKS) -> None:
        self.max_gap_s = max_gap_s
        self.max_tracks = max_tracks
        self._tracks: dict[int, _Track] = {}
        self._next_id = 1

    @property
    def open(self) -> int:
        """The number of open tracks."""
        return len(self._tracks)

    @property
    def ids(self) -> frozenset[int]:
        """The ids of the open tracks."""
        return frozenset(self._tracks)

    def update(self, faces: Sequence[Face], captured_at: float) -> tuple[list[int], list[int]]:
        """Return the track id of each face of a frame (monotonic seconds), and the ended ids."""
        lost = self._expire(captured_at)
        links = self._link([face.box for face in faces], captured_at)
        ids = []
        for index, face in enumerate(faces):
            old = links.get(index)
            if old is None:
                track = _Track(self._next_id, face.box, captured_at)
                self._next_id += 1
            else:
                track = _moved(old, face.box, captured_at)
            self._tracks[track.id] = track
            ids.append(track.id)
        return ids, lost + self._evict(set(ids))

    def _expire(self, now: float) -> list[int]:
        ended = [t.id for t in self._tracks.values() if now - t.seen > self.max_gap_s]
        for track_id in ended:
            del self._tracks[track_id]
        return ended

    def _evict(self, seen: set[int]) -> list[int]:
        """End the stalest unseen tracks when there are more than `max_tracks`."""
        unseen = sorted((t.seen, t.id) for t in self._tracks.values() if t.id not in seen)
        ended = [track_id for _, track_id in unseen[: max(0, self.open - self.max_tracks)]]
        for track_id in ended:
            del self._tracks[track_id]
        return ended

    def _link(self, boxes: Sequence[Box], now: float) -> dict[int, _Track]:
        """Assign boxes (by index) to tracks, best pairs first."""
        tracks = list(self._tracks.values())
        pairs = [
            (affinity(track.predicted(now), box), i, track)
            for track in tracks
            for i, box in enumerate(boxes)
        ]
        links: dict[int, _Track] = {}
        taken: set[int] = set()
        for value, i, track in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2].id)):
            if value >= MIN_AFFINITY and i not in links and track.id not in taken:
                links[i] = track
                taken.add(track.id)
        return links


def affinity(a: Box, b: Box) -> float:
    """Return how well two boxes fit one face: [0, 1], the mean of overlap and nearness."""
    small, large = sorted((max(a.width, 1e-6), max(b.width, 1e-6)))
    if small < 0.5 * large:
        return 0.0
    (ax, ay), (bx, by) = a.centre, b.centre
    nearness = max(0.0, 1.0 - math.hypot(ax - bx, ay - by) / (1.5 * small))
    return min(1.0, (overlap(a, b) + nearness) / 2)


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, [0, 1]."""
    both = overlap_area(a, b)
    either = a.width * a.height + b.width * b.height - both
    return both / either if either > 0 else 0.0


def overlap_area(a: Box, b: Box) -> float:
    """Return the common area of two boxes, in square pixels."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(0.0, width) * max(0.0, height)


def _moved(track: _Track, box: Box, now: float) -> _Track:
    """Move a track to its new place; its velocity becomes the mean of old and new."""
    dt = now - track.seen
    if dt <= 0:
        return replace(track, box=box)
    (x0, y0), (x1, y1) = track.box.centre, box.centre
    limit = MAX_SPEED * max(box.width, 1e-6)
    vx, vy = (
        max(-limit, min(limit, (old + new) / 2))
        for old, new in zip(track.velocity, ((x1 - x0) / dt, (y1 - y0) / dt), strict=True)
    )
    return _Track(track.id, box, now, (vx, vy))
