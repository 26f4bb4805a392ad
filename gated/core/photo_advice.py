"""Advice to add another reference photo of a person.

A second photo that shows the person otherwise halves the visits that are refused by mistake
(docs/accuracy.md); the same picture once more brings nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

LIKENESS = "likeness"
"""Key in the quality of an enrollment: resemblance to the person's other photos when it came."""

NEARLY_SAME = 0.85
"""From this likeness on two photos are the same evidence: one picture, stored or cut otherwise."""

NO_PHOTO, ONE_PHOTO, ALIKE, SAME_PHOTO = "no_photo", "one_photo", "nearly_same", "same_photo"

_IN_WORDS = {
    NO_PHOTO: "No photo is in use. Add one, and a second one that shows the person otherwise.",
    ONE_PHOTO: (
        "One photo. A second one, with glasses or from the gate's camera, more than halves wrong "
        "refusals."
    ),
    ALIKE: (
        "The photos are nearly the same picture, which helps little. Add one that shows the person "
        "otherwise: with glasses or without, from the gate's camera, in other light."
    ),
    SAME_PHOTO: "This very photo was there already: it brings nothing. Add another one.",
}


class ComparedPhoto(Protocol):
    """A reference photo, as far as the advice goes by it."""

    @property
    def is_active(self) -> bool: ...

    @property
    def quality(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class PhotoAdvice:
    """usable: photos in use. reason: code why another one is advised; None when it is not.

    text: the same as a sentence or two, empty without a reason.
    """

    usable: int
    another_advised: bool
    reason: str | None
    text: str

    @classmethod
    def of(cls, usable: int, different: int) -> Self:
        """Judge so many photos in use, of which so many resemble none that came before."""
        if not usable:
            return cls._because(0, NO_PHOTO)
        if different > 1:
            return cls(usable, False, None, "")
        return cls._because(usable, ONE_PHOTO if usable == 1 else ALIKE)

    @classmethod
    def of_photos(cls, photos: Iterable[ComparedPhoto]) -> Self:
        """Judge the photos of one person."""
        in_use = [photo.quality.get(LIKENESS, 0.0) for photo in photos if photo.is_active]
        return cls.of(len(in_use), sum(alike < NEARLY_SAME for alike in in_use))

    def after_same(self) -> Self:
        """Return the advice after a photo came that was there already."""
        is_enough = self.reason not in (ONE_PHOTO, ALIKE)
        return self if is_enough else self._because(self.usable, SAME_PHOTO)

    @classmethod
    def _because(cls, usable: int, reason: str) -> Self:
        return cls(usable, True, reason, _IN_WORDS[reason])
