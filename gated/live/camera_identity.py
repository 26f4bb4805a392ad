"""Notices that the camera was exchanged: the first one is trusted, any other has to be accepted."""

from __future__ import annotations

from gated.database import stored_settings
from gated.errors import Conflict
from gated.ports import Clock
from gated.workspace import Service, Workspace

_KEY = "camera_identity"


class CameraIdentity(Service):
    """The accepted identity of a gate's camera."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._pinned = workspace.settings.camera.certificate

    def accepted(self) -> str | None:
        """Return the identity of the accepted camera; None before the first. StorageError."""
        with self._workspace.database.read() as session:
            known = stored_settings.get(session, _KEY) or {}
        return known.get("accepted")

    def seen(self, identity: str) -> str | None:
        """Compare the camera that was opened; return what is wrong with it, or None.

        Raises: StorageError.
        """
        with self._workspace.database.write() as session:
            known = stored_settings.get(session, _KEY) or {"accepted": identity}
            stored_settings.set_(session, _KEY, {**known, "seen": identity})
        if self._pinned is not None:
            right = identity.endswith(f"sha256:{self._pinned}")
            return None if right else f"{identity}: not the certificate of the configuration"
        accepted = known["accepted"]
        return None if accepted == identity else f"it was {accepted}, it is {identity}"

    def accept(self, *, actor: str) -> str:
        """Accept the present camera, and return its identity. Journaled.

        Raises: Conflict when there is nothing to accept, StorageError.
        """
        with self.change(actor) as change:
            known = stored_settings.get(change.session, _KEY) or {}
            identity = known.get("seen")
            if self._pinned is not None:
                text = "the configuration names the certificate: change camera.certificate"
                raise Conflict(text).named("certificate_named")
            if identity is None or identity == known["accepted"]:
                raise Conflict("the camera has not changed").named("camera_same")
            stored_settings.set_(change.session, _KEY, {"accepted": identity, "seen": identity})
            change.record("camera_accepted", {"identity": identity, "before": known["accepted"]})
        return str(identity)
