"""Find a lens that somebody covers, and a camera that somebody turns away.

Theory of operation. Once a second a thumbnail is looked at; the mean of 10 by 10 pixels leaves no
sensor noise. A covered lens shows no edges: tape, a hand, paint or paper before it is one soft
spot. A camera that is turned away shows edges in other places than before: the edges of a quarter
of a minute, without those of people who pass, are compared with the view that was learnt.

A view without edges from the beginning (a bare wall) cannot be covered by this measure, and one
that was turned in the dark is learnt anew: both are the price of no false alarm at each dusk.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import CameraEventKind, Image
from gated.devices.exposure import DIM, WHITE

EVERY_S = 1.0
THUMBNAIL = (64, 48)
"""Width and height; a cell of 640 by 480 pixels is the mean of 100."""
FLAT = 6.0
"""Grey levels from one cell to the next but one. 95 of 100 cells of a covered lens have fewer."""
COVERED_S = 10.0
LOOKS = 15
"""Of which the median is the view: who stands there for less is not in it."""
ALIKE, OTHER = 0.6, 0.3
"""Correlation of edges with the known view: the same view above, another one below."""
TURNED_S, LEARNT_S = 60.0, 600.0
"""So long it is another view until it counts as turned away, and until it is the known one."""
LEARN = 1.0 / 600.0
"""Part of the known view that a second renews: the sun's shadows wander."""

Edges = npt.NDArray[np.float32]
Finding = Literal[CameraEventKind.COVERED, CameraEventKind.TURNED, CameraEventKind.CLEAR]


class ViewWatch:
    """Judges the pictures of one camera, which are given with their times (monotonic seconds)."""

    def __init__(self) -> None:
        self._looked_at = -np.inf
        self._told: CameraEventKind | None = None
        self._flat_since: float | None = None
        self._had_edges = False
        self._looks: deque[Edges] = deque(maxlen=LOOKS)
        self._known: Edges | None = None
        self._other_since: float | None = None

    def look(self, image: Image, now: float) -> Finding | None:
        """Return what began with this picture, CLEAR for its end; None: nothing new."""
        if now - self._looked_at < EVERY_S:
            return None
        waited, self._looked_at = now - self._looked_at, now
        small = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA)
        gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        brightness = float(gray.mean())
        if not DIM <= brightness < WHITE or waited > COVERED_S:
            self._forget()  # night, glare or an outage: what comes after cannot be compared
            return None
        edges = _edges(gray)
        if self._is_flat(edges, now):
            return self._tell(CameraEventKind.COVERED)
        if self._flat_since is not None:
            return None
        if self._told is CameraEventKind.COVERED:
            return self._tell(None)
        self._looks.append(edges)
        return self._tell(CameraEventKind.TURNED if self._is_turned(now) else None)

    def reopened(self) -> None:
        """Take note that the camera was opened anew: what is still so is reported again."""
        self._forget()
        self._told = None

    def _is_flat(self, edges: Edges, now: float) -> bool:
        """Return whether there have been no edges for a while where there were some."""
        if float(np.percentile(edges, 95)) >= FLAT:
            self._had_edges, self._flat_since = True, None
            return False
        self._flat_since = now if self._flat_since is None else self._flat_since
        return self._had_edges and now - self._flat_since >= COVERED_S

    def _is_turned(self, now: float) -> bool:
        if len(self._looks) < LOOKS:
            return self._told is CameraEventKind.TURNED
        view = np.median(np.stack(self._looks), axis=0).astype(np.float32)
        if self._known is None:
            self._known = view
        alike = _correlation(view, self._known)
        if alike >= OTHER:
            self._other_since = None
            # what is neither surely the same nor another is learnt as well, or it never would be
            self._known += LEARN * (view - self._known)
            return self._told is CameraEventKind.TURNED and alike < ALIKE
        self._other_since = now if self._other_since is None else self._other_since
        if now - self._other_since >= LEARNT_S:
            self._known, self._other_since = view, None
            return False
        return now - self._other_since >= TURNED_S

    def _tell(self, kind: Finding | None) -> Finding | None:
        before, self._told = self._told, kind
        if kind is before:
            return None
        return CameraEventKind.CLEAR if kind is None else kind

    def _forget(self) -> None:
        """Begin anew; what was reported is over when the view is seen to be well."""
        self._flat_since = self._other_since = None
        self._looks.clear()
        if self._told is not CameraEventKind.TURNED:
            self._known = None


def _edges(gray: npt.NDArray[np.uint8]) -> Edges:
    across = cv2.Sobel(gray, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(gray, cv2.CV_32F, 0, 1, ksize=1)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _correlation(one: Edges, other: Edges) -> float:
    """Return how alike two views are, -1 to 1; strong edges count as ordinary ones."""
    soft = [cv2.GaussianBlur(np.sqrt(edges), (5, 5), 0) for edges in (one, other)]
    a, b = (view - view.mean() for view in soft)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / size if size > 0 else 0.0
