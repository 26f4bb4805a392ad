"""Who is let into the fleet, who stays in it, and what a thief can do."""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from gated.access.revocation import Revocation
from gated.database import stored_settings
from gated.database.hub_ownership import FEED_PLACE, MEMBERSHIP
from gated.devices.clock import ManualClock
from gated.errors import (
    BadCredentials,
    ConfigError,
    Conflict,
    HubError,
    HubUnreachable,
    SealError,
    SourceError,
)
from gated.fleet.gate import assigned_config
from gated.fleet.gate.assigned_config import KeptConfig
from gated.fleet.gate.catchup import catch_up
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.downlink import Downlink, FeedPlace
from gated.fleet.gate.hub_loops import HubLoop, loops_of
from gated.fleet.gate.membership import Membership
from gated.fleet.hub.fleet import Joining
from gated.fleet.hub.schemas import FleetGateOut
from gated.fleet.wire.join_codes import JoinCode
from gated.fleet.wire.signing import Envelopes, GateKeys, SignedRequest
from gated.http.headers import HEADER
from gated.journal import alarm_store
from gated.link.loop import end
from gated.link.status_board import StatusBoard
from gated.people import person_store
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.lane import within
from tests.fleet.sync.test_contact import proxy
from tests.fleet.sync.world import ACTOR, JoinedGate, World


def test_a_gate_joins_once_by_its_code(world: World) -> None:
    code = world.hub.invite("north")
    gate = world.standalone("north")
    member = Membership.of(gate).join(world.hub.url, code.lower(), actor=ACTOR)
    (found,), _ = world.hub.services.fleet.list_()
    assert (found.gate.state, found.gate.uid, found.gate.name) == ("joined", member.gate, "north")
    assert found.gate.device == gate.journal.gate_uid()
    assert found.gate.journal_key == gate.journal.public_key
    other = Membership.of(world.standalone("thief"))
    with pytest.raises(HubError) as refused:
        other.join(world.hub.url, code, actor=ACTOR)
    assert (refused.value.status, refused.value.hub_code) == (401, "bad_credentials")
    assert other.find() is None
    with pytest.raises(Conflict):
        Membership.of(gate).join(world.hub.url, world.hub.invite("south"), actor=ACTOR)


def test_a_gate_that_did_not_hear_the_answer_joins_with_the_same_code(
    world: World,
) -> None:
    code = world.hub.invite("north")
    gate, thief = world.standalone("north"), world.standalone("thief")
    with proxy(world.hub.url, 40_000, loses=1) as between:
        url = f"http://127.0.0.1:{between.server_port}"
        with pytest.raises(HubUnreachable):
            Membership.of(gate).join(url, code, actor=ACTOR)
        assert Membership.of(gate).find() is None
        with pytest.raises(HubError):
            Membership.of(thief).join(url, code, actor=ACTOR)
        member = Membership.of(gate).join(url, code, actor=ACTOR)
    (found,), _ = world.hub.services.fleet.list_()
    assert (found.gate.state, found.gate.uid) == ("joined", member.gate)
    assert FleetGateOut.of(found).invite_until is None
    with closing(HubClient(HubAddress(world.hub.url), member.credentials)) as client:
        assert client.post("/api/sync/keys", member.credentials.keys.public())
    with pytest.raises(HubError):
        Membership.of(gate).join(world.hub.url, code, actor=ACTOR, again=True)


def test_the_membership_survives_and_is_sealed(world: World) -> None:
    gate = world.gate("north")
    assert Membership.of(gate.workspace).find() == gate.member
    with gate.workspace.database.read() as session:
        rows = session.connection().exec_driver_sql("SELECT value FROM settings").all()
    assert rows
    assert gate.member.seed not in repr(rows)


def test_what_a_later_version_has_stored_is_read_after_its_update_was_undone(
    world: World,
) -> None:
    gate = world.gate("north")
    workspace, later = gate.workspace, {"of_a_later_version": 1}
    member = json.dumps({**dataclasses.asdict(gate.member), **later}).encode()
    sealed = base64.b64encode(workspace.keys.sealer.seal(member, MEMBERSHIP)).decode()
    place = {**dataclasses.asdict(FeedPlace(cursor="c", snapshot=3)), **later}
    given = {"uid": "g", "revision": 2, "values": {}, "by": "ann", **later}
    refused = {"uid": "r", "revision": 1, "reason": "no", "by": "ann", **later}
    with workspace.database.write() as session:
        stored_settings.set_(session, MEMBERSHIP, sealed)
        stored_settings.set_(session, FEED_PLACE, place)
        assigned_config.store(session, KeptConfig())
        key = assigned_config.KEYS["hub"]
        kept = {"accepted": given, "pending": given, "refused": refused}
        stored_settings.set_(session, key, {**stored_settings.get(session, key), **kept})
    assert gate.membership.find() == gate.member
    assert Downlink.of(workspace, gate.client, "m").place().cursor == "c"
    with workspace.database.read() as session:
        found = assigned_config.load(session)
    assert found.accepted is not None
    assert found.refused is not None
    assert (found.accepted.uid, found.refused.reason) == ("g", "no")


