"""What the command line asks of the running gate's door, left where the gate looks for changes."""

from __future__ import annotations

from gated.core.model import DoorMode, ResetFire, SetDoorMode
from gated.errors import Conflict
from gated.services.workspace import Workspace
from gated.storage import settings
from gated.storage.lock import is_locked
from gated.storage.tables import new_uid

KEY = "door_order"
RESET_FIRE = "reset_fire"


def leave_order(workspace: Workspace, act: str, *, actor: str, cause: str) -> None:
    """Leave an order for the gate that runs here: a door mode, or RESET_FIRE.

    Conflict when none runs: a mode that is set later would surprise somebody.
    """
    if not is_locked(workspace.settings.storage.state_dir):
        raise Conflict("no gate runs here: start it first")
    order = {"uid": new_uid(), "act": act, "actor": actor, "cause": cause}
    with workspace.database.write() as session:
        settings.set_(session, KEY, order)


def order_stamp(workspace: Workspace) -> str | None:
    """Names the order that waits; None when there is none."""
    with workspace.database.read() as session:
        order = settings.get(session, KEY)
    return order and str(order["uid"])


def take_order(workspace: Workspace) -> SetDoorMode | ResetFire | None:
    """The order that waits, which waits no more; the journal will tell of it."""
    with workspace.database.write() as session:
        order = settings.get(session, KEY)
        if not order:
            return None
        settings.set_(session, KEY, None)
    if order["act"] == RESET_FIRE:
        return ResetFire(order["actor"], order["cause"])
    return SetDoorMode(DoorMode(order["act"]), order["actor"], order["cause"])
