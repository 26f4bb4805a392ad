"""The sections of gate.yaml: names, types, defaults, and what is impossible together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from gated.config.addresses import problem_of, problem_of_database, shown
from gated.config.drivers import KINDS, Group, problem_of_name
from gated.config.zones import advice, find_zone
from gated.core.cards import CardFormat
from gated.core.text import clean_text


def _clean_name(value: str) -> str:
    return clean_text(value, "the name")


Name = Annotated[str, AfterValidator(_clean_name), Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Pin = Annotated[int, Field(ge=0, le=1023)]
"""gpiozero: GPIO number (BCM) on the 40-pin header. gpiochip: number of the line on its chip.
usb-relay, modbus: number of the relay; modbus: of the discrete input."""
LAST_HEADER_PIN = 27
EventType = Literal["passage", "refusal", "punch", "door", "alarm", "person", "audit"]
MqttCommand = Literal["open", "normal", "lockdown", "out_of_service", "free_access", "silence"]
PersonField = Literal[
    "personnel_code", "first_name", "last_name", "department", "position", "email", "phone"
]
AttributeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")]
"""Of LDAP."""
WEBHOOK_FIELDS = frozenset(
    {
        *("id", "type", "kind", "time", "local_time", "unix", "gate", "site"),
        *("direction", "in_out", "reason", "method", "confidence", "severity", "detail"),
        *("personnel_code", "person_uid", "person_name"),
    }
)
"""Names that the template of a target may hold in braces."""
DriverName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Options = dict[str, Any]
"""Settings of a driver from outside, as its own model has them."""
Fraction = Annotated[float, Field(gt=0, lt=1)]
_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_WEB_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[a-z0-9_.-]+)(:[1-9]\d{0,4})?")


class HubMaySet:
    """Marks a key that a hub may set for its gates: how strict, how long, how often.

    A key without the mark stands in the file beside the gate alone. That is right for what could
    take the door or the machine away, or is true of one gate only: wiring, devices, paths,
    addresses, keys, names, bounds that keep people safe, and whatever is accepted in words.
    """


T = TypeVar("T")
FromHub = Annotated[T, HubMaySet()]
"""The type of a key that a hub may set."""

COLLECT_MISFITS = {"misfits": "collected by the loader"}
"""Validation context in which misfits are gathered instead of raised."""


class Misfit(NamedTuple):
    """Values that are fine one by one and impossible together; `keys` are those concerned.

    rule, limit: its name in `SETTING_RULES`, and its limit as text, for whoever has words of their
    own; a misfit of which a key may be set on the pages has a name.
    """

    keys: tuple[str, ...]
    text: str
    rule: str | None = None
    limit: str | None = None


SETTING_RULES = (
    *("file_only", "unknown_key", "yaml", "yaml_alias", "twice", "lax_tolerance", "zone_name"),
    *("second_camera_off", "needs_movements", "too_few_movements", "kept_too_short"),
    *("forgotten_before", "nothing_to_send", "no_pictures_kept", "needs_rtsps", "no_card_trigger"),
    *("ended_early", "crashed", "not_well", "no_frame"),
)
"""Names of what may be wrong with settings, beside the rules for any value; the last ones are of a
trial."""


class Section(BaseModel):
    """A node of gate.yaml: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    word: ClassVar[str | None] = None
    """The key that is meant where one word stands in place of the section."""

    def misfits(self) -> Iterator[Misfit]:
        """Impossible combinations of this section's own values."""
        return iter(())

    @model_validator(mode="after")
    def _values_fit(self, info: ValidationInfo) -> Self:
        if info.context != COLLECT_MISFITS:
            for misfit in self.misfits():
                raise ValueError(misfit.text)
        return self


def _unknown_driver(group: Group, name: str) -> Iterator[Misfit]:
    """A driver that nobody brings."""
    if problem := problem_of_name(group, name):
        yield Misfit((KINDS[group][1].split(".")[1],), problem)


class NamedDriver(NamedTuple):
    """A driver that the configuration names. section: with its options, such as `camera`."""

    section: str
    group: Group
    name: str
    options: Options


class GateSettings(Section):
    name: Name = "gate"
    """Written as `gate_name` into every attendance row."""
    role: Literal["gate", "hub"] = "gate"
    site: Name = "site"
    timezone: str | None = None
    """Of this machine, whatever its site has; null: that of the site, and without one UTC."""
    demo: bool = False
    """Enrol the demo person at start; refused with a real door or camera."""

    def misfits(self) -> Iterator[Misfit]:
        if self.timezone is not None and find_zone(self.timezone) is None:
            yield Misfit(("timezone",), advice(self.timezone), "zone_name", self.timezone)


class Zone(Section):
    """The part of the picture that counts, in fractions of width and height."""

    left: Annotated[float, Field(ge=0, lt=1)] = 0.0
    top: Annotated[float, Field(ge=0, lt=1)] = 0.0
    right: Annotated[float, Field(gt=0, le=1)] = 1.0
    bottom: Annotated[float, Field(gt=0, le=1)] = 1.0

    def misfits(self) -> Iterator[Misfit]:
        if self.left >= self.right:
            yield Misfit(("left", "right"), "the zone is empty: left < right is needed")
        if self.top >= self.bottom:
            yield Misfit(("top", "bottom"), "the zone is empty: top < bottom is needed")


class CameraSource(Section):
    """A camera and how to reach it."""

    driver: DriverName = "replay"
    """picamera2, v4l2, rtsp, replay, none, or one that another package brings."""
    options: Options = Field(default_factory=dict, repr=False)
    """Of a driver from outside: its own settings."""
    name: Name = "camera"
    """Written as `camera_name` into every attendance row."""
    device: int | str = 0
    """v4l2: index or path such as /dev/video0. picamera2: index."""
    url: str | None = Field(default=None, repr=False)
    """rtsp: rtsp:// or rtsps:// address. May hold credentials; they are never logged."""
    source: Path | Literal["demo"] | None = None
    """replay: a video file, a folder of images, or `demo`."""
    loop: bool = True
    """replay: begin again at the end."""
    realtime: bool = True
    """replay: at recorded speed rather than as fast as possible."""
    width: Annotated[int, Field(ge=160, le=4096)] = 640
    height: Annotated[int, Field(ge=120, le=4096)] = 480
    fps: Annotated[float, Field(gt=0, le=120)] = 15.0
    rotate: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    open_timeout_s: Annotated[float, Field(gt=0, le=10)] = 3.0
    read_timeout_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    frozen_after_s: Seconds = 10.0
    """The same picture for so long counts as a failure (not for replay)."""
    certificate: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """rtsps: SHA-256 of the host's certificate; null: that of the first connection."""

    def misfits(self) -> Iterator[Misfit]:
        yield from _unknown_driver("gated.cameras", self.driver)
        if self.driver == "rtsp" and not (self.url or "").startswith(("rtsp://", "rtsps://")):
            yield Misfit(("url", "driver"), "driver rtsp needs url: rtsp://... or rtsps://...")
        elif self.driver == "rtsp" and (problem := problem_of(self.url or "")):
            yield Misfit(("url",), problem)
        if self.certificate and not (self.url or "").startswith("rtsps://"):
            yield Misfit(("certificate", "url"), "only a host of rtsps:// has a certificate")
        if self.driver == "replay" and self.source is None:
            yield Misfit(
                ("source", "driver"),
                "driver replay needs source: a video, a folder of images, or demo",
            )


