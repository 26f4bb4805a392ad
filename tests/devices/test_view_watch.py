"""A lens that is covered, a camera that is turned away, and all that looks a little like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from gated.core.messages import CameraEvent
from gated.core.values import CameraEventKind, Image
from gated.devices.clock import ManualClock
from gated.devices.supervised import SupervisedCamera
from gated.devices.view_watch import COVERED_S, LEARNT_S, LOOKS, TURNED_S, ViewWatch
from gated.errors import DeviceError
from gated.ports import Frame

WIDTH, HEIGHT = 320, 240
COVERED, TURNED, CLEAR = CameraEventKind.COVERED, CameraEventKind.TURNED, CameraEventKind.CLEAR

Scene = Callable[[int], Image]
"""The picture of a second."""


def room(seed: int) -> Image:
    """A view with furniture: boxes of all sizes and grey levels on a wall."""
    draw = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), 130, np.uint8)
    for _ in range(40):
        left, top = draw.integers(0, (WIDTH, HEIGHT))
        width, height = draw.integers(10, 80, 2)
        image[top : top + height, left : left + width] = draw.integers(20, 235, 3)
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0), np.uint8)


NOISE = np.random.default_rng(0).normal(0, 5, (4, HEIGHT, WIDTH, 3)).astype(np.int16)


def noisy(image: Image, second: int) -> Image:
    """The picture with the noise of a sensor, of 5 grey levels."""
    return np.asarray(np.clip(image + NOISE[second % len(NOISE)], 0, 255), np.uint8)


def seen(*parts: tuple[int, Scene], watch: ViewWatch | None = None) -> list[tuple[int, str]]:
    """The findings of scenes that follow each other for so many seconds, with their second."""
    watch, found, second = watch or ViewWatch(), [], 0
    for lasts, scene in parts:
        for at in range(lasts):
            finding = watch.look(noisy(scene(at), second), float(second))
            if finding is not None:
                found.append((second, str(finding)))
            second += 1
    return found


HERE, ELSEWHERE = room(1), room(2)


def here(second: int) -> Image:
    return HERE


def elsewhere(second: int) -> Image:
    return ELSEWHERE


def tape(second: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), (60, 70, 80), np.uint8)


def hand(second: int) -> Image:
    """Red light through fingers, brighter at one side."""
    across = np.linspace(40, 140, WIDTH, dtype=np.float32)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 2], image[..., 1] = across, across / 3
    return image


def out_of_focus(second: int) -> Image:
    """The view through a sheet of paper."""
    blurred = cv2.GaussianBlur(HERE, (0, 0), 40)
    return np.asarray(blurred // 2 + 100, np.uint8)


@pytest.mark.parametrize("cover", [tape, hand, out_of_focus])
def test_a_covered_lens_is_found_and_its_end(cover: Scene) -> None:
    found = seen((60, here), (60, cover), (30, here))
    assert found == [(60 + COVERED_S, "covered"), (120, "clear")]


def test_a_cover_for_a_moment_is_none() -> None:
    assert seen((60, here), (int(COVERED_S) - 1, hand), (60, here)) == []


def shifted(second: int) -> Image:
    return np.roll(HERE, 100, axis=1)


@pytest.mark.parametrize("view", [elsewhere, shifted])
def test_a_camera_that_is_turned_away_is_found_and_its_end(view: Scene) -> None:
    (told, kind), (over, end) = seen((120, here), (150, view), (120, here))
    assert (kind, end) == ("turned", "clear")
    assert 120 + TURNED_S <= told <= 120 + TURNED_S + LOOKS
    assert 270 < over <= 270 + 2 * LOOKS


def test_a_new_view_is_the_known_one_after_a_while() -> None:
    away = (int(LEARNT_S) + 200, elsewhere)
    found = seen((120, here), away, (150, here))
    assert [kind for _, kind in found] == ["turned", "clear", "turned"]


def people(second: int) -> Image:
    """Somebody large walks up, stands for half a minute, and goes."""
    image, place = HERE.copy(), second % 60
    if place < 45:
        left = min(place * 15, 100)
        cv2.ellipse(image, (left + 75, 165), (75, 130), 0, 0, 360, (70, 90, 150), -1)
        cv2.circle(image, (left + 75, 65), 35, (140, 160, 200), -1)
    return image


def sun(second: int) -> Image:
    """A shadow wanders across the room within twenty minutes, and clouds pass."""
    light = np.full((HEIGHT, WIDTH, 1), 0.9 + 0.3 * np.sin(second / 20), np.float32)
    edge = second % 1200 * WIDTH // 1200
    light[:, edge : edge + 60] *= 0.6
    return np.asarray(np.clip(HERE * light, 0, 255), np.uint8)


def lamps(second: int) -> Image:
    """Somebody switches the light off and on, each five minutes."""
    return HERE if second // 300 % 2 == 0 else np.asarray(HERE // 25, np.uint8)


def dim_lamp(second: int) -> Image:
    """A lamp at one side instead of the ceiling's."""
    if second // 300 % 2 == 0:
        return HERE
    light = np.linspace(0.15, 0.9, WIDTH, dtype=np.float32)[None, :, None]
    return np.asarray(HERE * light, np.uint8)


