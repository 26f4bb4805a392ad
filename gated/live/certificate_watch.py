"""Watches the certificate of the API: warns before it expires, renews a self-signed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from gated.accounts import certificates
from gated.core.values import moment
from gated.errors import ConfigError, StorageError
from gated.link.status_board import StatusBoard
from gated.live.standing_alarm import raise_once
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

EXPIRES = "certificate_expires"
"""Problem and alarm."""


class CertificateWatch(Service):
    """Checks the certificate of the API. reload: lets the server load the file again."""

    def __init__(
        self, workspace: Workspace, clock: Clock, board: StatusBoard, reload: Callable[[], None]
    ) -> None:
        super().__init__(workspace, clock)
        self._board = board
        self._reload = reload
        self._seen: float | None = None

    def look(self) -> None:
        """Renew or warn where needed, and let the server use a new file. Raises: StorageError."""
        api = self._workspace.settings.api
        file, key = api.tls_certificate, api.tls_key
        if file is None or key is None:
            return
        now = self._clock.now()
        before = certificates.written(file) if self._seen is None else self._seen
        # with a doubtful clock, expiry cannot be judged and a new certificate not be dated
        if now.sure:
            soon = certificates.expiring(file, moment(now))
            if soon and self._is_own(file, key) and self._renewed(file, key):
                soon = certificates.expiring(file, moment(now))
            self._board.trouble(EXPIRES, soon or None)
            if soon and self._raise(soon, file):
                log.warning("%s", soon)
        self._seen = certificates.written(file)
        if self._seen != before:
            self._reload_server()

    def _raise(self, soon: str, file: Path) -> bool:
        """Raise the alarm; return whether it was not there yet."""
        until = f"{certificates.ends(file):%Y-%m-%d}"
        body = {"severity": "warning", "detail": soon, "until": until}
        return raise_once(self._workspace, self._clock, EXPIRES, body)

    def _renewed(self, file: Path, key: Path) -> bool:
        try:
            fingerprint = certificates.renew(file, key)
        except StorageError as error:
            log.error("the certificate is not renewed: %s", error)
            return False
        log.warning("the certificate %s is renewed; its fingerprint is %s now", file, fingerprint)
        return True

    def _reload_server(self) -> None:
        try:
            self._reload()
        except ConfigError as error:
            log.error("the server keeps the former certificate: %s", error)

    def _is_own(self, file: Path, key: Path) -> bool:
        folder = self._workspace.settings.storage.state_dir / "keys"
        return certificates.is_own(file, key, folder)
