"""On the wire is what gates of earlier versions read, byte by byte."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.wire import furnish, hub_settings, sent
from tests.workspaces import open_workspace

GOLDEN = {
    ("credential_keys", "all"): (
        rb'{"keys": ["e980b09b9d6e579430036f32afcddbde26772e1dbf203a8c19db831ea71010c6"]}'
    ),
    ("schedule", "s1"): (
        rb'{"name": "Office", "week": [["08:00-17:00"], ["08:00-17:00"], ["08:00-17:00"], '
        rb'["08:00-17:00"], ["08:00-17:00"], ["09:00-10:00", "11:00-12:00"], []], '
        rb'"holiday": ["10:00-11:00"], "exceptions": {"2026-12-24": ["08:00-12:00"]}}'
    ),
    (
        "group",
        "g1",
    ): (
        rb'{"name": "Staff", "here": ["s1", null], "elsewhere": true, "planned_hours": null, '
        rb'"late_after": null}'
    ),
    ("site", "all"): (
        rb'{"rules": {"occupancy": 7, "first_in": "s1", "ungrouped": false}, '
        rb'"holidays": {"2026-12-25": "No\u00ebl"}, "timezone": "Europe/Berlin"}'
    ),
    ("operator", "o1"): (
        rb'{"username": "olga", "derivation": "argon2id m=65536 t=3 p=1", '
        rb'"salt": "abababababababababababababababab", '
        rb'"public_key": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", '
        rb'"everyone": false, "at_once": true, "groups": {"g1": "Staff"}}'
    ),
    ("edit", "x1"): rb'{"state": "refused", "reason": "no such photo"}',
    ("settings", "settings"): (
        rb'{"given": "v1", "revision": 1, "settings": {"recognition": {"frames": 4, '
        rb'"margin": 0.06}, "access": {"cooldown_s": 2.5}}, "by": ""}'
    ),
    ("person", "p1"): (
        rb'{"uid": "p1", "version": 7, "first_name": "Zo\u00eb", "last_name": "Example", '
        rb'"personnel_code": "z-1", "department": "D\u00e9p\u00f4t", "position": "Clerk", '
        rb'"is_active": true, "leaves_on": "2031-02-03", "extended_unlock": true, '
        rb'"groups": [["g1", "Staff"]], "enrollments": [{"uid": "e1", "model": "m1", '
        rb'"confidence": 0.5, "is_active": true, "template": "AAAAAAAAgD8AAABAAABAQA==", '
        rb'"photo": null}, {"uid": "e2", "model": null, "confidence": 0.25, "is_active": false, '
        rb'"template": null, "photo": "/9ggYSBwaG90bw=="}], '
        rb'"access": {"valid_from": "2026-01-02T03:04:05+00:00", '
        rb'"valid_until": "2026-06-07T08:09:10.123456+00:00", "visitor": true, "face": false, '
        rb'"two_factors": true, "needs_escort": false, "may_escort": true, "exempt": false}, '
        rb'"credentials": [{"uid": "c1", "kind": "card", "key_count": 2, '
        rb'"digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", '
        rb'"pin_hash": null, "is_active": true, "valid_from": "2026-01-02T03:04:05+00:00", '
        rb'"valid_until": null}, {"uid": "c2", "kind": "pin", "key_count": 1, "digest": null, '
        rb'"pin_hash": "$argon2id$x", "is_active": false, "valid_from": null, '
        rb'"valid_until": null}]}'
    ),
    ("person", "p2"): (
        rb'{"uid": "p2", "version": 0, "first_name": "Bo", "last_name": "", "personnel_code": "b", '
        rb'"department": null, "position": null, "is_active": false, "leaves_on": null, '
        rb'"extended_unlock": false, "groups": [], "enrollments": [], "access": null, '
        rb'"credentials": []}'
    ),
}
"""As the program sent them before states had classes."""


def test_states_travel_as_before(tmp_path: Path) -> None:
    with open_workspace(hub_settings(tmp_path)) as hub:
        assert sent(hub, furnish(hub)) == GOLDEN
