"""A gate in its demo, and a browser to look at its pages with."""

from __future__ import annotations

import random
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.config import load
from gated.enrollment.models import INSTALLED
from gated.live import snapshot_store
from gated.people.people import People
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.changes import done_by
from tests.e2e.process import Process, demo_config, installed_with
from tests.enrollment.offices import portrait
from tests.fixtures.server import PASSWORD
from tests.workspaces import open_workspace

OFF = (
    # each window would load the suggestions of its address bar, two pages of the browser's own
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    # as Playwright wants it: the last list that a browser is given replaces those before
    *("AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades"),
    *("LensOverlay", "MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints"),
    *("PaintHolding", "PreconnectToSearch", "ThirdPartyStoragePartitioning"),
)
"""Features of the browser that no page needs."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    # else the processor draws as a graphics card would, which takes it longer
    "--disable-gpu",
    f"--disable-features={','.join(OFF)}",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
WAIT_MS = 120_000
"""A bound for a machine that is busy; what is waited for is a condition, and comes sooner."""

STREAMS = ("/events", "/preview")
"""How requests end whose answers go on for minutes."""

SETS = frozenset({"default", "demo"})
"""What the site has of models and pictures."""

PORTS = range(20_000, 32_000)
FPS = 5
"""Pictures a second: enough for decisions, a third of what a gate looks at by default."""

PEOPLE = (
    ("Ada", "Byron", "A-1", "Mathematics"),
    ("Émile", "Zátopek", "Z-7", "Running"),
    ("Grace", "Hopper", "H-9", "Navy"),
)


@dataclass
class Site:
    """A running gate. accounts: the-ROLE with PASSWORD; token: of its kiosk."""

    address: str
    process: Process
    config: Path
    token: str


@contextmanager
def running_site(folder: Path, *, killed: bool = False, more: str = "") -> Iterator[Site]:
    """Run the demo with accounts of all roles and some people.

    killed: the test ends it. more: sections of its configuration.

    Its port stays over the starts that settings need, which it tries for a second. It has no models
    for liveness: with that switched on it is not well.
    """
    program = installed_with(folder, require_assets(*SETS), SETS)
    config = demo_config(folder)
    text = config.read_text().replace("storage: {", "storage: {keep_stranger_pictures: true, ")
    text = text.replace(f"vision: {{assets_dir: {INSTALLED}}}\n", "")
    text = text.replace("source: demo", f"source: demo, fps: {FPS}")
    text = text.replace("port: 0", f"port: {free_port()}")
    text += "privacy: {unknown_faces_days: 3}\nsync: {trial_s: 1, take_over_within_s: 1}\n"
    text += "auth: {password_passes: 1, password_memory_kib: 64}\n"
    config.write_text(text + more)
    with open_workspace(load(config, {})) as workspace:
        accounts = Accounts.of(workspace)
        people = People.of(workspace)
        made = [
            done_by(
                "test",
                people.create,
                {"first_name": f, "last_name": n, "personnel_code": c, "department": d},
            )
            for f, n, c, d in PEOPLE
        ]
        for role in ("viewer", "operator", "admin", "auditor"):
            accounts.create(f"the-{role}", role, PASSWORD, actor="test")
        accounts.create("the-self", "self", PASSWORD, actor="test", person_id=made[0].id)
        _, token = done_by("test", Devices.of(workspace).add, "the-kiosk")
        _refuse_a_stranger(workspace)
    with Process("--config", config, program=program) as process:
        yield Site(address_of(process), process, config, token)
        assert killed or process.end() == 0


def free_port() -> int:
    """A port that nobody listens on, also not while the gate starts anew.

    It lies below those that the system gives to whoever asks for any.
    """
    for port in random.sample(PORTS, 100):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the gate does
            with suppress(OSError):
                free.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port is free")


def _refuse_a_stranger(workspace: Workspace) -> None:
    """Keep the picture of a stranger, as the gate does when one was refused."""
    path = workspace.files.save_image(portrait("biden"))
    with workspace.database.write() as session:
        snapshot_store.add(
            session,
            person_id=None,
            reason="no_match",
            gate_name="demo",
            visit=1,
            pad=None,
            path=path,
            taken_at=datetime.now(UTC),
        )


def address_of(process: Process) -> str:
    """Where a gate that has just started is reached."""
    line = process.wait_for("http://")
    return next(word for word in line.split() if word.startswith("http://"))


@contextmanager
def signed_in(site: Site, role: str = "admin") -> Iterator[httpx.Client]:
    """A client of the API with an account of the site."""
    with httpx.Client(base_url=site.address, trust_env=False, timeout=60) as client:
        given = {"username": f"the-{role}", "password": PASSWORD}
        token = client.post("/api/auth/login", json=given).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@dataclass
class Visitor:
    """One person at a browser: their page, and everything that a page must not do."""

    page: Any
    site: Site
    said: list[str] = field(default_factory=list)
    """Console messages and errors."""
    asked: list[str] = field(default_factory=list)
    """Requests that leave the host."""
    _loading: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self._listeners: dict[str, Callable[[Any], None]] = {
            "console": self._console,
            "pageerror": lambda error: self.said.append(str(error)),
            "request": self._request,
            "requestfinished": lambda request: self._loading.discard(request),
            "requestfailed": lambda request: self._loading.discard(request),
        }
        for event, listener in self._listeners.items():
            self.page.on(event, listener)

    def leave(self) -> None:
        """Listen to the page no more."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _console(self, message: Any) -> None:
        # the browser itself says each status from 400 up, and a connection that breaks
        if not message.text.startswith("Failed to load resource"):
            self.said.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.site.address, "data:", "blob:")):
            self.asked.append(request.url)
        if not urlsplit(request.url).path.endswith(STREAMS):
            self._loading.add(request)

    def goto(self, path: str = "") -> None:
        self._loading.clear()
        self.page.goto(f"{self.site.address}/ui/{path}")

    def sign_in(self, role: str, path: str = "") -> None:
        """Begin a session as the form does, which has tests of its own; wait for the screen."""
        given = {"username": f"the-{role}", "password": PASSWORD}
        begun = self.page.context.request.post(f"{self.site.address}/api/auth/sign-in", data=given)
        assert begun.ok, begun.text()
        self.goto(path)
        self.page.locator("nav.side, nav.tabs").first.wait_for(state="attached")

    def settle(self) -> None:
        """Wait until nothing is loading, also of what a list gets after its rows."""
        shown = "() => document.querySelector('h1') && !document.querySelector('.skeleton')"
        end = time.monotonic() + WAIT_MS / 1000
        self.page.wait_for_function(shown)
        while self._loading:
            assert time.monotonic() < end, [request.url for request in self._loading]
            self.page.wait_for_timeout(20)
            self.page.wait_for_function(shown)

    def tab_to(self, target: Any, most: int = 120) -> None:
        """Go to a control with the tabulator key alone; AssertionError when that leads nowhere."""
        target.wait_for(state="attached")
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if target.evaluate("el => el === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not reach {target}")


def require_browser() -> Any:
    """Playwright and Debian's Chromium; skips the test where one is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    return sync_api


def violations(page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its best practices, in one line each."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(script)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": tags}, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(options)", options)
    return [
        f"{v['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for v in found["violations"]
        for node in v["nodes"]
    ]
