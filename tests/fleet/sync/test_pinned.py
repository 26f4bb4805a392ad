"""A hub that signs its own certificate: shown once, believed by its key, renewed without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gated.accounts import certificates
from gated.accounts.certificates import Certificate, self_signed
from gated.cli.sync import join
from gated.config import ApiSettings, GateSettings, Settings, StorageSettings
from gated.devices.clock import ManualClock
from gated.errors import HubError
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.membership import Membership
from gated.journal import alarm_store
from gated.link.status_board import StatusBoard
from gated.live.certificate_watch import EXPIRES, CertificateWatch
from gated.live.hub_contact import HubContact
from gated.live.hub_failures import reason_of
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.workspace import Workspace
from tests.fixtures.server import serving
from tests.fleet.sync.world import World
from tests.workspaces import open_workspace

DAY = 86_400.0


@contextmanager
def with_tls(world: World, made: Certificate) -> Iterator[tuple[str, ApiServer]]:
    """The hub of a world over TLS."""
    settings = ApiSettings(port=0, tls_certificate=made.certificate, tls_key=made.key)
    server = ApiServer(create_app(world.hub.services), settings)
    with serving(server) as url:
        yield url, server


def config_of(folder: Path) -> Path:
    file = folder / "gate.yaml"
    file.write_text(f"gate: {{name: north}}\nstorage: {{state_dir: {folder / 'north'}}}\n")
    return file


def beat(workspace: Workspace) -> None:
    """One signed question over the address that was joined; HubError."""
    membership = Membership.of(workspace)
    member = membership.find()
    assert member is not None
    client = membership.client(member)
    try:
        client.post("/api/sync/heartbeat", {"model": None, "status": {}})
    finally:
        client.close()


@pytest.mark.parametrize("way", ["asked", "given", "refused", "wrong"])
def test_join_shows_the_fingerprint_and_takes_it_once_confirmed(
    world: World, tmp_path: Path, way: str
) -> None:
    made = self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=False)
    config, code = config_of(tmp_path), world.hub.invite("north")
    with with_tls(world, made) as (url, _):
        more = {
            "given": ["--fingerprint", made.fingerprint.lower()],
            "wrong": ["--fingerprint", "00"],
        }
        answer = {"asked": "y\n", "refused": "n\n"}.get(way, "")
        args = [url, code, "--config", str(config), *more.get(way, [])]
        result = CliRunner().invoke(join, args, input=answer)
        if way in ("refused", "wrong"):
            assert result.exit_code != 0
            with open_workspace(
                Settings(storage=StorageSettings(state_dir=tmp_path / "north"))
            ) as gate:
                assert Membership.of(gate).find() is None
            return
        assert result.exit_code == 0, result.output
        assert "this is north" in result.output
        assert (made.fingerprint in result.output) == (way == "asked")


def test_a_gate_that_accepted_a_certificate_goes_on_when_it_is_renewed_and_not_when_replaced(
    world: World, tmp_path: Path
) -> None:
    made = self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=False)
    config, code = config_of(tmp_path), world.hub.invite("north")
    settings = Settings(
        gate=GateSettings(name="north"), storage=StorageSettings(state_dir=tmp_path / "north")
    )
    with with_tls(world, made) as (url, server):
        args = [url, code, "--config", str(config), "--fingerprint", made.fingerprint]
        assert CliRunner().invoke(join, args).exit_code == 0
        with open_workspace(settings) as gate:
            beat(gate)
            assert certificates.renew(made.certificate, made.key, 700) != made.fingerprint
            server.reload_certificate()
            beat(gate)
            self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=True)
            server.reload_certificate()
            with pytest.raises(HubError) as raised:
                beat(gate)
            assert reason_of(raised.value) == "certificate_changed"


def test_a_trusted_file_holds_for_the_renewed_certificate_of_the_same_key_and_names_only(
    world: World, tmp_path: Path
) -> None:
    made = self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=False)
    trusted = tmp_path / "hub.crt"
    trusted.write_bytes(made.certificate.read_bytes())

    def ask(url: str) -> None:
        client = HubClient(HubAddress(url, trusted))
        try:
            client.get("/health")
        finally:
            client.close()

    with with_tls(world, made) as (url, server):
        ask(url)
        certificates.renew(made.certificate, made.key, 700)
        server.reload_certificate()
        ask(url)
        certificates.renew(made.certificate, made.key, 0)
        server.reload_certificate()
        with pytest.raises(HubError):
            ask(url)
        self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=True)
        server.reload_certificate()
        with pytest.raises(HubError) as raised:
            ask(url)
        assert reason_of(raised.value) == "certificate_untrusted"


def test_plain_http_to_a_port_of_tls_is_told_what_to_write(world: World, tmp_path: Path) -> None:
    made = self_signed(tmp_path / "keys", ["127.0.0.1"], 60, replace=False)
    with with_tls(world, made) as (url, _):
        client = HubClient(HubAddress(url.replace("https", "http")))
        with pytest.raises(HubError, match="write https://"):
            client.get("/health")
        client.close()


@pytest.mark.parametrize("own", [True, False])
def test_an_end_is_told_thirty_days_before_and_our_own_is_renewed(
    tmp_path: Path, own: bool
) -> None:
    folder = tmp_path / "state" / "keys" if own else tmp_path / "elsewhere"
    made = self_signed(folder, ["127.0.0.1"], 60, replace=False)
    settings = Settings(
        storage=StorageSettings(state_dir=tmp_path / "state"),
        api=ApiSettings(tls_certificate=made.certificate, tls_key=made.key),
    )
    shown: list[str] = []
    clock, board = ManualClock(utc=made.certificate.stat().st_mtime), StatusBoard()
    with open_workspace(settings) as workspace:
        watch = CertificateWatch(
            workspace,
            clock,
            board,
            lambda: shown.append(certificates.fingerprint(made.certificate)),
        )
        clock.advance(29 * DAY)
        watch.look()
        assert board.snapshot().problems == ()
        clock.advance(2 * DAY)
        os.utime(made.certificate, (0, 0))
        clock.doubted = True  # nobody knows whether it is that late: nothing is told or renewed
        CertificateWatch(workspace, clock, board, watch._reload).look()
        assert board.snapshot().problems == ()
        assert certificates.fingerprint(made.certificate) == made.fingerprint
        shown.clear()
        clock.doubted = False
        watch = CertificateWatch(workspace, clock, board, watch._reload)
        watch.look()
        with workspace.database.read() as session:
            standing = [a.kind for a in alarm_store.list_(session, standing=True)]
        if own:
            assert board.snapshot().problems == ()
            assert standing == []
            assert shown == [certificates.fingerprint(made.certificate)] != [made.fingerprint]
        else:
            assert board.snapshot().problems == (EXPIRES,)
            assert standing == [EXPIRES]
            watch.look()
            with workspace.database.read() as session:
                (alarm,) = alarm_store.list_(session, standing=True)
            assert alarm.count == 1
            assert certificates.fingerprint(made.certificate) == made.fingerprint


def test_a_gate_names_the_end_of_the_certificate_that_its_hub_shows(
    world: World, tmp_path: Path
) -> None:
    made = self_signed(tmp_path / "keys", ["127.0.0.1"], 29, replace=False)
    clock, board = ManualClock(utc=made.certificate.stat().st_mtime), StatusBoard()
    with with_tls(world, made) as (url, _):
        client = HubClient(HubAddress(url, made.certificate))
        client.get("/health")
        client.close()
    contact = HubContact(tmp_path, clock, 300)
    contact.certificate(client.certificate_until)
    contact.publish(board)
    assert board.snapshot().problems == ("hub_certificate_expires",)
    contact.certificate(certificates.ends(made.certificate) + timedelta(days=700))
    contact.publish(board)
    assert board.snapshot().problems == ()