def test_who_does_not_know_the_code_cannot_join(world: World) -> None:
    world.hub.invite("north")
    guessed = JoinCode.new(world.hub.services.fleet.hub_key)
    with pytest.raises(HubError):
        Membership.of(world.standalone("thief")).join(world.hub.url, str(guessed), actor=ACTOR)


def test_the_proof_binds_the_keys_that_join(world: World) -> None:
    """Who sees a request to join on its way cannot put keys of their own into it."""
    code = JoinCode.read(world.hub.invite("north"))
    gate = Membership.of(world.standalone("north"))
    told = gate._request(code, GateKeys(GateKeys.new_seed()))
    stolen = {**told, **GateKeys(GateKeys.new_seed()).public()}
    with pytest.raises(BadCredentials):
        world.hub.services.fleet.join(Joining(**stolen))
    world.hub.services.fleet.join(Joining(**told))


def test_a_code_is_over_after_a_day(world: World) -> None:
    from gated.core.values import Instant
    from gated.fleet.hub.fleet import Fleet

    class Tomorrow:
        def now(self) -> Instant:
            return Instant(mono=0.0, utc=time.time() + 25 * 3600)

    code = JoinCode.read(world.hub.invite("north"))
    told = Membership.of(world.standalone("north"))._request(code, GateKeys(GateKeys.new_seed()))
    with pytest.raises(BadCredentials):
        Fleet(world.hub.workspace, Tomorrow()).join(Joining(**told))


@pytest.fixture
def engine() -> str:
    """Which one the hub has makes no difference here; test_up and test_down run on both."""
    return "sqlite"


@pytest.mark.parametrize("text", ["", "ABCD", "ABCD-" * 8 + "A", "0" * 32])
def test_what_is_no_code_is_said_to_be_none(text: str) -> None:
    with pytest.raises(SourceError):
        JoinCode.read(text)


class Impostor(BaseHTTPRequestHandler):
    """Answers everything, as somebody between gate and hub could."""

    answer = b"{}"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.send_header(HEADER, "00" * 64)
        self.end_headers()
        self.wfile.write(self.answer)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def impostor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gate_joins_nobody_but_the_hub_of_its_code(world: World, impostor: str) -> None:
    gate = Membership.of(world.standalone("north"))
    with pytest.raises(HubUnreachable):
        gate.join(impostor, world.hub.invite("north"), actor=ACTOR)
    # another real hub, of another key, is no better
    code = JoinCode.read(world.hub.invite("east"))
    of_another = JoinCode(code.secret, JoinCode.new("cd" * 32).fingerprint)
    with pytest.raises(HubUnreachable):
        gate.join(world.hub.url, str(of_another), actor=ACTOR)
    assert gate.find() is None


def test_answers_of_others_than_the_hub_are_not_believed(world: World, impostor: str) -> None:
    gate = world.gate("north")
    client = HubClient(HubAddress(impostor), gate.member.credentials)
    with pytest.raises(HubUnreachable, match="not our hub"):
        client.post("/api/sync/keys", GateKeys(GateKeys.new_seed()).public())
    client.close()


