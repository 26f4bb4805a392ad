"""People from elsewhere, on the page: tokens for SCIM, and a directory that is read by LDAP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gated.accounts.accounts import Accounts
from gated.fleet.gate.config_trial import in_force
from gated.link.status_board import StatusBoard
from gated.people.people import People
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, serving
from tests.ldap import directories
from tests.ldap.directories import BASE, READER, slapd
from tests.ui.site import Site, violations
from tests.ui.windows import Windows
from tests.workspaces import open_workspace

FILE = """\
gate: {{name: works, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
auth: {{password_passes: 1, password_memory_kib: 64}}
privacy: {{require_consent: false}}
scim: {{enabled: true}}
"""
DIRECTORY = """\
directory:
  url: {url}
  base: {base}
  bind_dn: {reader}
  password_file: {password}
  ca_file: {ca}
"""
PAGE = "settings?view=directory"


@contextmanager
def hub_of(folder: Path, directory: str = "") -> Iterator[tuple[str, People]]:
    """Serve the pages of a hub, which needs no camera, with one person; its address."""
    file = folder / "gate.yaml"
    file.write_text(FILE.format(state=folder / "state") + directory)
    held = in_force(file, {})
    settings = held.settings
    with open_workspace(settings) as workspace:
        accounts, people = Accounts.of(workspace), People.of(workspace)
        accounts.create("the-admin", "admin", PASSWORD, actor="test")
        gone = {"first_name": "Only", "last_name": "Here", "personnel_code": "H-1"}
        done_by("test", people.create, gone)
        services = api_services(settings, workspace, accounts, StatusBoard(), held=held)
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield address, people
        services.enrollment_queue.close()


@contextmanager
def admin_at(windows: Windows, address: str) -> Iterator[Any]:
    """The page of the directory, opened by an administrator."""
    with windows.visitor(Site(address, None, Path(), "")) as visitor:  # type: ignore[arg-type]
        visitor.sign_in("admin", PAGE)
        yield visitor.page


def test_a_directory_gets_a_token_that_is_shown_once_and_revoked(
    windows: Windows, tmp_path: Path
) -> None:
    with hub_of(tmp_path) as (address, _), admin_at(windows, address) as page:
        page.get_by_text("No directory has a token.").wait_for()
        page.get_by_text("No such directory is set up here").wait_for()
        page.get_by_role("button", name="Add directory").click()
        page.get_by_role("dialog").get_by_label("Name").fill("entra")
        page.get_by_role("dialog").get_by_role("button", name="Add").click()
        shown = page.get_by_role("dialog", name="entra")
        token = shown.get_by_label("Token").input_value()
        assert shown.get_by_label("Address for the directory").input_value() == f"{address}/scim/v2"
        assert violations(page) == []
        shown.get_by_role("button", name="Close").click()
        page.get_by_role("listitem").filter(has_text="entra").wait_for()
        assert token not in page.content()
        assert _answer_to(address, token) == 200

        page.get_by_role("button", name="New token: entra").click()
        page.get_by_role("dialog").get_by_role("button", name="New token").click()
        page.get_by_role("dialog", name="entra").get_by_role("button", name="Close").click()
        assert _answer_to(address, token) == 401
        page.goto(f"{address}/ui/settings?view=devices")
        page.get_by_text("No devices yet.").wait_for()  # it is no kiosk
        page.goto(f"{address}/ui/{PAGE}")
        page.get_by_role("button", name="Remove: entra").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.get_by_text("No directory has a token.").wait_for()


def _answer_to(address: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{address}/scim/v2/Users", headers=headers, trust_env=False).status_code


def test_a_directory_is_tried_and_read(windows: Windows, tmp_path: Path) -> None:
    given = [
        {"cn": "ada", "givenName": "Ada", "sn": "Byron", "employeeNumber": "A-1"},
        {"cn": "nobody", "givenName": "No", "sn": "Number"},
    ]
    secret = tmp_path / "ldap.password"
    secret.write_text(directories.PASSWORD)
    with slapd(tmp_path / "ldap", given) as ldap:
        names = {"base": BASE, "reader": READER, "password": secret, "ca": ldap.ca_file}
        directory = DIRECTORY.format(url=ldap.url, **names)
        with hub_of(tmp_path, directory) as (address, people), admin_at(windows, address) as page:
            page.get_by_text("Not read since the gate began.").wait_for()
            page.get_by_role("button", name="Try it").click()
            run = page.get_by_role("region", name="Last run")
            run.get_by_text("It was tried: nothing was changed.").wait_for()
            run.get_by_text("Added (1)").click()
            run.get_by_text("A-1", exact=True).wait_for()
            run.get_by_text("Refused (1)").click()
            run.get_by_text("it has no employeeNumber").wait_for()
            run.get_by_text("Not in the directory (1)").click()
            run.get_by_text("H-1", exact=True).wait_for()
            assert violations(page) == []
            assert [p.personnel_code for p in people.list_()[0]] == ["H-1"]

            page.get_by_role("button", name="Read people now").click()
            page.get_by_role("dialog").get_by_role("button", name="Read people now").click()
            run.get_by_text("It was tried").wait_for(state="detached")
            run.get_by_text("Done", exact=True).wait_for()
            assert {p.personnel_code for p in people.list_()[0]} == {"H-1", "A-1"}
            page.reload()  # the last run is there for whoever comes later
            run.get_by_text("Added (1)").wait_for()
