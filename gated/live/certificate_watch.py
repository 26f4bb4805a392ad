"""The certificate of the API, in time: told before it ends, renewed where it is our own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from gated.accounts import certificates
from gated.core.values import moment
from gated.errors import ConfigError, StorageError
from gated.journal import alarm_store
from gated.journal.journal import Entry
from gated.link.status_board import StatusBoard
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

EXPIRES = "certificate_expires"
"""Problem and alarm."""


class CertificateWatch(Service):
    """Looks at the certificate now and then. reload: lets the server show what is in the file."""

    def __init__(
        self, workspace: Workspace, clock: Clock, board: StatusBoard, reload: Callable[[], None]
    ) -> None:
        super().__init__(workspace, clock)
        self._board = board
        self._reload = reload
        self._seen: float | None = None

    def look(self) -> None:
        """Renew, tell, and show the newest one. StorageError."""
        api = self._workspace.settings.api
        file, key = api.tls_certificate, api.tls_key
        if file is None or key is None:
            return
        now = self._clock.now()
        before = certificates.written(file) if self._seen is None else self._seen
        # a clock that is not known to be right ends no certificate, and dates none
        if now.sure:
            soon = certificates.expiring(file, moment(now))
            if soon and self._is_own(file, key) and self._renewed(file, key):
                soon = certificates.expiring(file, moment(now))
            self._board.trouble(EXPIRES, soon or None)
            if soon:
                self._tell(soon)
        self._seen = certificates.written(file)
        if self._seen != before:
            self._show()

    def _renewed(self, file: Path, key: Path) -> bool:
        try:
            fingerprint = certificates.renew(file, key)
        except StorageError as error:
            log.error("the certificate is not renewed: %s", error)
            return False
        log.warning("the certificate %s is renewed; its fingerprint is %s now", file, fingerprint)
        return True

    def _show(self) -> None:
        try:
            self._reload()
        except ConfigError as error:
            log.error("the certificate before is shown on: %s", error)

    def _is_own(self, file: Path, key: Path) -> bool:
        folder = self._workspace.settings.storage.state_dir / "keys"
        return certificates.is_own(file, key, folder)

    def _tell(self, soon: str) -> None:
        with self._workspace.database.read() as session:
            if any(a.kind == EXPIRES for a in alarm_store.list_(session, standing=True)):
                return
        log.warning("%s", soon)
        body = {"severity": "warning", "gate": self._workspace.settings.gate.name, "detail": soon}
        self._workspace.journal.append([Entry(self._clock.now(), EXPIRES, body)])
