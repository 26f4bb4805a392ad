"""The pages of a hub: a real one, with gates invited and a revision that is rolled out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.config import load
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.e2e.process import Process
from tests.fixtures.server import PASSWORD
from tests.fleet.sync.test_down import hire
from tests.fleet.sync.test_edits import edged, olga_on
from tests.fleet.sync.world import World, hub_in
from tests.ui.site import Site, Visitor, address_of, violations
from tests.ui.windows import Windows

HUB = """
gate: {{name: head office, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
auth: {{password_passes: 1, password_memory_kib: 64}}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hub")
    config = folder / "hub.yaml"
    config.write_text(HUB.format(state=folder / "state"))
    with Workspace(load(config, {})) as workspace:
        Accounts.of(workspace).create("the-admin", "admin", PASSWORD, actor="test")
    with Process("--config", config) as process:
        yield Site(address_of(process), process, config, "")
        assert process.end() == 0


@pytest.fixture
def visitor(windows: Windows, hub: Site) -> Iterator[Visitor]:
    with windows.visitor(hub) as visitor:
        yield visitor


def _client(hub: Site) -> httpx.Client:
    client = httpx.Client(base_url=hub.address, trust_env=False, timeout=60)
    given = {"username": "the-admin", "password": PASSWORD}
    with httpx.Client(base_url=hub.address, trust_env=False, timeout=60) as first:
        token = first.post("/api/auth/login", json=given).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def test_a_gate_is_invited_and_its_code_is_shown_once(visitor: Visitor) -> None:
    visitor.sign_in("admin", "fleet")
    page = visitor.page
    page.get_by_text("No gate belongs to this hub yet.").wait_for()
    page.get_by_role("button", name="Add gate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("north")
    dialog.get_by_label("Site").fill("works")
    dialog.get_by_role("button", name="Add").click()
    code = page.get_by_role("dialog", name="Code for north")
    code.wait_for()
    assert violations(page) == []
    code.get_by_role("button", name="Close").click()
    visitor.goto("fleet")
    page.get_by_role("row").filter(has_text="north").get_by_text("Invited").wait_for()
    assert violations(page) == []


def test_a_roll_out_is_seen_and_taken_back(visitor: Visitor, hub: Site) -> None:
    with _client(hub) as client:
        settings = {"settings": {"door": {"held_open_s": 44}}}
        number = client.post("/api/fleet/configurations", json=settings).json()["id"]
        stages = {"configuration": number, "stages": [{"everyone": True}], "automatic": False}
        assert client.post("/api/fleet/rollouts", json=stages).status_code == 201
    visitor.sign_in("admin", "fleet")
    page = visitor.page
    page.get_by_role("button", name="Roll-outs").click()
    card = page.get_by_role("region", name=f"Revision {number}")
    card.get_by_text("everyone").wait_for()
    assert violations(page) == []
    card.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    card.get_by_text("Taken back", exact=True).wait_for()


def test_a_roll_out_is_begun_on_the_page(visitor: Visitor, hub: Site, tmp_path: Path) -> None:
    with _client(hub) as client:
        west = {"name": "west", "site": "works", "everyone": True}
        assert client.post("/api/fleet/gates", json=west).status_code == 201
    visitor.sign_in("admin", "fleet?view=rollouts")
    page = visitor.page
    page.get_by_role("button", name="Begin a roll-out").click()
    dialog = page.get_by_role("dialog", name="Begin a roll-out")
    begin = dialog.get_by_role("button", name="Begin a roll-out")
    dialog.get_by_label("Settings for the gates").fill("door:\n  held_open_s: soon\n")
    begin.click()
    alert = dialog.get_by_role("alert")
    alert.filter(has_text="Choose whom stage 1 reaches").wait_for()
    first = dialog.get_by_role("group", name="Stage 1")
    first.get_by_label("Site: works").check()
    begin.click()
    alert.filter(has_text="line 2: door.held_open_s: must be a number").wait_for()
    page.wait_for_function("el => el.getBoundingClientRect().top >= 0", arg=alert.element_handle())
    assert violations(page) == []
    file = tmp_path / "strict.yaml"
    file.write_text("# stricter\ndoor: {held_open_s: 46}\n")
    dialog.get_by_label("Take them from a file").set_input_files(file)
    dialog.get_by_label("What it is about").fill("stricter")
    dialog.get_by_label("Minutes").fill("2")
    dialog.get_by_label("Go on by itself").uncheck()
    begin.click()
    dialog.wait_for(state="detached")
    with _client(hub) as client:
        newest = client.get("/api/fleet/rollouts").json()[0]
        kept = client.get("/api/fleet/configurations").json()[0]
    assert kept["settings"] == {"door": {"held_open_s": 46}}
    assert (kept["note"], newest["configuration"]) == ("stricter", kept["id"])
    assert newest["stages"] == [
        {"gates": [], "sites": ["works"], "everyone": False},
        {"gates": [], "sites": [], "everyone": True},
    ]
    assert (newest["soak_s"], newest["automatic"]) == (120, False)
    card = page.get_by_role("region", name=f"Revision {kept['id']}")
    card.get_by_role("button", name="Halt").click()
    page.get_by_role("dialog").get_by_role("button", name="Halt").click()
    card.get_by_text("Halted", exact=True).wait_for()


def test_a_roll_out_goes_on_by_a_button_and_is_halted_by_another(
    visitor: Visitor, hub: Site
) -> None:
    with _client(hub) as client:
        settings = {"settings": {"door": {"held_open_s": 45}}}
        number = client.post("/api/fleet/configurations", json=settings).json()["id"]
        # the last stage, which nobody is in, would be done with by itself
        stages = [{"sites": ["works"]}, {"sites": ["yard"]}, {"everyone": True}]
        body = {"configuration": number, "stages": stages, "automatic": False}
        begun = client.post("/api/fleet/rollouts", json=body)
        assert begun.status_code == 201
    visitor.sign_in("admin", "fleet")
    page = visitor.page
    page.get_by_role("button", name="Roll-outs").click()
    card = page.get_by_role("region", name=f"Revision {number}")
    card.locator("li[aria-current=step]").get_by_text("works").wait_for()
    for button, seen in (
        ("Go on", card.locator("li[aria-current=step]").get_by_text("yard")),
        ("Halt", card.get_by_text("Halted", exact=True)),
    ):
        card.get_by_role("button", name=button).click()
        dialog = page.get_by_role("dialog", name=button)
        dialog.wait_for()
        assert violations(page) == []
        dialog.get_by_role("button", name=button).click()
        seen.wait_for()
    with _client(hub) as client:
        found = client.get(f"/api/fleet/rollouts/{begun.json()['id']}").json()
        assert (found["state"], found["stage"]) == ("halted", 2)


def test_an_edit_that_conflicts_is_compared_and_decided(windows: Windows, tmp_path: Path) -> None:
    """Made at a real gate by an operator of the hub, of somebody whom the hub changed since."""
    with hub_in(tmp_path, None) as running, ExitStack() as stack:
        services = running.services
        services.accounts.create("the-admin", "admin", PASSWORD, actor="test")
        person = hire(running.workspace)
        world = World(tmp_path, running, stack)
        olga_on(world)
        at = edged(world)
        at.change(person, last_name="Gates")
        at.send()
        done_by("test", People.of(running.workspace).update, person.id, {"last_name": "Hubs"})
        site = Site(running.url, None, tmp_path, "")  # type: ignore[arg-type]
        visitor = stack.enter_context(windows.visitor(site))
        visitor.sign_in("admin", "fleet")
        page = visitor.page
        page.get_by_role("button", name="Edits to decide").click()
        page.get_by_text("Changed here since").wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="What the gate wants").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("row", name="Last name Hubs Gates").wait_for()
        assert violations(page) == []
        dialog.get_by_role("button", name="Accept anyway").click()
        page.locator(".empty").wait_for()
        assert People.of(running.workspace).get(person.id).last_name == "Gates"


def test_the_receipt_of_an_erasure_is_looked_up(visitor: Visitor, hub: Site) -> None:
    person = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "A-1"}
    with _client(hub) as client:
        made = client.post("/api/persons", json=person).json()
        uid = client.delete(f"/api/persons/{made['id']}").json()["uid"]
    visitor.sign_in("admin", "fleet")
    page = visitor.page
    page.get_by_role("button", name="Edits to decide").click()
    page.locator(".empty").wait_for()
    page.get_by_role("button", name="Erasure receipts").click()
    page.get_by_label("Identifier").fill(uid)
    page.get_by_role("button", name="Look it up").click()
    page.get_by_role("region", name="Erasure receipts").get_by_text("Erased").first.wait_for()
    assert violations(page) == []
    page.get_by_label("Identifier").fill("nobody")
    page.get_by_role("button", name="Look it up").click()
    page.get_by_role("alert").filter(has_text="Not found").or_(
        page.get_by_role("alert")
    ).first.wait_for()