class CameraSettings(CameraSource):
    watch_view: bool = True
    """A covered lens and a camera that is turned away are alarms (not for replay)."""
    on_change: Literal["report", "refuse"] = "report"
    """Another camera in the place of the first one is an alarm; refuse: nobody is let in by face
    until an admin accepts it."""
    zone: Zone = Zone()


class SecondCameraSettings(CameraSource):
    """An infra-red camera beside the first one, with the same view."""

    driver: DriverName = "none"
    """As of the first camera; none: there is none."""
    name: Name = "second camera"

    @property
    def is_there(self) -> bool:
        """True where a second camera is configured."""
        return self.driver != "none"


class VisionSettings(Section):
    engine: DriverName = "sface"
    """sface, dlib, or one that another package brings."""
    options: Options = Field(default_factory=dict, repr=False)
    """Of an engine from outside: its own settings."""
    detection_size: Annotated[int, Field(ge=96, le=1920)] = 320
    """Long side of the picture that the detector sees."""
    threads: Annotated[int, Field(ge=1, le=16)] = 2
    assets_dir: Path | None = None
    """Looked at first for model files; then the state directory, then the installation."""
    idle_fps: FromHub[Annotated[float, Field(gt=0, le=30)]] = 2.0
    """How often a still scene is looked at by the detector."""
    min_detection: FromHub[Fraction] = 0.7
    min_eye_distance: FromHub[Annotated[float, Field(ge=8)]] = 14.0
    max_yaw: FromHub[Annotated[float, Field(gt=0, le=90)]] = 35.0
    max_pitch: FromHub[Annotated[float, Field(gt=0, le=90)]] = 30.0
    max_roll: FromHub[Annotated[float, Field(gt=0, le=180)]] = 45.0
    min_sharpness: FromHub[Annotated[float, Field(ge=0, le=1)]] = 0.1
    min_brightness: FromHub[Annotated[float, Field(ge=0, le=255)]] = 30.0
    max_brightness: FromHub[Annotated[float, Field(ge=0, le=255)]] = 235.0
    enroll_min_eye_distance: FromHub[Annotated[float, Field(ge=8)]] = 30.0
    enroll_good_eye_distance: FromHub[Annotated[float, Field(ge=8)]] = 60.0

    def misfits(self) -> Iterator[Misfit]:
        yield from _unknown_driver("gated.engines", self.engine)


class RecognitionSettings(Section):
    trigger: Literal["continuous", "input", "card"] = "continuous"
    """`input`: faces are matched only after `door.trigger_pin` was active."""
    trigger_window_s: FromHub[Seconds] = 10.0
    """After a trigger faces are matched for so long."""
    frames: FromHub[Annotated[int, Field(ge=1, le=20)]] = 3
    """Agreeing usable frames that a grant needs."""
    fpir: FromHub[Fraction] = 0.001
    """Wanted false identification rate of the whole gate: strangers taken for somebody."""
    calibration: Path | None = None
    """False match rates as `gated calibrate` wrote them; null: those that come with the program."""
    face_tolerance: FromHub[Annotated[float, Field(gt=0, le=2)] | None] = None
    """Largest accepted distance in the model's own metric; overrides the calibrated threshold."""
    accept_lax_tolerance: bool = False
    """Accept a tolerance laxer than a false match rate of 1e-3."""
    margin: FromHub[Annotated[float, Field(ge=0, le=1)]] = 0.05
    """How far the best person must be ahead of the next one, in similarity."""
    max_frame_age_s: FromHub[Seconds] = 1.0
    max_attempts: FromHub[Annotated[int, Field(ge=3, le=200)]] = 30
    """Embeddings per track; then the track is settled until it changes hands."""
    decide_after_s: FromHub[Seconds] = 1.5
    """Usable frames for so long without a grant end in a denial."""
    visit_closes_after_s: FromHub[Seconds] = 2.0
    denial_interval_s: FromHub[Seconds] = 5.0
    max_denials_per_visit: FromHub[Annotated[int, Field(ge=1, le=100)]] = 3


MovementName = Literal["turn_left", "turn_right", "look_up", "blink_twice", "come_closer"]


class LivenessSettings(Section):
    word = "level"

    level: FromHub[Literal["off", "normal", "strict", "challenge"]] = "normal"
    """off: none. normal: three frames. strict: five, with higher scores. challenge: movements, too.
    """
    lockout_s: FromHub[Annotated[float, Field(ge=0, le=600)]] = 10.0
    """After an attack in somebody's name that person is not let in for so long."""
    alarm_attacks: FromHub[Annotated[int, Field(ge=1, le=100)]] = 3
    """So many attacks within `alarm_window_s` raise an alarm."""
    alarm_window_s: FromHub[Seconds] = 300.0
    movements: FromHub[Annotated[int, Field(ge=1, le=3)]] = 2
    """challenge: so many are asked for."""
    ask_for: FromHub[tuple[MovementName, ...]] = (
        "turn_left",
        "turn_right",
        "look_up",
        "come_closer",
    )
    """challenge: the movements to draw from."""
    # no blinks: a photo that is tilted closes its eyes by a third, and none of the clips that were
    # measured shows a blink by which the mesh could be judged
    challenge_s: FromHub[Annotated[float, Field(ge=3, le=60)]] = 12.0
    """challenge: the time for all of them."""
    step_up: FromHub[bool] = True
    """strict: who is not seen to speak or to change their expression is asked for movements, as
    paper masks are taken for living faces."""
    doubt_s: FromHub[Annotated[float, Field(ge=0, le=10)]] = 1.5
    """step_up: so long a face may take to be seen moving by itself."""
    infra_red: FromHub[Literal["refuse", "challenge"]] = "refuse"
    """Faces in pictures without colour, which the networks cannot judge. challenge: who does what
    is asked is living; only for a camera that sees near infra-red, in which screens show no face.
    """
    second_camera: SecondCameraSettings = SecondCameraSettings()
    """An infra-red camera beside the first one: a living face is in both pictures."""

    @property
    def steps_up(self) -> bool:
        """Return whether movements are asked for in doubt only."""
        return self.level == "strict" and self.step_up

    @property
    def needs_mesh(self) -> bool:
        """Return whether movements may be asked for at all."""
        return self.level == "challenge" or self.steps_up

    def misfits(self) -> Iterator[Misfit]:
        if self.second_camera.is_there and self.level == "off":
            yield Misfit(
                ("second_camera.driver", "level"),
                "a second camera is for liveness, which is off",
                "second_camera_off",
            )
        if self.infra_red == "challenge" and not self.needs_mesh:
            yield Misfit(
                ("infra_red", "level"),
                "challenge asks for movements: it needs level: challenge, or strict with step_up",
                "needs_movements",
            )
        if len(set(self.ask_for)) < max(2, self.movements) or len(set(self.ask_for)) < len(
            self.ask_for
        ):
            yield Misfit(
                ("ask_for", "movements"),
                "the gate draws from these movements: two different ones or more are needed, and "
                "as many as it asks for",
                "too_few_movements",
            )


