"""Finds the owner of what is shown to the gate besides a face, and tells the gate."""

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
    from gated.access.pins import PinDesk

log = logging.getLogger(__name__)


class CredentialLookup:
    """Looks up cards and badges and posts what they say to the gate; any thread may present."""

    def __init__(self, credentials: Credentials, post: Callable[[Event], None]) -> None:
        self._credentials = credentials
        self._post = post

    def card(self, number: str) -> None:
        """Somebody held a card to the reader."""
        self._present(Method.CARD, number)

    def keyed_pin(self, typed: KeyedPin, pins: PinDesk) -> None:
        """Somebody typed a PIN at a keypad; too many wrong ones are not looked at for a while."""
        try:
            person_id = pins.present(typed.personnel_code, typed.pin)
        except Throttled:
            log.warning("a PIN at the keypad is not looked at: too many were wrong")
            return
        except StorageError as error:
            log.error("whose PIN this is cannot be found out: %s", error)
            return
        self._post(CredentialPresented(Method.PIN, person_id))

    def badge(self, content: str) -> None:
        """Somebody showed a code to the camera; one that is none of ours says nothing."""
        if content.startswith(BADGE):
            self._present(Method.QR, content)

    def _present(self, method: Method, text: str) -> None:
        try:
            person_id = self._credentials.whose(method.value, text)
        except StorageError as error:
            log.error("whose %s this is cannot be found out: %s", method.value, error)
            return
        self._post(CredentialPresented(method, person_id))


def badge_picture(content: str) -> bytes:
    """A PNG of a badge to print."""
    return badges.draw(content)