def test_a_token_alone_is_not_enough(world: World) -> None:
    gate = world.gate("north")
    body = json.dumps(GateKeys(GateKeys.new_seed()).public()).encode()
    keys = gate.member.credentials.keys

    def send(signature: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {keys.token}", "Content-Type": "application/json"}
        if signature:
            headers[HEADER] = signature
        return httpx.post(
            f"{world.hub.url}/api/sync/keys",
            content=body,
            headers=headers,
            trust_env=False,
            timeout=60,
        )

    at = int(time.time())
    right = SignedRequest("POST", "/api/sync/keys", at, body)
    wrong = {
        "none": "",
        "another key": f"{at}.{GateKeys(GateKeys.new_seed()).sign(right.message())}",
        "another body": f"{at}.{keys.sign(dataclasses.replace(right, body=b'{}').message())}",
        "another route": f"{at}.{keys.sign(dataclasses.replace(right, target='/x').message())}",
        "another time": f"{at + 1}.{keys.sign(right.message())}",
    }
    for what, signature in wrong.items():
        answer = send(signature)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature"), what
    old = dataclasses.replace(right, at=at - 3600)
    assert send(f"{old.at}.{keys.sign(old.message())}").json()["code"] == "clock_skew"
    assert send(f"{at}.{keys.sign(right.message())}").status_code == 200


def test_a_gate_without_a_clock_uses_the_hubs(world: World) -> None:
    gate = world.gate("north")
    gate.client.skew = -90_000
    gate.membership.renew(gate.client, gate.member)
    assert abs(gate.client.skew) < 60


def test_a_revoked_gate_is_out_at_once_and_its_place_can_be_taken(world: World) -> None:
    gate = world.gate("north")
    fleet = world.hub.services.fleet
    id_ = fleet.by_name("north").gate.id
    assert fleet.revoke(id_, actor=ACTOR).gate.state == "revoked"
    with pytest.raises(HubError) as refused:
        gate.membership.renew(gate.client, gate.member)
    assert refused.value.status == 401
    found, code = fleet.replace(id_, actor=ACTOR)
    unit = Membership.of(world.standalone("unit-2")).join(world.hub.url, code, actor=ACTOR)
    assert (unit.gate, unit.name, unit.site) == (found.gate.uid, "north", "works")
    assert fleet.get(id_).gate.state == "joined"


def test_removing_the_device_revokes_the_gate(world: World) -> None:
    world.gate("north")
    devices = world.hub.services.devices
    (device,) = devices.list_()
    done_by(ACTOR, devices.remove, device.id)
    assert world.hub.services.fleet.by_name("north").gate.state == "revoked"


def test_keys_are_renewed_and_the_old_ones_are_void(world: World) -> None:
    gate = world.gate("north")
    old = gate.membership.client(gate.member)
    renewed = gate.membership.renew(gate.client, gate.member)
    assert renewed.seed != gate.member.seed
    assert gate.membership.find() == renewed
    with pytest.raises(HubError) as refused:
        old.post("/api/sync/keys", GateKeys(GateKeys.new_seed()).public())
    assert refused.value.status == 401
    again = gate.membership.renew(gate.client, renewed)
    assert again.seed != renewed.seed
    old.close()


def test_a_renewal_whose_answer_was_lost_is_found_out(world: World) -> None:
    gate = world.gate("north")
    seed = GateKeys.new_seed()
    gate.client.post("/api/sync/keys", GateKeys(seed).public())  # and the power fails here
    cut_off = dataclasses.replace(gate.member, next_seed=seed.hex())
    assert gate.membership.due(cut_off)
    renewed = gate.membership.renew(gate.client, cut_off)
    assert (renewed.seed, renewed.next_seed) == (seed.hex(), None)


def test_a_gate_whose_renewal_was_cut_off_goes_on_by_itself(world: World) -> None:
    """The hub knows the new keys alone, and its answer never came: that is no revocation."""
    gate = _cut_off_while_renewing(world)
    revocation = Revocation.of(gate.workspace)
    loops = _loops(gate.workspace)
    for loop in loops:
        loop.start()
    try:
        assert within(lambda: _has_renewed(gate))
        assert within(lambda: all(loop.connected for loop in loops if loop.name != "hub-presence"))
    finally:
        for loop in loops:
            loop.stop()
        for loop in loops:
            end(loop)
    assert revocation.find() is None
    with gate.workspace.database.read() as session:
        kinds = {a.kind for a in alarm_store.list_(session)}
    assert "hub_revoked" not in kinds, "no alarm for a moment, either"


def test_a_gate_whose_renewal_was_cut_off_catches_up_before_it_opens(world: World) -> None:
    gate = _cut_off_while_renewing(world)
    with world.hub.workspace.database.write() as session:
        person_store.add(session, first_name="Ann", last_name="B", personnel_code="E1")
    catch_up(gate.workspace, gate.workspace.clock, "m", lambda: True)
    assert _has_renewed(gate)
    with gate.workspace.database.read() as session:
        assert person_store.by_code(session, "E1") is not None


def test_a_revoked_gate_opens_by_its_rules_however_long_ago_it_heard_the_hub(world: World) -> None:
    """Cards still work, and with `when_revoked: go_on` everything does: also after a restart."""
    gate = world.gate("north")
    long_ago = FeedPlace(heard="2020-01-01T00:00:00+00:00")
    with gate.workspace.database.write() as session:
        stored_settings.set_(session, FEED_PLACE, dataclasses.asdict(long_ago))
    fleet = world.hub.services.fleet
    fleet.revoke(fleet.by_name("north").gate.id, actor=ACTOR)
    tries = iter((True, True, True, False))
    catch_up(gate.workspace, ManualClock(utc=time.time()), "m", lambda: next(tries))
    assert next(tries), "it was asked once"


def test_a_proxy_that_refuses_a_renewal_does_not_let_the_new_keys_stay(world: World) -> None:
    """The hub has not heard of them yet: with them alone it would say that it has revoked us."""
    gate = world.gate("north")
    begun = dataclasses.replace(gate.member, next_seed=GateKeys.new_seed().hex())
    with _refusing(b"") as url:
        client = HubClient(HubAddress(url), gate.member.credentials)
        with pytest.raises(HubError):
            gate.membership.renew(client, begun)
        client.close()
    assert client.credentials is not None
    assert client.credentials.keys.token == gate.member.credentials.keys.token
    assert gate.membership.renew(gate.client, begun).seed == begun.next_seed


def _cut_off_while_renewing(world: World) -> JoinedGate:
    gate = world.gate("north")
    seed = GateKeys.new_seed()
    cut_off = dataclasses.replace(gate.member, next_seed=seed.hex())
    with gate.workspace.database.write() as session:
        gate.membership._store(session, cut_off)
    gate.client.post("/api/sync/keys", GateKeys(seed).public())  # and the power fails here
    return gate


def _has_renewed(gate: JoinedGate) -> bool:
    member = gate.membership.find()
    return member is not None and member.seed != gate.member.seed and member.next_seed is None


def _loops(workspace: Workspace) -> list[HubLoop]:
    crashed: list[str] = []
    board = StatusBoard()
    board.publish(model="m")
    made = loops_of(
        workspace,
        board,
        workspace.clock,
        lambda event: None,
        threading.Event(),
        lambda name, error: crashed.append(name),
    )
    return [loop for loop in made if isinstance(loop, HubLoop)]


def test_nobody_in_the_hubs_place_sets_a_clock_that_no_hub_understands(world: World) -> None:
    gate = world.gate("north")
    problem = {"code": "clock_skew", "detail": "it is late", "now": 10**15}
    with _refusing(json.dumps(problem).encode()) as url:
        client = HubClient(HubAddress(url), gate.member.credentials)
        with pytest.raises(HubError):
            client.post("/api/sync/heartbeat", {})
        client.close()
    assert client.skew == 0


@contextmanager
def _refusing(body: bytes) -> Iterator[str]:
    """A proxy that asks everybody for another sign-in."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_envelope_is_for_one_gate_and_one_place(world: World) -> None:
    mine, others = GateKeys(GateKeys.new_seed()), GateKeys(GateKeys.new_seed())
    envelopes = Envelopes.to(mine.seal_key)
    sealed = envelopes.seal(b"template", "person 1")
    assert mine.opener(envelopes.ephemeral).open(sealed, "person 1") == b"template"
    for keys, context, blob in (
        (others, "person 1", sealed),
        (mine, "person 2", sealed),
        (mine, "person 1", sealed[:-8] + "AAAAAAA="),
    ):
        with pytest.raises(SealError):
            keys.opener(envelopes.ephemeral).open(blob, context)


@pytest.mark.parametrize("url", ["hub.example.org", "ftp://hub", "http://hub.example.org"])
def test_an_address_that_would_tell_names_to_the_network_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        HubAddress(url).require_safe()


def test_what_is_done_with_gates_is_on_record(world: World) -> None:
    gate = world.gate("north")
    fleet = world.hub.services.fleet
    fleet.revoke(fleet.by_name("north").gate.id, actor="olga")
    acts = world.hub.services.audit.page(limit=10).rows
    assert [a.kind for a in acts] == ["gate_revoked", "gate_joined", "gate_invited"]
    assert acts[0].actor is not None
    assert acts[0].actor["name"] == "olga"
    assert gate.workspace.journal.verify().ok
    assert world.hub.workspace.journal.verify().ok