class AccessSettings(Section):
    cooldown_s: FromHub[Annotated[float, Field(ge=0, le=86_400)]] = 3.0
    """After a grant the same person is not granted again in a new visit for so long."""


class CredentialSettings(Section):
    reader: DriverName = "none"
    """A card reader. keyboard: one that types like a keyboard (USB HID), at `device`. simulated:
    keystrokes written into a pipe that is made at `device`. osdp, wiegand: docs/osdp.md. Else one
    of another package."""
    options: Options = Field(default_factory=dict, repr=False)
    """Of osdp, wiegand, and a reader from outside: its own settings."""
    device: Path | None = None
    """Such as /dev/input/by-id/usb-...-event-kbd, which stays the same when others are plugged."""
    card_length: Annotated[int, Field(ge=4, le=40)] = 32
    """Characters of a number, as the reader types it; longer ones are dropped, and not given."""
    card_format: CardFormat = "plain"
    """What a number means; the same at a hub and its gates, and where cards are given."""
    card_digits: Annotated[int, Field(ge=1, le=10)] = 5
    """card_format facility_digits: so many digits of what is typed are the number."""
    key_timeout_s: Annotated[float, Field(gt=0, le=5)] = 0.5
    """Readers type faster: after so long between two keys a number begins anew."""
    badges: FromHub[bool] = False
    """Look for badges (QR codes) in the picture."""
    badge_interval_s: FromHub[Annotated[float, Field(ge=0.1, le=10)]] = 0.5
    """So often; three times as rarely while a face is being recognised."""
    pin_digits: FromHub[Annotated[int, Field(ge=4, le=12)]] = 4
    """The shortest PIN that may be given."""

    def misfits(self) -> Iterator[Misfit]:
        yield from _unknown_driver("gated.readers", self.reader)
        if self.reader in {"keyboard", "simulated"} and self.device is None:
            yield Misfit(("device", "reader"), f"reader {self.reader} needs device")


class CardOutputSettings(Section):
    """The gate as the card reader of a door controller: who is let in is reported as a card."""

    driver: DriverName = "none"
    """osdp, wiegand (docs/osdp.md), none, or one of another package."""
    options: Options = Field(default_factory=dict, repr=False)
    """Of the driver: its own settings."""
    bits: Literal["26", "34", "37", "37-facility"] = "26"
    """The format: 26 (H10301), 34, 37 (H10302), or 37 with a facility code (H10304)."""
    facility: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The facility code of personnel codes."""
    numbers: Path | None = None
    """A CSV file of personnel codes and card numbers (`E17,12-3456`); null: the card's number is
    the personnel code, where that is a number."""

    def misfits(self) -> Iterator[Misfit]:
        yield from _unknown_driver("gated.card_outputs", self.driver)
        most = {"26": 255, "34": 65_535, "37": 0, "37-facility": 65_535}[self.bits]
        if self.facility > most:
            yield Misfit(("facility", "bits"), f"{self.bits} bits have facility codes to {most}")


class DoorSettings(Section):
    driver: DriverName = "simulated"
    """gpiozero, gpiochip, usb-relay, modbus, osdp, simulated, none, or one of another package."""
    options: Options = Field(default_factory=dict, repr=False)
    """Of usb-relay, modbus, osdp, and a driver from outside: its own settings."""
    chip: str | None = None
    """gpiochip: label or path of the chip that the pins are lines of; `gpiodetect` lists them."""
    pull_up: bool = True
    """gpiochip: use the chip's own pull-up resistors; false: there are resistors outside."""
    relay_pin: Pin | None = None
    relay_active_high: bool = True
    lock_type: Literal["strike", "maglock"] = "strike"
    """strike: locked without power (fail-secure). maglock: unlocked without power (fail-safe)."""
    contact_pin: Pin | None = None
    rex_pin: Pin | None = None
    fire_pin: Pin | None = None
    trigger_pin: Pin | None = None
    """Button or sensor to ground that asks for a decision (`recognition.trigger: input`)."""
    tamper_pin: Pin | None = None
    """Switch of the box, closed while it is shut."""
    power_fail_pin: Pin | None = None
    """Contact of the power supply, closed while the mains are there."""
    other_door_pin: Pin | None = None
    """Contact of the other door of a mantrap, closed while it is shut."""
    fire_reset_pin: Pin | None = None
    """Key switch that ends the fire release."""
    debounce_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    unlock_s: FromHub[Annotated[float, Field(gt=0, le=120)]] = 3.0
    extended_unlock_s: FromHub[Annotated[float, Field(gt=0, le=120)]] = 10.0
    """For people who need more time (`extended_unlock` of a person)."""
    max_unlock_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    relock: Literal["close", "open", "deadline"] = "close"
    """What ends a release early: the leaf was closed again, was opened, or nothing."""
    held_open_s: FromHub[Annotated[float, Field(gt=0, le=3600)]] = 30.0
    """The leaf may stand open for so long after the release, then there is an alarm."""
    held_warning_s: FromHub[Annotated[float, Field(ge=0, le=3600)]] = 10.0
    """The buzzer warns so long before that alarm."""
    mounting: Literal["inside", "outside"] = "inside"
    """On which side of the wall the computer hangs."""
    accept_outside_relay: bool = False
    accept_boot_glitch: bool = False
    """Accept a relay pin whose level at reset energises the relay."""
    accept_release_at_exit: bool = False
    """Accept a maglock on a kernel that lets the pins go when the program ends: it is free then."""
    rex_releases: bool = True

    def misfits(self) -> Iterator[Misfit]:
        yield from _unknown_driver("gated.doors", self.driver)
        local = self.is_real and self.driver != "osdp"
        if local and self.mounting == "outside" and not self.accept_outside_relay:
            yield Misfit(
                ("mounting", "accept_outside_relay", "driver"),
                "a relay on the outside of the wall is a skeleton key: mount the computer inside, "
                "or accept it with accept_outside_relay: true",
            )
        if self.is_on_pins:
            yield from self._wrong_pins()

    @property
    def is_real(self) -> bool:
        """Return whether a door moves when the relay does."""
        return self.driver not in {"simulated", "none"}

    @property
    def is_on_pins(self) -> bool:
        """Return whether the `_pin` keys name what it is wired to."""
        return self.driver in {"gpiozero", "gpiochip"}

    def line(self, pin: int | None) -> str:
        """Name a pin as it is printed where it has to be found."""
        return f"line {pin} of {self.chip}" if self.driver == "gpiochip" else f"GPIO{pin}"

    def _wrong_pins(self) -> Iterator[Misfit]:
        if self.relay_pin is None:
            yield Misfit(("relay_pin", "driver"), f"driver {self.driver} needs relay_pin")
        yield from self._shared_pins()
        if self.driver == "gpiochip":
            if self.chip is None:
                yield Misfit(
                    ("chip", "driver"),
                    "driver gpiochip needs chip: the label or the path of a chip (`gpiodetect`)",
                )
            return
        for key, pin in self.pins().items():
            if pin > LAST_HEADER_PIN:
                yield Misfit((key, "driver"), f"the header has GPIO0 to GPIO{LAST_HEADER_PIN}")
        if self.relay_pin is not None and not self.accept_boot_glitch:
            yield from self._boot_glitch(self.relay_pin)

    def pins(self) -> dict[str, int]:
        """GPIO number by key, of all that are set."""
        keys = (name for name in type(self).model_fields if name.endswith("_pin"))
        return {key: pin for key in keys if (pin := getattr(self, key)) is not None}

    def _shared_pins(self) -> Iterator[Misfit]:
        users: dict[int, str] = {}
        for key, pin in self.pins().items():
            if users.setdefault(pin, key) != key:
                yield Misfit(
                    (key, users[pin], "driver"), f"{self.line(pin)} is {users[pin]} already"
                )

    @property
    def energised_at_reset(self) -> bool:
        """Return whether the pull resistor of the relay's pin, alone, energises the relay."""
        # BCM2711/BCM2712 data sheets: GPIO 0-8 are pulled up at reset, 9-27 pulled down; of the
        # chips of other boards nothing is known
        return (
            self.driver == "gpiozero"
            and self.relay_pin is not None
            and (self.relay_pin <= 8) == self.relay_active_high
        )

    def _boot_glitch(self, pin: int) -> Iterator[Misfit]:
        pulled_up = pin <= 8
        if self.lock_type == "strike" and self.energised_at_reset:
            yield Misfit(
                ("relay_pin", "relay_active_high", "lock_type", "accept_boot_glitch", "driver"),
                f"GPIO{pin} is pulled {'up' if pulled_up else 'down'} at reset, which energises "
                "this strike while the computer boots: choose a pin of the other group (0-8 up, "
                "9-27 down), or accept it with accept_boot_glitch: true",
            )


