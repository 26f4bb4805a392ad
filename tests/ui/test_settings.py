"""Settings are tried, kept or taken back: by a gate that no other test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gated.config import load
from tests.ui.site import Site, Visitor, running_site, signed_in, violations

pytestmark = pytest.mark.long  # the gate starts five times

Visit = Callable[..., Visitor]
LONG_MS = 180_000
"""For what begins with a start of the gate."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("settings")) as site:
        yield site


def test_a_setting_is_tried_and_kept(visit: Visit, site: Site) -> None:
    wanted = round(load(site.config, {}).door.held_open_s) + 7
    visitor = visit()
    page = visitor.page
    page.set_default_timeout(LONG_MS)
    _save_setting(visitor, "door.held_open_s", str(wanted))
    page.get_by_text("The new settings work and are written down.").wait_for()
    row = page.get_by_role("listitem").filter(has_text="door.held_open_s")
    row.get_by_text(str(wanted), exact=True).wait_for()
    assert violations(page) == []
    assert load(site.config, {}).door.held_open_s == wanted
    with signed_in(site) as client:
        kinds = [row["kind"] for row in client.get("/api/audit", params={"limit": 20}).json()]
    assert kinds.index("settings_accepted") < kinds.index("settings_changed")


def test_a_setting_with_which_the_gate_is_not_well_is_taken_back(visit: Visit, site: Site) -> None:
    before = site.config.read_text()
    visitor = visit()
    page = visitor.page
    page.set_default_timeout(LONG_MS)
    _save_setting(visitor, "liveness.level", "normal")
    refused = page.get_by_role("alert").filter(has_text="has taken it back")
    refused.get_by_text("Liveness cannot be told: its models are missing").wait_for()
    row = page.get_by_role("listitem").filter(has_text="liveness.level")
    row.get_by_text("off", exact=True).wait_for()
    assert violations(page) == []
    assert site.config.read_text() == before
    with signed_in(site) as client:
        assert client.get("/api/gate").json()["liveness"] == "off"


def _save_setting(visitor: Visitor, key: str, value: str) -> None:
    """Change a setting as an administrator does; the gate starts anew to try it."""
    visitor.sign_in("admin", "settings?view=gate")
    page = visitor.page
    page.get_by_role("searchbox").fill(key)
    page.get_by_role("button", name=f"Change: {key}").click()
    control = page.get_by_role("dialog").get_by_label("Value")
    if control.evaluate("el => el.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
