"""Settings on their way to a gate: one thing, of which each gate is told its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gated.services.sync.kind import Kind, Taking, Telling, Told
from gated.storage import changes, given, mirror, rollouts
from gated.storage.given import Given


def _tell(telling: Telling, uids: Sequence[str] | None) -> Mapping[str, Told]:
    session, gate = telling.session, telling.gate
    last = rollouts.given_to(session, [gate.id]).get(gate.id)
    if last is None or (uids is not None and changes.SETTINGS not in uids):
        return {}
    revision = last.configuration_id
    values = {} if revision is None else rollouts.configuration(session, revision).settings
    by = rollouts.begun_by(session, rollouts.get(session, last.rollout_id))
    told = {"given": last.uid, "revision": revision or 0, "settings": values, "by": by or ""}
    return {changes.SETTINGS: told}


def _read(told: Told) -> Given:
    values = {str(section): dict(keys) for section, keys in told["settings"].items()}
    return Given(str(told["given"]), int(told["revision"]), values, str(told["by"]))


def _put(taking: Taking, uid: str, told: Given) -> None:
    given.offer(taking.session, told)
    mirror.remember(taking.session, changes.SETTINGS, uid, taking.snapshot)


def _drop(taking: Taking, uid: str) -> None:
    """A hub that takes its settings back says so with revision 0; silence changes nothing."""
    mirror.forget(taking.session, changes.SETTINGS, uid)


SETTINGS = Kind(changes.SETTINGS, _tell, _read, _put, _drop)