class IndicatorSettings(Section):
    """Lamps and sounders by pin; driven by `door.driver`."""

    active_high: bool = True
    """Whether a high level switches them on."""
    buzzer_pin: Pin | None = None
    alarm_pin: Pin | None = None
    """A second relay: siren or light."""
    idle_pin: Pin | None = None
    look_here_pin: Pin | None = None
    granted_pin: Pin | None = None
    denied_pin: Pin | None = None
    fault_pin: Pin | None = None

    def pins(self) -> dict[str, int]:
        """GPIO number by key, of all that are set."""
        keys = (name for name in type(self).model_fields if name.endswith("_pin"))
        return {key: pin for key in keys if (pin := getattr(self, key)) is not None}


class AlarmSettings(Section):
    denials: FromHub[Annotated[int, Field(ge=2, le=1000)]] = 10
    """So many denials within `denials_window_s` are a warning."""
    denials_window_s: FromHub[Seconds] = 60.0
    sound_s: FromHub[Annotated[float, Field(ge=1, le=3600)]] = 180.0
    """The alarm output is on for so long at most, until somebody acknowledges or silences it."""


class AttendanceSettings(Section):
    direction: Literal["entry", "exit", "auto"] = "auto"
    auto_reset_h: FromHub[Annotated[float, Field(gt=0, le=168)]] = 16.0
    """The longest visit: `auto` begins with an entry again after so long, and in reports an exit so
    long after the entry does not belong to it."""
    double_punch_s: FromHub[Annotated[float, Field(ge=0, le=3600)]] = 60.0
    """In reports punches in the same direction that follow each other within it are one; with
    `auto` who is recognised again within it still goes the same way."""
    day_start_h: FromHub[Annotated[float, Field(ge=0, lt=24)]] = 0.0
    """Hours after midnight; in reports a visit that begins earlier belongs to the day before."""


class StorageSettings(Section):
    state_dir: Path = Path()
    """The one directory that the program writes to."""
    database_url: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL; default: SQLite file attendance.db in the state directory."""
    upload_dir: Path | None = None
    """Photos and encodings; default: uploads/ in the state directory."""
    key_file: Path | None = None
    """Key of the sealed files; default: a systemd credential, else keys/seal.key (0600)."""
    journal_queue: Annotated[int, Field(ge=8, le=65_536)] = 1024
    keep_stranger_pictures: FromHub[bool] = False
    keep_acknowledged_days: FromHub[Days | None] = None
    """Rows of the log that the hub has are dropped here so long after they were written."""
    reserve_mb: Annotated[int, Field(ge=8, le=65_536)] = 16
    """Kept free for the newest rows of the log, when the disk is full."""
    incident_mb: Annotated[int, Field(ge=0, le=1024)] = 8
    """Keeps so much of the gate's events, sealed, for `gated incident export`; 0: nothing."""
    when_full: Literal["stop", "drop_oldest"] = "stop"
    """Of rows that no hub has: deny faces, or drop the oldest ones after an alarm."""

    def misfits(self) -> Iterator[Misfit]:
        if self.database_url and not re.match(r"(sqlite|postgresql)(\+\w+)?:", self.database_url):
            yield Misfit(
                ("database_url",), "must begin with sqlite:/// or postgresql:// (no other database)"
            )

        elif (
            self.database_url
            and self.database_url.startswith("postgresql")
            and (problem := problem_of_database(self.database_url))
        ):
            yield Misfit(("database_url",), problem)

    @property
    def url(self) -> str:
        """The database to use; may hold a password."""
        return self.database_url or f"sqlite:///{self.state_dir / 'attendance.db'}"

    @property
    def uploads(self) -> Path:
        """Return where photos and encodings live."""
        return self.upload_dir or self.state_dir / "uploads"


