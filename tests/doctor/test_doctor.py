"""The doctor: each probe finds what is wrong, changes nothing and ends in time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.config import (
    ApiSettings,
    CameraSettings,
    CardOutputSettings,
    CredentialSettings,
    DirectorySettings,
    DoorSettings,
    GateSettings,
    LivenessSettings,
    OidcSettings,
    PasskeySettings,
    Settings,
    StorageSettings,
)
from gated.core.values import Image
from gated.database.state_lock import DOOR, SERVICE, StateLock
from gated.devices.clock import ManualClock
from gated.devices.simulated import SimulatedCamera, SimulatedDoor, SimulatedGpio
from gated.devices.timed_door import Input
from gated.doctor import DoctorContext, Finding, bounded, examine
from gated.errors import DeviceError
from gated.fleet.hub.fleet import Fleet
from gated.ldap import ber
from gated.ports import Camera, Clock, Door
from gated.vision.assets import AssetStore
from tests.ldap.directories import liar
from tests.oidc.providers import CLIENT, lying_provider
from tests.workspaces import open_workspace

USB = CameraSettings(driver="v4l2", open_timeout_s=0.2, read_timeout_s=0.2)


def picture(level: int = 120) -> Image:
    return np.full((48, 64, 3), level, np.uint8)


@pytest.fixture
def patient(tmp_path: Path) -> DoctorContext:
    """A gate in good health."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    settings = Settings(
        gate=GateSettings(name="north"),
        camera=USB,
        storage=StorageSettings(state_dir=state),
        api=ApiSettings(port=0),
    )
    proc, sys_ = tmp_path / "proc", tmp_path / "sys"
    proc.mkdir()
    (proc / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 2000000 kB\n")
    zone = sys_ / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("51234\n")
    return DoctorContext(
        settings,
        ManualClock(),
        proc,
        sys_,
        open_camera=lambda s, c: SimulatedCamera([picture()], c),
        open_door=lambda s, c: SimulatedDoor(s.door, lambda event: None, c),
        assets=lambda s: AssetStore([tmp_path / "models"], manifest=()),
    )


def found(patient: DoctorContext, name: str) -> Finding:
    findings = [f for f in examine(patient.settings, patient) if f.name == name]
    assert len(findings) == 1, findings
    return findings[0]


def states(patient: DoctorContext) -> dict[str, str]:
    return {f.name: f.state for f in examine(patient.settings, patient)}


def changed(patient: DoctorContext, **sections: Any) -> DoctorContext:
    return replace(patient, settings=patient.settings.model_copy(update=sections))


def test_a_new_gate_in_good_health_has_nothing_to_mend(patient: DoctorContext) -> None:
    findings = examine(patient.settings, patient)
    assert {f.state for f in findings} == {"ok", "skip"}
    assert [f.name for f in findings if f.state == "skip"] == ["keys", "database", "journal"]
    assert list(patient.state_dir.iterdir()) == [], "it only looks"


def test_a_gate_that_has_run_is_looked_at_as_well(patient: DoctorContext) -> None:
    with open_workspace(patient.settings):
        pass
    before = sorted(p.name for p in patient.state_dir.rglob("*"))
    assert states(patient) | {"keys": "ok", "database": "ok", "journal": "ok"} == states(patient)
    after = sorted(p.name for p in patient.state_dir.rglob("*"))
    assert [name for name in after if not name.startswith("attendance.db-")] == [
        name for name in before if not name.startswith("attendance.db-")
    ]


def test_every_finding_to_mend_comes_with_advice(patient: DoctorContext, tmp_path: Path) -> None:
    ill = changed(
        patient,
        liveness=LivenessSettings(level="off"),
        storage=StorageSettings(state_dir=tmp_path / "nowhere", key_file=tmp_path / "lost.key"),
    )
    ill = replace(ill, clock=ManualClock(clock_ok=False))
    (ill.proc / "meminfo").write_text("MemAvailable: 1000 kB\n")
    bad = [f for f in examine(ill.settings, ill) if f.state in {"warn", "fail"}]
    assert {f.name for f in bad} == {"liveness", "state", "keys", "clock", "memory"}
    assert all(f.advice for f in bad)


def test_photos_open_the_door_without_liveness(patient: DoctorContext) -> None:
    assert found(changed(patient, liveness=LivenessSettings(level="off")), "liveness").state == (
        "warn"
    )


def test_a_key_that_others_can_read_is_found(patient: DoctorContext) -> None:
    with open_workspace(patient.settings):
        pass
    key = patient.state_dir / "keys" / "seal.key"
    key.chmod(0o644)
    finding = found(patient, "keys")
    assert finding.state == "fail"
    assert finding.advice == f"chmod 600 {key}"
    assert key.read_text().strip() not in str(examine(patient.settings, patient))


def test_a_state_directory_that_is_open_to_others_is_found(patient: DoctorContext) -> None:
    patient.state_dir.chmod(0o755)
    assert found(patient, "state").state == "warn"


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at " * 40])
def test_a_damaged_database_is_found(patient: DoctorContext, content: bytes) -> None:
    (patient.state_dir / "attendance.db").write_bytes(content)
    finding = found(patient, "database")
    assert finding.state == "fail"
    assert "attendance.db" in finding.message


def test_missing_and_damaged_models_are_told_apart(patient: DoctorContext, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "face_detection_yunet_2023mar_int8bq.onnx").write_bytes(b"cut off")
    real = replace(patient, assets=lambda s: AssetStore([models]))
    names = {asset.name for asset in real.assets(real.settings).status() if asset.present}
    findings = {
        f.message.split(":")[0]: f for f in examine(real.settings, real) if f.name == "models"
    }
    assert findings["set pad"].message == "set pad: missing"
    assert findings["set pad"].advice == "gated assets install pad"
    assert findings["set default"].state == "fail"
    assert ("damaged" in findings["set default"].message) == bool(names)


def unplugged(settings: Settings, clock: Clock) -> Camera:
    camera = SimulatedCamera([picture()], clock)
    camera.disappear()
    return camera


def dark(settings: Settings, clock: Clock) -> Camera:
    return SimulatedCamera([picture(2)], clock)


@pytest.mark.parametrize(
    ("opener", "state", "says"),
    [(unplugged, "fail", "unplugged"), (dark, "warn", "all dark")],
    ids=["unplugged", "dark"],
)
def test_a_camera_that_does_not_see_is_found(
    patient: DoctorContext, opener: Callable[[Settings, Clock], Camera], state: str, says: str
) -> None:
    finding = found(replace(patient, open_camera=opener), "camera")
    assert finding.state == state
    assert says in finding.message


def test_a_site_in_another_spelling_than_its_gates_have_is_found(patient: DoctorContext) -> None:
    with open_workspace(patient.settings) as workspace:
        Fleet.of(workspace).invite("south", "Works", {}, actor="test")
    gate = patient.settings.gate.model_copy(update={"site": "works"})
    settings = patient.settings.model_copy(update={"gate": gate})
    found = [f for f in examine(settings, replace(patient, settings=settings)) if f.name == "names"]
    assert [(f.state, f.advice) for f in found] == [
        ("warn", "write site: Works in the configuration")
    ]
    there = gate.model_copy(update={"site": "Works"})
    right = patient.settings.model_copy(update={"gate": there})
    assert "names" not in {f.name for f in examine(right, replace(patient, settings=right))}


def test_what_hangs_is_given_up(patient: DoctorContext) -> None:
    release = threading.Event()

    def hangs(patient: DoctorContext) -> Iterator[Finding]:
        release.wait(60.0)
        yield Finding("camera", "ok", "too late")

    began = time.monotonic()
    findings = bounded("camera", hangs, patient, 0.2)
    assert time.monotonic() - began < 30.0
    assert [(f.name, f.state) for f in findings] == [("camera", "fail")]
    release.set()


def test_a_probe_that_breaks_is_a_finding(patient: DoctorContext) -> None:
    (patient.proc / "meminfo").unlink()
    assert found(patient, "memory") == Finding(
        "memory", "fail", "cannot be examined: FileNotFoundError"
    )


def test_inputs_that_are_wired_wrong_are_found(patient: DoctorContext) -> None:
    def burning(settings: Settings, clock: Clock) -> Door:
        door = SimulatedDoor(settings.door, lambda event: None, clock)
        door.fire()
        door.open_leaf()
        return door

    ill = replace(patient, open_door=burning)
    assert found(ill, "fire").state == "fail"
    assert "open" in found(ill, "contact").message


@pytest.mark.parametrize(("mirror", "text"), [(False, "rotate: 270?"), (True, "rotate: 90?")])
def test_a_camera_that_hangs_the_wrong_way_up_is_found(
    patient: DoctorContext, mirror: bool, text: str
) -> None:
    hung = changed(patient, camera=USB.model_copy(update={"rotate": 180, "mirror": mirror}))
    finding = found(replace(hung, turn_of=lambda patient, image: 90), "camera")
    assert finding.state == "warn"
    assert text in finding.advice


def test_a_picture_without_colour_is_found(patient: DoctorContext) -> None:
    grey = np.repeat(np.arange(192, dtype=np.uint8).reshape(12, 16, 1), 3, axis=2)
    night = replace(patient, open_camera=lambda s, c: SimulatedCamera([grey], c))
    finding = found(night, "camera")
    assert (finding.state, "infra_red" in finding.message) == ("warn", True)
    meant = LivenessSettings(level="challenge", infra_red="challenge")
    assert found(changed(night, liveness=meant), "camera").state == "ok"
    assert found(changed(night, liveness=LivenessSettings(level="off")), "camera").advice == ""


def test_a_door_that_cannot_be_had_is_found(patient: DoctorContext) -> None:
    def refuses(settings: Settings, clock: Clock) -> Door:
        raise DeviceError("the pins are in use")

    finding = found(replace(patient, open_door=refuses), "door")
    assert (finding.state, finding.message) == ("fail", "the pins are in use")


@pytest.mark.parametrize(
    ("error", "advice"),
    [("GPIO busy", "gpioinfo"), ("is the user in the group gpio?", "usermod"), ("odd", "")],
)
def test_what_to_do_about_pins_that_cannot_be_had(
    patient: DoctorContext, error: str, advice: str
) -> None:
    def refuses(settings: Settings, clock: Clock) -> Door:
        raise DeviceError(error)

    finding = found(replace(patient, open_door=refuses), "door")
    assert finding.state == "fail"
    assert advice in finding.advice
    assert bool(advice) == bool(finding.advice)


@pytest.mark.parametrize(
    ("lock_type", "keeps", "state", "text"),
    [
        ("strike", "Y", "ok", "the kernel keeps its level"),
        ("strike", "N", "ok", "pull resistor"),
        ("maglock", "Y", "ok", "the kernel keeps its level"),
        ("maglock", "N", "warn", "the maglock is released"),
        ("maglock", None, "warn", "does not say"),
    ],
)
def test_what_becomes_of_the_lock_at_the_programs_end_is_found(
    patient: DoctorContext, tmp_path: Path, lock_type: Any, keeps: str | None, state: str, text: str
) -> None:
    parameters = tmp_path / "sys" / "module" / "pinctrl_bcm2835" / "parameters"
    parameters.mkdir(parents=True)
    if keeps is not None:
        (parameters / "persist_gpio_outputs").write_text(keeps)
    (tmp_path / "gpiochip0").touch()
    real = changed(patient, door=DoorSettings(driver="gpiozero", relay_pin=17, lock_type=lock_type))
    looked_at = replace(
        real,
        open_door=lambda settings, clock: SimulatedDoor(settings.door, print, clock),
        lgpio=SimulatedGpio(),
        dev=tmp_path,
        sys=tmp_path / "sys",
    )
    finding = found(looked_at, "relay")
    assert (finding.state, text in finding.message) == (state, True), finding
    assert ("persist_gpio_outputs=y" in finding.advice) == (state == "warn")


def test_an_input_that_nobody_moves_and_that_changes_floats(patient: DoctorContext) -> None:
    class Noisy(SimulatedDoor):
        looks = 0

        def _active(self, name: Input) -> bool:
            self.looks += 1
            return name is Input.CONTACT and self.looks // len(Input) % 2 == 1

    noisy = replace(patient, open_door=lambda s, c: Noisy(s.door, lambda event: None, c))
    texts = [f.message for f in examine(noisy.settings, noisy) if f.name == "contact"]
    assert any("floats" in text for text in texts)
    texts = [f.message for f in examine(patient.settings, patient)]
    assert not any("floats" in text for text in texts)


def test_a_contact_without_an_exit_button_is_a_false_alarm_at_each_exit(
    patient: DoctorContext,
) -> None:
    door = patient.settings.door.model_copy(update={"contact_pin": 22})
    states = [f.state for f in examine_door(changed(patient, door=door))]
    assert "warn" in states
    door = door.model_copy(update={"rex_pin": 23})
    assert "warn" not in [f.state for f in examine_door(changed(patient, door=door))]


def examine_door(patient: DoctorContext) -> list[Finding]:
    return [f for f in examine(patient.settings, patient) if f.name in {"door", "contact"}]


def test_nothing_is_taken_from_a_running_gate(patient: DoctorContext) -> None:
    def opens(settings: Settings, clock: Clock) -> Any:
        raise AssertionError("the running gate has it")

    busy = replace(patient, open_camera=opens, open_door=opens)
    with StateLock(patient.state_dir), StateLock(patient.state_dir, SERVICE):
        assert {name: states(busy)[name] for name in ("camera", "door", "port")} == {
            "camera": "skip",
            "door": "skip",
            "port": "skip",
        }
        with pytest.raises(Exception, match="another gated"), StateLock(patient.state_dir):
            pass
    assert states(patient)["camera"] == "ok"


@pytest.mark.parametrize(
    ("running", "state", "says"),
    [
        ((), "ok", "nothing runs"),
        ((DOOR, SERVICE), "ok", "door and service run"),
        ((DOOR,), "warn", "the door runs, its service does not"),
        ((SERVICE,), "warn", "the service runs, the door does not"),
    ],
)
def test_both_processes_are_named(
    patient: DoctorContext, running: tuple[str, ...], state: str, says: str
) -> None:
    with ExitStack() as stack:
        for name in running:
            stack.enter_context(StateLock(patient.state_dir, name))
        finding = found(patient, "processes")
    assert (finding.state, finding.message) == (state, says)
    assert bool(finding.advice) == (state == "warn")


def test_a_reader_that_cannot_be_taken_is_found(patient: DoctorContext, tmp_path: Path) -> None:
    assert "reader" not in states(patient)
    absent = CredentialSettings(reader="keyboard", device=tmp_path / "absent")
    without = replace(patient, settings=patient.settings.model_copy(update={"credentials": absent}))
    finding = found(without, "reader")
    assert (finding.state, "no such device" in finding.message) == ("fail", True)
    there = CredentialSettings(reader="simulated", device=tmp_path / "pipe")
    with_it = replace(patient, settings=patient.settings.model_copy(update={"credentials": there}))
    assert found(with_it, "reader").state == "ok"


def test_a_card_output_whose_numbers_cannot_be_read_is_found(
    patient: DoctorContext, tmp_path: Path
) -> None:
    assert "card output" not in states(patient)
    wires = {"d0_pin": 5, "d1_pin": 6}
    output = CardOutputSettings(
        driver="wiegand", options=wires, facility=12, numbers=tmp_path / "absent.csv"
    )
    (tmp_path / "gpiochip0").touch()
    gpio = SimulatedGpio({0: "pinctrl-bcm2711"})
    without = replace(changed(patient, card_output=output), lgpio=gpio, dev=tmp_path)
    finding = found(without, "card output")
    assert (finding.state, "absent.csv cannot be read" in finding.message) == ("fail", True)
    assert gpio.open_chips == set()
    (tmp_path / "absent.csv").write_text("E17,12-3456\n")
    assert found(without, "card output").state == "ok"


@pytest.mark.parametrize(
    ("section", "what", "name", "allows"),
    [
        (
            {
                "door": DoorSettings(
                    driver="modbus", relay_pin=0, options={"device": "/dev/ttyUSB0"}
                )
            },
            "/dev/ttyUSB0",
            "serial-device",
            "DeviceAllow=char-ttyUSB rw",
        ),
        (
            {"camera": CameraSettings(driver="rtsp", url="rtsp://192.0.2.20/door")},
            "camera on the network",
            "network-camera",
            "RestrictAddressFamilies=AF_INET",
        ),
    ],
)
def test_a_unit_that_forbids_what_the_configuration_names_is_found(
    patient: DoctorContext, tmp_path: Path, section: Any, what: str, name: str, allows: str
) -> None:
    package, units = tmp_path / "package", tmp_path / "units"
    under_systemd = replace(changed(patient, **section), package=package, units=units)
    assert "unit" not in states(under_systemd)  # not from the package
    package.mkdir()
    (package / f"{name}.conf").write_text(f"[Service]\n{allows}\n")
    finding = found(under_systemd, "unit")
    assert (finding.state, what in finding.message) == ("fail", True)
    assert f"{package}/{name}.conf" in finding.advice
    (units / "gated.service.d").mkdir(parents=True)
    # under a name of the administrator's own
    (units / "gated.service.d" / "own.conf").write_text(f"[Service]\n{allows}\n")
    assert found(under_systemd, "unit").state == "ok"


def test_an_identity_provider_that_calls_itself_otherwise_is_found(patient: DoctorContext) -> None:
    assert "oidc" not in states(patient)
    with lying_provider() as provider:
        oidc = OidcSettings(issuer=provider.address, client_id=CLIENT, roles={"a": "admin"})
        asking = changed(patient, oidc=oidc)
        assert found(asking, "oidc").state == "ok"
        provider.discovery = {"issuer": "https://another.example"}
        finding = found(asking, "oidc")
        assert (finding.state, "another.example" in finding.message) == ("fail", True)
    assert found(asking, "oidc").state == "fail"  # nobody answers


def test_passkeys_without_their_library_are_found(
    patient: DoctorContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "passkeys" not in states(patient)
    asking = changed(patient, passkeys=PasskeySettings(domain="gate.example"))
    assert found(asking, "passkeys").state == "ok"
    monkeypatch.setitem(sys.modules, "webauthn", None)  # as where it is not installed
    finding = found(asking, "passkeys")
    assert (finding.state, finding.advice) == ("fail", "pip install 'gated[passkeys]'")


def answers(*entries: bytes) -> tuple[bytes, bytes]:
    """What a directory answers to its first two requests: bound, then these entries."""
    done = ber.integer(0, ber.ENUMERATED) + ber.text("") + ber.text("")
    messages = [(1, ber.tlv(0x61, done)), *((2, ber.tlv(0x64, e)) for e in entries)]
    messages.append((2, ber.tlv(0x65, done)))
    first, *rest = (ber.tlv(ber.SEQUENCE, ber.integer(n), m) for n, m in messages)
    return first, b"".join(rest)


def test_a_directory_is_tried(patient: DoctorContext) -> None:
    assert "directory" not in states(patient)
    number = ber.tlv(ber.SEQUENCE, ber.text("employeeNumber"), ber.tlv(ber.SET, ber.text("E1")))
    shown = {
        "ok": answers(ber.text("cn=anna") + ber.tlv(ber.SEQUENCE, number)),
        "below": answers(),
        "no employeeNumber": answers(ber.text("cn=anna") + ber.tlv(ber.SEQUENCE)),
        "no LDAP": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    }
    findings = {}
    for name, given in shown.items():
        with liar(*given) as url:
            asking = changed(patient, directory=DirectorySettings(url=url, base="dc=works"))
            findings[name] = found(asking, "directory")
    assert [f.state for f in findings.values()] == ["ok", "warn", "warn", "fail"]
    for words in ("below", "no employeeNumber", "no LDAP"):
        assert words in findings[words].message


def test_no_door_and_no_camera_are_nothing_to_mend(patient: DoctorContext) -> None:
    hub = changed(
        patient,
        gate=GateSettings(role="hub"),
        camera=CameraSettings(driver="none"),
        door=DoorSettings(driver="none"),
    )
    hub = replace(hub, open_camera=lambda s, c: None)
    found_states = states(hub)
    assert (found_states["camera"], found_states["door"]) == ("skip", "skip")
    assert "fail" not in found_states.values()


@pytest.mark.parametrize(("degrees", "state"), [(79, "ok"), (81, "warn")])
def test_heat_is_found(patient: DoctorContext, degrees: int, state: str) -> None:
    zone = patient.sys / "class" / "thermal" / "thermal_zone0" / "temp"
    zone.write_text(str(degrees * 1000))
    assert found(patient, "temperature").state == state


@pytest.mark.parametrize(
    ("bits", "state", "says"),
    [("0x0", "ok", "never"), ("0x50000", "warn", "voltage"), ("0x50005", "fail", "voltage")],
)
def test_a_weak_power_supply_is_found(
    patient: DoctorContext, bits: str, state: str, says: str
) -> None:
    firmware = patient.sys / "devices" / "platform" / "soc" / "soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text(bits)
    finding = found(patient, "power")
    assert finding.state == state
    assert says in finding.message


def test_a_port_in_use_is_found(patient: DoctorContext) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        finding = found(changed(patient, api=ApiSettings(port=port)), "port")
    assert finding.state == "fail"
    assert str(port) in finding.advice


def test_secrets_of_the_configuration_are_not_told(patient: DoctorContext, tmp_path: Path) -> None:
    secret = changed(
        patient,
        camera=CameraSettings(
            driver="rtsp", url="rtsp://u:hunter2@127.0.0.1:9/", open_timeout_s=0.5
        ),
        storage=StorageSettings(
            state_dir=patient.state_dir,
            database_url="postgresql+psycopg://u:hunter2@127.0.0.1:9/gated",
        ),
    )
    real = replace(secret, open_camera=DoctorContext(secret.settings).open_camera)
    findings = examine(real.settings, real)
    assert [f.state for f in findings if f.name in {"camera", "database"}] == ["fail", "fail"]
    assert "hunter2" not in str(findings)
