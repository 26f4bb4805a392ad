"""Is it the camera that was there before? The first is believed, any other has to be accepted."""

from __future__ import annotations

from gated.errors import Conflict
from gated.ports import Clock
from gated.services.workspace import Service, Workspace
from gated.storage import settings
from gated.storage.journal import Entry

_KEY = "camera_identity"


class CameraIdentity(Service):
    """What is known of a gate's camera. `pinned`: the certificate that the configuration names."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._pinned = workspace.settings.camera.certificate

    def seen(self, identity: str) -> str | None:
        """Take note of the camera that was opened; what is wrong with it, None: nothing.

        StorageError.
        """
        with self._workspace.database.write() as session:
            known = settings.get(session, _KEY) or {"accepted": identity}
            settings.set_(session, _KEY, {**known, "seen": identity})
        if self._pinned is not None:
            right = identity.endswith(f"sha256:{self._pinned}")
            return None if right else f"{identity}: not the certificate of the configuration"
        accepted = known["accepted"]
        return None if accepted == identity else f"it was {accepted}, it is {identity}"

    def accept(self, *, actor: str) -> str:
        """Believe the camera that is there now, and return its identity. Journaled.

        Conflict when there is nothing to accept; StorageError.
        """
        with self._workspace.database.write() as session:
            known = settings.get(session, _KEY) or {}
            identity = known.get("seen")
            if self._pinned is not None:
                raise Conflict("the configuration names the certificate: change camera.certificate")
            if identity is None or identity == known["accepted"]:
                raise Conflict("the camera has not changed")
            settings.set_(session, _KEY, {"accepted": identity, "seen": identity})
            body = {"identity": identity, "before": known["accepted"]}
            entry = Entry(self._clock.now(), "camera_accepted", body, {"actor": {"name": actor}})
            self._workspace.journal.append([entry], session)
        return str(identity)