def shaken(second: int) -> Image:
    """A door slams, and the mount gives by a few pixels."""
    return np.roll(HERE, 2 * (second // 100 % 2), axis=(0, 1))


def wall(second: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), 180, np.uint8)


@pytest.mark.parametrize("scene", [here, people, sun, lamps, dim_lamp, shaken, wall])
def test_an_ordinary_view_is_no_alarm(scene: Scene) -> None:
    assert seen((700, scene)) == []


def test_through_the_night_a_view_is_learnt_anew() -> None:
    night = (600, lambda second: np.full((HEIGHT, WIDTH, 3), 3, np.uint8))
    assert seen((120, here), night, (300, elsewhere)) == []


class Film:
    """A camera that shows one picture a second; None: it is unplugged for so long."""

    name = "film"

    def __init__(self, pictures: Sequence[Image | None], clock: ManualClock) -> None:
        self._pictures, self._clock, self._number = pictures, clock, 0

    def open(self) -> None:
        """Nothing is to be opened."""

    def read(self) -> Frame:
        self._clock.advance(1.0)
        self._number += 1
        picture = self._pictures[self._number - 1]
        if picture is None:
            raise DeviceError("unplugged")
        return Frame(noisy(picture, self._number), self._clock.now().mono, self._number)

    def close(self) -> None:
        """Nothing is to be closed."""


def test_a_supervised_camera_reports_it_and_hands_its_pictures_on() -> None:
    clock, events = ManualClock(), list[CameraEvent]()
    pictures = [HERE] * 30 + [tape(0)] * 30 + [HERE] * 30
    camera = SupervisedCamera(Film(pictures, clock), clock, events.append, 10.0)
    camera.open()
    assert len([camera.read() for _ in pictures]) == 90
    assert [str(e.kind) for e in events] == ["opened", "covered", "clear"]


@pytest.mark.parametrize(("other", "told"), [(tape(0), "covered"), (ELSEWHERE, "turned")])
def test_what_is_still_in_the_way_after_an_outage_is_reported_again(
    other: Image, told: str
) -> None:
    clock, events = ManualClock(), list[CameraEvent]()
    pictures = [*[HERE] * 30, *[other] * 100, None, *[other] * 100, *[HERE] * 60]
    film = Film(pictures, clock)
    camera = SupervisedCamera(film, clock, events.append, 10.0, wait=lambda _: False)
    camera.open()
    for _ in range(len(pictures) - 1):
        camera.read()
    assert [str(e.kind) for e in events] == ["opened", told, "lost", "opened", told, "clear"]
