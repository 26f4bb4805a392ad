"""Finds the owner of what is shown to the gate besides a face, and tells the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gated.access.credentials import BADGE, Credentials
from gated.core.messages import CredentialPresented, Event
from gated.core.values import Method
from gated.errors import StorageError
from gated.vision import badges

log = logging.getLogger(__name__)


class CredentialLookup:
    """Looks up cards and badges and posts what they say to the gate; any thread may present."""

    def __init__(self, credentials: Credentials, post: Callable[[Event], None]) -> None:
        self._credentials = credentials
        self._post = post

    def card(self, number: str) -> None:
        """Somebody held a card to the reader."""
        self._present(Method.CARD, number)

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