class ApiSettings(Section):
    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    insecure: bool = False
    """Accept an address other than the loopback without TLS."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    docs: bool = True
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    """Web sites whose pages may use the API with a bearer token, such as https://hr.example.org."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which this machine is asked, besides its own, those of its certificate and its
    addresses; `.example.org`: all below it."""

    def misfits(self) -> Iterator[Misfit]:
        for origin in self.cors_origins:
            if not re.fullmatch(r"https?://[^/*\s]+", origin):
                yield Misfit(("cors_origins",), f"{origin!r} is no origin such as https://host")
        for name in self.allowed_hosts:
            if not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
                yield Misfit(("allowed_hosts",), f"{name!r} is no name such as gate.example.org")
        if (self.tls_certificate is None) != (self.tls_key is None):
            yield Misfit(
                ("tls_certificate", "tls_key"), "tls_certificate and tls_key belong together"
            )
        local = self.host in {"127.0.0.1", "::1", "localhost"}
        if not local and self.tls_certificate is None and not self.insecure:
            yield Misfit(
                ("host", "tls_certificate", "insecure"),
                f"{self.host} is reachable from outside: give tls_certificate and tls_key, "
                "or accept it with insecure: true",
            )


class AuthSettings(Section):
    secret_key: SecretStr | None = None
    """Key of the tokens; default: made once and kept in keys/token.key with mode 0600."""
    access_token_expire_minutes: FromHub[Annotated[int, Field(ge=1, le=1440)]] = 30
    session_hours: FromHub[Annotated[float, Field(gt=0, le=168)]] = 12.0
    """A browser's session that is used goes on for so long after the password was given."""
    registration: FromHub[Literal["closed", "approval", "open"]] = "approval"
    door_confirmation_s: FromHub[Annotated[float, Field(ge=0, le=86_400)] | None] = 300.0
    """Acts at the door over the API need a token that is not older, or the password in the body;
    0: always the password; null: nothing more than the role."""
    door_acts_per_minute: FromHub[Annotated[int, Field(ge=1, le=600)]] = 20
    """By one account, over the API."""
    password_passes: Annotated[int, Field(ge=1, le=100)] = 2
    password_memory_kib: Annotated[int, Field(ge=8, le=1_048_576)] = 19_456
    """What one argon2id hash costs. The default is OWASP's profile of 19 MiB and two passes: it
    fits a small computer, where the 64 MiB of RFC 9106 would not, once several people sign in
    together. Lower it for tests only."""

    def misfits(self) -> Iterator[Misfit]:
        key = self.secret_key.get_secret_value() if self.secret_key else None
        weak = ("secret", "changeme", "change-me", "your-secret-key", "password", "example")
        if key is not None and (len(key) < 32 or len(set(key)) < 8 or key.lower().startswith(weak)):
            yield Misfit(
                ("secret_key",),
                "too short or well known: use 32 random characters or more, "
                "or leave it out and one is made",
            )


class PrivacySettings(Section):
    require_consent: FromHub[bool] = False
    """Refuse to enrol without a recorded consent; what is enrolled without one is removed."""
    notice: FromHub[Annotated[str, Field(min_length=1, max_length=100)] | None] = None
    """The version of the notice in force, to which people with an account consent themselves; null:
    operators record consent."""
    photos_days: FromHub[Days | None] = None
    """Reference photos are removed so long after they were enrolled; the templates stay."""
    access_log_days: FromHub[Days | None] = None
    """Refusals and unused grants lose the name of the person."""
    attendance_days: FromHub[Days | None] = None
    """Entries and exits lose the name of the person."""
    audit_days: FromHub[Days | None] = None
    """Acts of administration lose the names and addresses."""
    leavers_days: FromHub[Days | None] = None
    """Who has left is erased so long after the last day, or as soon as no hold forbids it."""
    hold_days: FromHub[Annotated[int, Field(ge=0, le=36_500)]] = 0
    """Persons are not erased so long after their last passage, unless an admin gives a reason."""
    unknown_faces_days: FromHub[Annotated[int, Field(ge=0, le=3650)]] = 0
    """Pictures of attacks and, with `storage.keep_stranger_pictures`, of strangers; 0: none."""
    denials_hours: FromHub[Annotated[int, Field(ge=0, le=168)]] = 0
    """Templates of refused visits are kept so long, for the question whose they were; 0: none."""
    longest_off_h: FromHub[Annotated[float, Field(gt=0, le=87_600)]] = 24.0
    """After a longer time off nothing is erased until the hub or an admin confirms the clock."""

    def misfits(self) -> Iterator[Misfit]:
        if self.attendance_days is not None and self.attendance_days < self.hold_days:
            yield Misfit(
                ("attendance_days", "hold_days"),
                "the attendance record would lose its names before hold_days are over",
                "kept_too_short",
            )


class SyncSettings(Section):
    hub_url: str | None = None
    """Where the hub is now; default: where it was when this gate joined."""
    ca_file: Path | None = None
    """Certificate (PEM) of who has signed the hub's, besides those that the system trusts."""
    insecure: bool = False
    """Accept a hub over plain HTTP from another machine: names would travel in the open."""
    catch_up_after_h: FromHub[Annotated[float, Field(gt=0, le=87_600)]] = 720.0
    """Hours without the hub after which a gate that starts waits for it before it opens."""
    snapshots: bool = False
    """Send the hub the pictures that `privacy.unknown_faces_days` keeps here."""
    forget_days: Days = 90
    """Removals are sent to gates so long, and of erasures which gates confirmed them; a gate
    that was away for longer takes everything anew."""
    presence_stale_s: FromHub[Annotated[float, Field(ge=3, le=3600)]] = 30.0
    """Seconds without the hub after which the rules' `without_hub` holds."""
    degraded_after_s: FromHub[Annotated[float, Field(ge=1, le=604_800)]] = 300.0
    """What fails between this gate and its hub for so long is a problem in /health."""
    when_revoked: Literal["go_on", "deny_faces"] = "deny_faces"
    """At a gate that its hub has revoked: go on with the people known here, or let nobody in by
    face once `revoked_grace_h` are over."""
    revoked_grace_h: Annotated[float, Field(ge=0, le=8760)] = 72.0
    """Hours after the gate heard that it was revoked, until `when_revoked` holds."""
    take_over_within_s: Seconds = 300.0
    """Settings from the hub wait so long for nobody to be at the gate; then they take over."""
    trial_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """A gate with new settings has so long to show that it works; else those before come back."""

    def misfits(self) -> Iterator[Misfit]:
        if self.hub_url and (problem := problem_of(self.hub_url)):
            yield Misfit(("hub_url",), problem)


class UiSettings(Section):
    enabled: bool = True
    kiosk_language: Literal["en", "de", "fr", "es", "ar", "fa"] = "en"
    kiosk_names: bool = False
    """Greet by name whoever is let in; those behind them read it, too."""
    kiosk_sound: bool = True
    kiosk_pin: bool = True
    """Offer a pad for personnel code and PIN."""


