"""Looks up the owner of a card, badge or PIN that was presented, and notifies the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from gated.access.credentials import BADGE, Credentials
from gated.core.messages import CredentialPresented, Event
from gated.core.values import Method
from gated.errors import StorageError, Throttled
from gated.ports import KeyedPin
from gated.vision import badges

if TYPE_CHECKING:
    from gated.access.pins import PinCheck

log = logging.getLogger(__name__)


class CredentialLookup:
    """Looks up presented credentials and posts the result to the gate; thread-safe."""

    def __init__(self, credentials: Credentials, post: Callable[[Event], None]) -> None:
        self._credentials = credentials
        self._post = post

    def card(self, number: str) -> None:
        """Look up a card that was held to the reader."""
        self._present(Method.CARD, number)

    def keyed_pin(self, typed: KeyedPin, pins: PinCheck) -> None:
        """Check a PIN that was typed at a keypad; after too many wrong ones it is ignored."""
        try:
            person_id = pins.present(typed.personnel_code, typed.pin)
        except Throttled:
            log.warning("a PIN at the keypad was ignored: too many were wrong")
            return
        except StorageError as error:
            log.error("the PIN cannot be looked up: %s", error)
            return
        self._post(CredentialPresented(Method.PIN, person_id))

    def badge(self, content: str) -> None:
        """Look up a code that was shown to the camera; ignore codes that are not our badges."""
        if content.startswith(BADGE):
            self._present(Method.QR, content)

    def _present(self, method: Method, text: str) -> None:
        try:
            person_id = self._credentials.whose(method.value, text)
        except StorageError as error:
            log.error("the %s cannot be looked up: %s", method.value, error)
            return
        self._post(CredentialPresented(method, person_id))


def badge_picture(content: str) -> bytes:
    """Draw a badge to print, as a PNG."""
    return badges.draw(content)
