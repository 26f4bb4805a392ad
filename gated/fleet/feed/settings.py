"""Settings on their way to a gate: one thing, of which each gate has its own state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gated.database import change_feed, hub_ownership
from gated.fleet.gate import assigned_config
from gated.fleet.gate.assigned_config import AssignedConfig
from gated.fleet.hub import rollout_store
from gated.fleet.wire.kind import ApplyContext, FeedKind, OutboundPage
from gated.fleet.wire.states import SettingsState


def _collect(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, SettingsState]:
    session, gate = page.session, page.gate
    last = rollout_store.given_to(session, [gate.id]).get(gate.id)
    if last is None or (uids is not None and change_feed.SETTINGS not in uids):
        return {}
    revision = last.configuration_id
    values = {} if revision is None else rollout_store.configuration(session, revision).settings
    by = rollout_store.begun_by(session, rollout_store.get(session, last.rollout_id))
    state = SettingsState.of(given=last.uid, revision=revision or 0, settings=values, by=by or "")
    return {change_feed.SETTINGS: state}


def _apply(page: ApplyContext, states: Mapping[str, SettingsState]) -> None:
    for uid, state in states.items():
        values = {section: dict(keys) for section, keys in state.settings.items()}
        given = AssignedConfig(uid=state.given, revision=state.revision, values=values, by=state.by)
        assigned_config.offer(page.session, given)
        hub_ownership.remember(page.session, change_feed.SETTINGS, uid, page.snapshot)


def _drop(page: ApplyContext, uid: str) -> None:
    """Keep the settings: a hub that takes them back sends revision 0; silence changes nothing."""
    hub_ownership.forget(page.session, change_feed.SETTINGS, uid)


SETTINGS = FeedKind(change_feed.SETTINGS, SettingsState, _collect, _apply, _drop)