class LoggingSettings(Section):
    level: FromHub[Literal["debug", "info", "warning", "error"]] = "info"


class WebhookTarget(Section):
    """Another program that receives events by HTTP."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    url: Annotated[str, Field(max_length=2000)]
    secret_file: Path
    """Signs each body; 16 characters or more."""
    events: tuple[EventType, ...] = ("passage",)
    person: Literal["none", "code", "name"] = "code"
    """What the target may know of people: nothing, uid and personnel code, the name as well."""
    authorization_file: Path | None = None
    """Holds the whole value of the header `Authorization`, where the target asks for one."""
    private_network: bool = False
    """The target is in a private network or on this machine."""
    ca_file: Path | None = None
    body: dict[str, Any] | None = None
    """What is sent instead of the event: JSON whose texts may hold `{personnel_code}` and such."""

    @property
    def shown(self) -> str:
        """The address as anybody may see it."""
        return shown(self.url, "the address of the target")

    def misfits(self) -> Iterator[Misfit]:
        parts = urlsplit(self.url)
        if problem := problem_of(self.url):
            yield Misfit(("url",), problem)
        elif parts.scheme not in ("http", "https") or not parts.hostname:
            yield Misfit(("url",), "no address such as https://payroll.example.org/hook")
        elif parts.scheme == "http" and not self.private_network:
            yield Misfit(("url",), "use https: only with private_network: true may it be http")
        if unknown := sorted(_placeholders(self.body) - WEBHOOK_FIELDS):
            known = ", ".join(sorted(WEBHOOK_FIELDS))
            yield Misfit(("body",), f"{{{unknown[0]}}} is not known; there are {known}")


def _placeholders(template: Any) -> set[str]:
    """Collect the names in braces in a template; of a text that is none its own text."""
    if isinstance(template, Mapping):
        return set().union(*(_placeholders(value) for value in template.values()))
    if isinstance(template, list | tuple):
        return set().union(*(_placeholders(value) for value in template))
    if not isinstance(template, str):
        return set()
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        return {template}
    plain = {name for _, name, spec, how in parsed if name is not None and not (spec or how)}
    return plain | {f"{name}:{spec or how}" for _, name, spec, how in parsed if spec or how}


class WebhookSettings(Section):
    targets: Annotated[tuple[WebhookTarget, ...], Field(max_length=8)] = ()
    keep_days: Annotated[int, Field(ge=1, le=90)] = 7
    """What a target did not take so long is passed over."""

    def misfits(self) -> Iterator[Misfit]:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            yield Misfit(("targets",), "two targets have one name")


class MqttSettings(Section):
    """A broker that receives state and events of the gate, and may send commands."""

    host: str | None = None
    """Name or address of the broker; without one nothing is sent."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """null: 8883, and 1883 without TLS."""
    tls: bool = True
    """Off: names, events and the password travel in the open."""
    ca_file: Path | None = None
    """Certificate (PEM) of who has signed the broker's; null: those that the system trusts."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    """Of this gate, where the broker asks for a certificate."""
    username: Name | None = None
    password_file: Path | None = None
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)] = (
        "gated"
    )
    """All topics begin with this and the gate's uid."""
    discovery: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)] | None = (
        "homeassistant"
    )
    """Where Home Assistant looks for devices; null: this one is not announced."""
    events: tuple[EventType, ...] = ("passage", "refusal", "door", "alarm")
    person: Literal["none", "code", "name"] = "none"
    """What may be published of people, in events and as the last one who passed."""
    pictures: bool = False
    """Send a picture of the camera with each decision; each is journaled."""
    commands: tuple[MqttCommand, ...] = ()
    """What may be asked for over the broker."""
    account: Name | None = None
    """The account in whose name and with whose role commands are executed."""
    command_within_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    """A command that was given earlier is not executed; clocks may differ by as much."""
    keep_days: Annotated[int, Field(ge=1, le=90)] = 7
    """What the broker did not take so long is passed over."""

    @property
    def address(self) -> tuple[str, int]:
        """The broker's host and port."""
        return self.host or "", self.port or (8883 if self.tls else 1883)

    def misfits(self) -> Iterator[Misfit]:
        if (self.certificate_file is None) != (self.key_file is None):
            yield Misfit(("certificate_file", "key_file"), "a certificate needs its key")
        if self.password_file is not None and self.username is None:
            yield Misfit(("password_file", "username"), "a password needs a username")
        if self.commands and self.account is None:
            yield Misfit(
                ("commands", "account"),
                "commands need an account: gated user add NAME --role operator",
            )
        if self.commands and self.host and not self.tls and not _is_here(self.host):
            yield Misfit(("commands", "tls"), "over the network commands are taken with TLS only")


class OidcSettings(Section):
    """An identity provider at which people sign in with the company's account."""

    issuer: Annotated[str, Field(max_length=500)] | None = None
    """As the provider writes itself, such as https://login.example.org/realms/works; without one
    there are only accounts with a password."""
    client_id: Name | None = None
    client_secret_file: Path | None = None
    """null: a public client, which PKCE alone protects."""
    redirect_uri: Annotated[str, Field(max_length=500)] | None = None
    """Where the provider sends browsers back; null: the address that the browser has used, with
    /api/auth/company/return."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,100}$")], ...] = (
        "profile",
        "email",
    )
    username_claim: Name = "preferred_username"
    """Becomes the name of the account."""
    person_claim: Name | None = None
    """Holds the personnel code of the person whose account it is."""
    roles_claim: Name = "roles"
    """Holds one text or several; with dots for what lies deeper, as in realm_access.roles."""
    roles: Mapping[Name, Literal["self", "viewer", "operator", "admin", "auditor"]] = {}
    """What the claim says -> the role here. Who has none of these does not come in."""
    label: Name = "Company account"
    """What the button says."""
    ca_file: Path | None = None
    """Certificate (PEM) of who has signed the provider's; null: those that the system trusts."""

    def misfits(self) -> Iterator[Misfit]:
        if self.issuer is None:
            return
        if self.client_id is None:
            yield Misfit(("client_id", "issuer"), "the provider knows this gate by a client_id")
        if not self.roles:
            yield Misfit(("roles", "issuer"), "without roles nobody comes in: map a claim to one")
        for name, address in (("issuer", self.issuer), ("redirect_uri", self.redirect_uri)):
            if address is None:
                continue
            parts = urlsplit(address)
            local = parts.scheme == "http" and _is_here(parts.hostname or "")
            if not parts.hostname or (parts.scheme != "https" and not local):
                yield Misfit((name,), "an address with https (http on this machine only)")


