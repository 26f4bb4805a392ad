"""Access rules on their way down: schedules, groups with their rules, the site's rules and
holidays, and the keys under which cards and PINs are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gated.access import credential_keys, site_store
from gated.database import change_feed, hub_ownership
from gated.fleet.gate import replica, replica_rules
from gated.fleet.hub import scope_rules
from gated.fleet.wire.kind import ApplyContext, FeedKind, OutboundPage
from gated.fleet.wire.states import CredentialKeysState, GroupState, ScheduleState, SiteState
from gated.journal.journal import Entry

REPLACED = "own_rules_replaced"
"""Kind of the entry about rules that were set at a gate before the hub gave others."""


def _collect_schedules(
    page: OutboundPage, uids: Sequence[str] | None
) -> Mapping[str, ScheduleState]:
    return scope_rules.schedules_of(page.session, page.gate, uids)


def _apply_schedules(page: ApplyContext, states: Mapping[str, ScheduleState]) -> None:
    for uid, state in states.items():
        replica_rules.put_schedule(page.session, uid, state, page.snapshot)


def _drop_schedule(page: ApplyContext, uid: str) -> None:
    replica_rules.drop_schedule(page.session, uid)


def _collect_groups(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, GroupState]:
    return scope_rules.groups_of(page.session, page.gate, uids)


def _apply_groups(page: ApplyContext, states: Mapping[str, GroupState]) -> None:
    session, snapshot = page.session, page.snapshot
    for uid, state in states.items():
        known = hub_ownership.is_from_hub(session, change_feed.GROUP, uid)
        id_ = replica.put_group(session, uid, state.name, snapshot)
        replica.put_plan(session, id_, state.planned_hours, state.late_after)
        before = replica_rules.put_rules_of_group(session, id_, state, snapshot)
        if before and not known:
            rules = [asdict(rule) for rule in before]
            page.entries.append(_replaced(page, {"group": uid, "rules": rules}))


def _drop_group(page: ApplyContext, uid: str) -> None:
    replica.drop_group(page.session, uid)


def _collect_site(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, SiteState]:
    session, gate = page.session, page.gate
    changed = None if uids is None else scope_rules.sites_among(session, gate, uids)
    named = [hub_ownership.HERE] if changed is None else changed
    return dict.fromkeys(named, scope_rules.site_of(session, gate)) if named else {}


def _apply_site(page: ApplyContext, states: Mapping[str, SiteState]) -> None:
    session = page.session
    if not hub_ownership.is_from_hub(session, change_feed.SITE, hub_ownership.HERE):
        here = page.workspace.settings.gate.site
        own = site_store.rules(session, here)
        body = {
            "rules": dict(own.values),
            "holidays": {
                h.day.isoformat(): h.name for h in site_store.list_holidays(session, here)
            },
            **({"timezone": own.timezone} if own.timezone else {}),
        }
        if any(body.values()):
            page.entries.append(_replaced(page, body))
    for state in states.values():
        replica_rules.put_site(session, state, page.snapshot)


def _keep_site(page: ApplyContext, uid: str) -> None:
    """Do nothing: a site that is gone was another one."""


def _replaced(page: ApplyContext, body: Mapping[str, Any]) -> Entry:
    return Entry(page.now, REPLACED, dict(body))


def _collect_keys(
    page: OutboundPage, uids: Sequence[str] | None
) -> Mapping[str, CredentialKeysState]:
    keys = credential_keys.own(page.workspace, page.session)
    return {credential_keys.ALL: CredentialKeysState.of(keys=tuple(key.hex() for key in keys))}


def _apply_keys(page: ApplyContext, states: Mapping[str, CredentialKeysState]) -> None:
    for state in states.values():
        keys = [bytes.fromhex(key) for key in state.keys]
        credential_keys.keep_those_of_hub(page.workspace, page.session, keys)


def _keep_keys(page: ApplyContext, uid: str) -> None:
    """Do nothing: a hub always has keys."""


SCHEDULE = FeedKind(
    change_feed.SCHEDULE, ScheduleState, _collect_schedules, _apply_schedules, _drop_schedule
)
GROUP = FeedKind(change_feed.GROUP, GroupState, _collect_groups, _apply_groups, _drop_group)
SITE = FeedKind(change_feed.SITE, SiteState, _collect_site, _apply_site, _keep_site)
CREDENTIAL_KEYS = FeedKind(
    change_feed.CREDENTIAL_KEYS, CredentialKeysState, _collect_keys, _apply_keys, _keep_keys
)