class PasskeySettings(Section):
    """Sign-in to local accounts with passkeys (WebAuthn), beside the password."""

    domain: Annotated[str, Field(max_length=253)] | None = None
    """The name under which browsers open the pages, or the domain above it: passkeys are bound to
    it for good (RP ID). Without one there are none."""
    origins: tuple[Annotated[str, Field(max_length=300)], ...] = ()
    """Where the pages are, such as https://gate.example.org:8443; without any https://DOMAIN, at
    the usual port and at api.port."""

    def misfits(self) -> Iterator[Misfit]:
        if self.domain is None:
            if self.origins:
                yield Misfit(("origins", "domain"), "passkeys are of a domain: name it as well")
            return
        if not _DOMAIN.fullmatch(self.domain) or self.domain.rpartition(".")[2].isdigit():
            yield Misfit(("domain",), "a name in small letters such as gate.example.org")
        for origin in self.origins:
            if not self._is_ours(origin):
                yield Misfit(
                    ("origins",),
                    f"{origin!r} is no origin such as https://{self.domain}, of this domain",
                )

    def _is_ours(self, origin: str) -> bool:
        found = _WEB_ORIGIN.fullmatch(origin)
        if found is None or (found["scheme"] == "http" and found["host"] != "localhost"):
            return False
        return f".{found['host']}".endswith(f".{self.domain}")


class ScimSettings(Section):
    """A directory that adds, changes and removes people and groups, by SCIM 2.0."""

    enabled: bool = False
    personnel_code: Literal["employeeNumber", "externalId", "userName"] = "employeeNumber"
    """Which attribute becomes the personnel code; without it externalId or userName does, once."""
    erasures_an_hour: Annotated[int, Field(ge=1, le=10_000)] = 50
    """So many people it erases at most: a mistake is noticed before everybody is gone."""


class DirectorySettings(Section):
    """A directory that speaks LDAP, from which people are read when somebody asks for it."""

    url: Annotated[str, Field(max_length=500)] | None = None
    """ldaps://HOST or ldaps://HOST:PORT; ldap:// on this machine only."""
    base: Annotated[str, Field(max_length=1000)] | None = None
    """The entry below which people are, such as ou=people,dc=works,dc=example."""
    filter: Annotated[str, Field(max_length=2000)] = "(objectClass=inetOrgPerson)"
    bind_dn: Annotated[str, Field(max_length=1000)] | None = None
    """In whose name it is read; null: in nobody's."""
    password_file: Path | None = None
    ca_file: Path | None = None
    """Certificate (PEM) of who has signed the directory's; null: those that the system trusts."""
    attributes: Mapping[PersonField, AttributeName] = {
        "personnel_code": "employeeNumber",
        "first_name": "givenName",
        "last_name": "sn",
        "email": "mail",
        "phone": "telephoneNumber",
        "position": "title",
    }
    """The attribute that becomes each field of a person."""
    photo_attribute: AttributeName | None = None
    """Holds a photo, such as jpegPhoto, which is enrolled as any other; null: none is read."""
    most_people: Annotated[int, Field(ge=1, le=200_000)] = 20_000
    """So many people are read at most; of more, nobody is."""

    def misfits(self) -> Iterator[Misfit]:
        if self.url is None:
            return
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        local = parts.scheme == "ldap" and _is_here(parts.hostname or "")
        if not parts.hostname or port == 0 or (parts.scheme != "ldaps" and not local):
            yield Misfit(("url",), "an address with ldaps:// (ldap:// on this machine only)")
        if parts.path.strip("/") or parts.query or parts.username:
            yield Misfit(("url",), "an address of a machine, and nothing behind it")
        if not self.base:
            yield Misfit(("base", "url"), "name the entry below which people are")
        if "personnel_code" not in self.attributes:
            yield Misfit(("attributes",), "an attribute has to become the personnel_code")
        if self.password_file is not None and self.bind_dn is None:
            yield Misfit(("password_file", "bind_dn"), "a password needs a bind_dn")
        if self.bind_dn is not None and self.password_file is None:
            # RFC 4513, 5.1.2: with a name and no password a directory binds in nobody's name
            yield Misfit(("bind_dn", "password_file"), "a bind_dn needs a password")


class SyslogSettings(Section):
    """A collector of logs that gets what happens here, by syslog over TLS (RFC 5424, 5425)."""

    host: str | None = None
    """Name or address of the collector; without one nothing is sent."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 6514
    ca_file: Path | None = None
    """Certificate (PEM) of who has signed the collector's; null: those that the system trusts."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    """Of this gate, where the collector asks for a certificate."""
    format: Literal["json", "cef"] = "json"
    """Of the body: the event as JSON, or ArcSight's Common Event Format."""
    facility: Literal[
        "authpriv", "audit", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
        "local7",
    ] = "authpriv"  # fmt: skip
    events: tuple[EventType, ...] = (
        "passage", "refusal", "punch", "door", "alarm", "person", "audit",
    )  # fmt: skip
    person: Literal["none", "code", "name"] = "code"
    """What the collector may know of people and of those who act."""
    keep_days: Annotated[int, Field(ge=1, le=365)] = 30
    """What the collector did not take so long is passed over."""

    def misfits(self) -> Iterator[Misfit]:
        if (self.certificate_file is None) != (self.key_file is None):
            yield Misfit(("certificate_file", "key_file"), "a certificate needs its key")


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


class Settings(Section):
    """All of gate.yaml."""

    gate: GateSettings = GateSettings()
    camera: CameraSettings = CameraSettings(source="demo")
    vision: VisionSettings = VisionSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    liveness: LivenessSettings = LivenessSettings()
    access: AccessSettings = AccessSettings()
    credentials: CredentialSettings = CredentialSettings()
    card_output: CardOutputSettings = CardOutputSettings()
    door: DoorSettings = DoorSettings()
    indicators: IndicatorSettings = IndicatorSettings()
    alarms: AlarmSettings = AlarmSettings()
    attendance: AttendanceSettings = AttendanceSettings()
    storage: StorageSettings = StorageSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    privacy: PrivacySettings = PrivacySettings()
    sync: SyncSettings = SyncSettings()
    ui: UiSettings = UiSettings()
    webhooks: WebhookSettings = WebhookSettings()
    mqtt: MqttSettings = MqttSettings()
    syslog: SyslogSettings = SyslogSettings()
    oidc: OidcSettings = OidcSettings()
    passkeys: PasskeySettings = PasskeySettings()
    scim: ScimSettings = ScimSettings()
    directory: DirectorySettings = DirectorySettings()
    logging: LoggingSettings = LoggingSettings()

    def _shared_pins(self) -> Iterator[Misfit]:
        """Pins of which an indicator is not the only user."""
        users = {pin: f"door.{key}" for key, pin in self.door.pins().items()}
        for key, pin in self.indicators.pins().items():
            name = f"indicators.{key}"
            if users.setdefault(pin, name) != name:
                yield Misfit((name, users[pin]), f"{self.door.line(pin)} is {users[pin]} already")

    @property
    def drivers(self) -> tuple[NamedDriver, ...]:
        """The drivers that are named, each with the options that are given to it."""
        second = self.liveness.second_camera
        return (
            NamedDriver("camera", "gated.cameras", self.camera.driver, self.camera.options),
            NamedDriver(
                "liveness.second_camera", "gated.cameras", second.driver, second.options
            ),
            NamedDriver("door", "gated.doors", self.door.driver, self.door.options),
            NamedDriver(
                "credentials", "gated.readers", self.credentials.reader, self.credentials.options
            ),
            NamedDriver(
                "card_output", "gated.card_outputs", self.card_output.driver,
                self.card_output.options,
            ),
            NamedDriver("vision", "gated.engines", self.vision.engine, self.vision.options),
        )  # fmt: skip

    def _indicators_off_the_header(self) -> Iterator[Misfit]:
        if self.door.driver == "gpiozero":
            for key, pin in self.indicators.pins().items():
                if pin > LAST_HEADER_PIN:
                    yield Misfit(
                        (f"indicators.{key}", "door.driver"),
                        f"the header has GPIO0 to GPIO{LAST_HEADER_PIN}",
                    )

    def _forgotten_too_early(self) -> Iterator[Misfit]:
        """Return what the log of the gate itself is still needed for."""
        days = self.storage.keep_acknowledged_days
        if days is None:
            return
        for key, needed in (
            ("attendance.auto_reset_h", self.attendance.auto_reset_h / 24),
            ("privacy.hold_days", self.privacy.hold_days),
        ):
            if days < needed:
                yield Misfit(
                    ("storage.keep_acknowledged_days", key),
                    f"passages would be forgotten before {key} is over",
                    *("forgotten_before", key),
                )

    def _has_no_trigger(self) -> bool:
        return self.door.is_on_pins and self.door.trigger_pin is None

    def _has_no_cards(self) -> bool:
        return self.credentials.reader == "none" and not self.credentials.badges

    def _never_asked(self) -> Iterator[Misfit]:
        """Find a trigger that never comes, and a simulated reader at a real door."""
        if self.recognition.trigger == "input" and self._has_no_trigger():
            yield Misfit(
                ("recognition.trigger", "door.trigger_pin"),
                "nothing would ever ask for a decision: trigger input needs door.trigger_pin",
            )
        if self.recognition.trigger == "card" and self._has_no_cards():
            yield Misfit(
                ("recognition.trigger", "credentials.reader", "credentials.badges"),
                "nothing would ever ask for a decision: trigger card needs credentials.reader or "
                "credentials.badges",
                "no_card_trigger",
            )
        if self.door.is_real and self.credentials.reader == "simulated":
            yield Misfit(
                ("credentials.reader", "door.driver"),
                f"a simulated reader never opens a real door (door.driver: {self.door.driver})",
            )

    def _pictures(self) -> Iterator[Misfit]:
        """Find pictures that are not kept, and a camera whose picture anybody could replace."""
        if self.sync.snapshots and not self.privacy.unknown_faces_days:
            yield Misfit(
                ("sync.snapshots", "privacy.unknown_faces_days"),
                "there is nothing to send: pictures are kept for unknown_faces_days, which are 0",
                "nothing_to_send",
            )
        if self.storage.keep_stranger_pictures and not self.privacy.unknown_faces_days:
            yield Misfit(
                ("storage.keep_stranger_pictures", "privacy.unknown_faces_days"),
                "pictures of strangers are kept for unknown_faces_days, which are 0",
                "no_pictures_kept",
            )
        level = self.liveness.level
        cameras = {"camera": self.camera, "liveness.second_camera": self.liveness.second_camera}
        for name, camera in cameras.items():
            open_ = camera.driver == "rtsp" and (camera.url or "").startswith("rtsp://")
            if open_ and level in {"strict", "challenge"}:
                yield Misfit(
                    (f"{name}.url", "liveness.level"),
                    f"anybody on the network can replace an unencrypted picture: liveness {level} "
                    "needs rtsps://",
                    *("needs_rtsps", level),
                )

    def misfits(self) -> Iterator[Misfit]:
        camera, door, gate = self.camera.driver, self.door.driver, self.gate
        drivers = ("camera.driver", "door.driver")
        if camera == "replay" and self.door.is_real:
            yield Misfit(drivers, f"a replay never drives a real door (door.driver: {door})")
        if self.liveness.second_camera.driver == "replay" and self.door.is_real:
            yield Misfit(
                ("liveness.second_camera.driver", "door.driver"),
                f"a replay never vouches at a real door (door.driver: {door})",
            )
        if gate.demo and (camera != "replay" or door != "simulated"):
            yield Misfit(
                ("gate.demo", *drivers),
                "the demo needs camera.driver: replay and door.driver: simulated",
            )
        if gate.role == "hub" and self.mqtt.host is not None:
            yield Misfit(
                ("gate.role", "mqtt.host"), "a hub has no door: name the broker at its gates"
            )
        yield from self._shared_pins()
        yield from self._never_asked()
        yield from self._forgotten_too_early()
        yield from self._pictures()
        if gate.role == "gate" and camera == "none":
            yield Misfit(("camera.driver", "gate.role"), "a gate needs a camera (gate.role: gate)")
        yield from self._indicators_off_the_header()
        if gate.role == "hub" and (camera != "none" or door != "none"):
            yield Misfit(
                ("gate.role", *drivers), "a hub needs camera.driver: none and door.driver: none"
            )


SECTIONS: Mapping[str, type[Section]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}

Scope = Literal["file", "runtime"]

SCOPES: Mapping[tuple[str, str], Scope] = {
    (name, key): "runtime" if any(isinstance(m, HubMaySet) for m in info.metadata) else "file"
    for name, section in SECTIONS.items()
    for key, info in section.model_fields.items()
}
"""(section, key) -> where it may be set: in the file alone, or by a hub as well (`HubMaySet`)."""

_TRUE_OF_THIS_GATE = frozenset(
    {
        *(("gate", key) for key in ("name", "timezone")),
        *(("camera", key) for key in ("name", "rotate", "mirror")),
        ("attendance", "direction"),
        *(("ui", key) for key in UiSettings.model_fields if key.startswith("kiosk_")),
    }
)

ON_PAGES: frozenset[tuple[str, str]] = _TRUE_OF_THIS_GATE | frozenset(
    key for key, scope in SCOPES.items() if scope == "runtime"
)
"""(section, key) that an administrator may set on the pages of the gate: what a hub may set, and
what is true of one gate and can take neither door nor machine away."""
