"""The pages as people use them: a real gate, a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gated.enrollment.models import INSTALLED
from gated.vision.decoding import decode
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config
from tests.enrollment.offices import portrait
from tests.fixtures.server import PASSWORD
from tests.ui.shots import PAGES
from tests.ui.site import (
    ARGS,
    CHROMIUM,
    FPS,
    WAIT_MS,
    Site,
    Visitor,
    address_of,
    signed_in,
    violations,
)

Visit = Callable[..., Visitor]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def test_a_wrong_password_is_said_and_a_right_one_leads_to_now(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.goto("people?q=hop")
    page.get_by_label("Name").fill("the-viewer")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").filter(has_text="Name or password is wrong").wait_for()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    # where they wanted to go, with what it was narrowed down to
    page.get_by_role("link", name="Grace Hopper").wait_for()
    assert page.get_by_role("link", name="Ada Byron").count() == 0


def test_what_is_not_normal_is_loud_on_every_page(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "people")
    visitor.page.get_by_role("alert").filter(has_text="Liveness is OFF").wait_for()


def test_decisions_and_the_picture_arrive_by_themselves(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    page = visitor.page
    page.get_by_text("Live", exact=True).wait_for()
    page.locator(".stream li").first.wait_for()
    page.locator(".stream button").first.click()
    page.get_by_role("dialog").get_by_text("Decided after").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_a_viewer_cannot_do_what_an_operator_can(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "now")
    page = visitor.page
    page.get_by_text("Your role does not see the camera.").wait_for()
    page.get_by_text("Door", exact=False).first.wait_for()
    for name in ("Open door", "Lockdown"):
        # a decision or event of that name is a button, too
        assert page.get_by_role("button", name=name, exact=True).count() == 0
    visitor.goto("people")
    page.get_by_role("link", name="Ada Byron").wait_for()
    assert page.get_by_role("checkbox").count() == 0
    assert page.get_by_role("button", name=re.compile("^Add")).count() == 0
    page.get_by_role("link", name="Ada Byron").click()
    page.get_by_role("heading", level=1, name="Ada Byron").wait_for()
    for name in ("Block", "Add photo", "Erase person", "Change"):
        assert page.get_by_role("button", name=name).count() == 0
    acts = (
        ("/api/gate/open", {"reason": "a reason"}),
        ("/api/persons/bulk", {"ids": [1], "act": "deactivate"}),
        ("/api/persons/bulk-erase", {"ids": [1], "count": 1}),
        ("/api/gate/unknown-faces", {"ids": [1], "act": "delete"}),
        ("/api/gate/unknown-faces/name", {"ids": [1], "person_id": 1}),
    )
    with signed_in(site, "viewer") as client:
        assert [client.post(path, json=body).status_code for path, body in acts] == [403] * 5


def test_search_forgives_accents_and_back_keeps_the_filter(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "people")
    page = visitor.page
    page.get_by_role("row", name="Ada Byron").get_by_text("Without photo").wait_for()
    page.get_by_role("searchbox").fill("zatop")
    page.get_by_text("1 person", exact=True).wait_for()
    page.get_by_role("link", name="Émile Zátopek").click()
    page.get_by_role("heading", level=1, name="Émile Zátopek").wait_for()
    page.go_back()
    page.get_by_text("1 person", exact=True).wait_for()
    assert page.get_by_role("searchbox").input_value() == "zatop"


def test_somebody_is_added_gets_a_photo_is_blocked_and_erased(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("admin", "people")
    page = visitor.page
    page.get_by_role("button", name="Add person").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("First name").fill("Joe")
    dialog.get_by_label("Last name").fill("Biden")
    dialog.get_by_label("Personnel code").fill("A-1")
    dialog.get_by_role("button", name="Add").click()
    dialog.get_by_role("alert").filter(
        has_text="has this personnel code"
    ).wait_for()  # taken: nothing typed is lost
    dialog.get_by_label("Personnel code").fill("J-46")
    dialog.get_by_role("button", name="Add").click()
    page.get_by_role("heading", level=1, name="Joe Biden").wait_for()

    page.get_by_role("button", name="Add photo").first.click()
    page.locator("#photo-file").set_input_files(INSTALLED / "obama2.jpg")
    page.get_by_text("This face is enrolled for somebody else").wait_for()
    page.locator("#photo-file").set_input_files(INSTALLED / "biden.jpg")
    page.get_by_text("Photo added").wait_for()
    page.get_by_role("dialog").get_by_text("One photo. A second one").wait_for()
    page.get_by_role("button", name="Done").click()
    page.get_by_role("img", name="Photo 1 of Joe Biden").wait_for()
    ways = page.get_by_role("group", name="Ways to add another photo")
    ways.get_by_role("button", name="From a file").click()
    page.locator("#photo-file").set_input_files(INSTALLED / "biden.jpg")
    page.get_by_text("This very photo was there already").wait_for()
    page.get_by_role("button", name="Done").click()
    page.get_by_text("One photo. A second one").wait_for()
    page.get_by_text("Would be let in").wait_for()

    page.get_by_role("button", name="Block", exact=True).click()
    page.get_by_text("Would be refused: blocked").wait_for()

    page.get_by_role("button", name="Erase person").click()
    page.get_by_label("Type J-46 to confirm").fill("J-46")
    page.get_by_role("dialog").get_by_role("button", name="Erase person").click()
    receipt = page.get_by_role("dialog", name="Receipt of the erasure")
    receipt.get_by_text("Fingerprint").wait_for()
    receipt.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Ada Byron").wait_for()
    assert page.get_by_role("link", name="Joe Biden").count() == 0


def test_several_people_are_chosen_blocked_and_erased_by_keyboard(visit: Visit, site: Site) -> None:
    with signed_in(site) as client:
        ids = [
            client.post(
                "/api/persons",
                json={"first_name": name, "last_name": "Several", "personnel_code": f"S-{name}"},
            ).json()["id"]
            for name in ("Una", "Duo", "Tria")
        ]
    visitor = visit()
    visitor.sign_in("admin", "people?q=several")
    page, press = visitor.page, visitor.page.keyboard.press
    page.get_by_role("link", name="Una Several").wait_for()
    visitor.tab_to(page.get_by_role("checkbox", name="Choose all shown"))
    press("Space")
    page.get_by_text("3 chosen").wait_for()
    visitor.tab_to(page.get_by_role("checkbox", name="Choose S-Tria"))
    press("Space")
    page.get_by_text("2 chosen").wait_for()

    page.get_by_role("searchbox").focus()
    visitor.tab_to(page.get_by_role("button", name="Block", exact=True))
    press("Enter")
    page.get_by_role("dialog", name="Block 2 people").wait_for()
    assert violations(page) == []
    visitor.tab_to(page.get_by_role("dialog").get_by_role("button", name="Block"))
    press("Enter")
    page.get_by_text("Done for 2 people.").wait_for()
    with signed_in(site) as client:
        active = [client.get(f"/api/persons/{i}").json()["is_active"] for i in ids]
        assert active == [False, False, True]
        assert client.delete(f"/api/persons/{ids[0]}").status_code == 200  # meanwhile, elsewhere

    for name in ("Una", "Duo"):
        page.get_by_role("checkbox", name=f"Choose S-{name}").check()
    page.get_by_role("button", name="Erase", exact=True).click()
    dialog = page.get_by_role("dialog", name="Erase 2 people")
    page.keyboard.type("3")
    press("Enter")
    dialog.get_by_text("That is not how many are chosen.").wait_for()
    assert violations(page) == []
    dialog.get_by_label("Type 2").fill("2")
    press("Enter")
    outcome = page.get_by_role("dialog", name="What came of it")
    outcome.get_by_role("region", name="Not done").get_by_text("Una Several").wait_for()
    outcome.get_by_role("region", name="Receipts").get_by_text("Duo Several").wait_for()
    assert violations(page) == []
    press("Escape")
    page.get_by_role("link", name="Duo Several").wait_for(state="detached")
    with signed_in(site) as client:
        assert [p["id"] for p in client.get("/api/persons?q=several").json()] == ids[2:]
        assert client.delete(f"/api/persons/{ids[2]}").status_code == 200


def test_a_lockdown_from_a_phone_until_a_time_ends_by_itself(visit: Visit, site: Site) -> None:
    visitor = visit(**PHONE)
    visitor.sign_in("operator", "now")
    page = visitor.page
    page.get_by_role("button", name="Lockdown", exact=True).tap()
    page.get_by_role("dialog").get_by_label("Reason").fill("somebody shouts")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    page.get_by_role("dialog").get_by_label("Until").fill(f"{tomorrow:%Y-%m-%dT18:00}")
    page.get_by_role("dialog").get_by_role("button", name="Lockdown").tap()
    alert = page.get_by_role("alert").filter(has_text="nobody is let in")
    alert.filter(has_text=re.compile("until .*18:00")).wait_for()
    assert page.get_by_role("button", name="Open door").is_disabled()
    with signed_in(site) as client:
        state = client.get("/api/gate").json()
        assert state["door_mode"] == "lockdown"
        assert state["door_mode_until"].startswith(f"{tomorrow:%Y-%m-%dT}")
        soon = {"until": (datetime.now(UTC) + timedelta(seconds=2)).isoformat()}
        sooner = {"mode": "lockdown", "reason": "it was a play", **soon}
        assert client.put("/api/gate/mode", json=sooner).status_code == 202
    page.get_by_role("button", name="Lockdown", exact=True).wait_for()
    alert.wait_for(state="detached")


def test_a_backup_is_made_taken_away_and_removed(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in("admin", "settings?view=backup")
    phrase, again = page.get_by_label("Passphrase of the backup"), page.get_by_label("again")
    phrase.fill("seven words that nobody guesses")
    again.fill("seven words that nobody guessed")
    make = page.get_by_role("button", name="Make a backup")
    make.click()
    page.get_by_role("alert").filter(has_text="differ").wait_for()
    again.fill("seven words that nobody guesses")
    make.click()
    page.get_by_text("is complete").wait_for()
    assert violations(page) == []
    kept = page.get_by_role("region", name="Backups on the gate").get_by_role("listitem")
    name = kept.get_by_role("strong").inner_text()
    page.get_by_text(re.compile(f"gated restore /.*/{name} --replace")).wait_for()
    with page.expect_download() as download:
        kept.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == name
    assert download.value.path().read_bytes().startswith(b"gated-backup/1")
    kept.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("The gate keeps no backup").wait_for()


def test_signing_out_ends_the_session_in_all_tabs(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "now")
    other = Visitor(visitor.page.context.new_page(), visitor.site)
    other.goto("people")
    other.page.get_by_role("link", name="Ada Byron").wait_for()
    visitor.page.get_by_role("button", name="Sign out").click()
    other.page.get_by_label("Password").wait_for()
    assert other.said == []


def test_a_session_that_ends_asks_over_the_page_and_loses_nothing(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "people")
    page = visitor.page
    page.get_by_role("button", name="Add person").click()
    page.get_by_label("First name").fill("Nobody")
    page.get_by_label("Last name").fill("Special")
    page.get_by_label("Personnel code").fill("N-1")
    page.context.clear_cookies()
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    again = page.get_by_role("dialog", name=re.compile("Your session is over"))
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1, name="Nobody Special").wait_for()


@pytest.mark.long
def test_eight_tabs_share_one_stream_and_all_hear_of_decisions(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "now")
    tabs = [visitor] + [Visitor(visitor.page.context.new_page(), site) for _ in range(7)]
    for tab in tabs[1:]:
        tab.goto("now")
    for tab in tabs:
        tab.page.locator(".stream li").first.wait_for(timeout=2 * WAIT_MS)
    newest = ".stream li time >> nth=0"
    before = [tab.page.locator(newest).get_attribute("datetime") for tab in tabs]
    tabs[0].page.close()  # whichever tab holds the stream: another one goes on
    for tab, was in zip(tabs[1:], before[1:], strict=True):
        changed = "was => document.querySelector('.stream li time')?.dateTime !== was"
        tab.page.wait_for_function(changed, arg=was, timeout=2 * WAIT_MS)
        assert tab.said == []


@pytest.mark.long
def test_a_photo_is_taken_by_the_webcam_of_the_browser(
    browser: Any, site: Site, tmp_path: Path
) -> None:
    film = tmp_path / "webcam.mjpeg"
    film.write_bytes(_as_frame(portrait("biden")) * 30)
    fields = {"first_name": "Wera", "last_name": "Cam", "personnel_code": "W-1"}
    with signed_in(site) as client:
        person = client.post("/api/persons", json=fields).json()["id"]
    args = [*ARGS, f"--use-file-for-fake-video-capture={film}"]
    with browser.browser_type.launch(executable_path=CHROMIUM, args=args) as other:
        visitor = Visitor(other.new_page(locale="en-GB"), site)
        visitor.sign_in("operator", f"people/{person}")
        page = visitor.page
        page.get_by_role("button", name="Add photo").first.click()
        page.get_by_role("tab", name="This camera").click()
        page.get_by_role("button", name="Take the photo").click()
        page.get_by_text("Photo added").wait_for()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("turn your head a little").wait_for()
        page.get_by_role("button", name="Take another").click()
        # nobody has moved: it may be the very frame
        dialog.get_by_text("nearly the same").or_(dialog.get_by_text("very photo")).wait_for()
        assert (visitor.said, visitor.asked) == ([], [])
    with signed_in(site) as client:
        told = client.get(f"/api/persons/{person}").json()
        assert told["photo_advice"]["reason"] in ("one_photo", "nearly_same")
        assert client.delete(f"/api/persons/{person}").status_code == 200


def _as_frame(jpeg: bytes) -> bytes:
    """The middle of a portrait as a webcam sees it, 640 by 480."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    scale = max(640 / image.shape[1], 480 / image.shape[0])
    large = cv2.resize(image, None, fx=scale, fy=scale)
    left = (large.shape[1] - 640) // 2
    done, made = cv2.imencode(".jpg", large[:480, left : left + 640])
    assert done
    return made.tobytes()


def test_why_a_card_is_refused_is_said_in_the_language_of_the_page(
    visit: Visit, site: Site
) -> None:
    with signed_in(site) as client:
        (ada,) = client.get("/api/persons", params={"q": "A-1"}).json()
    visitor = visit()
    visitor.sign_in("operator", f"people/{ada['id']}?lang=fa")
    page = visitor.page
    page.get_by_role("button", name="افزودن", exact=True).click()
    page.locator("dialog [name=number]").fill("0000")
    page.locator("dialog [type=submit]").click()
    alert = page.get_by_role("alert").filter(has_text="حدس")
    alert.wait_for()
    said = re.sub(r"\([0-9a-f]{8}\)", "", alert.inner_text())  # the number of the request
    assert not re.search("[A-Za-z]", said), said


def test_what_an_import_refuses_is_said_in_the_language_of_the_page(visit: Visit) -> None:
    table = (
        "personnel_code,first_name,last_name,department,photo\r\n"
        ",Nobody,Here,,\r\n"
        "A-1,Ada,Byron,Physics,\r\n"
        "Z-7,Émile,Zátopek,Running,away.jpg\r\n"
    )
    visitor = visit()
    visitor.sign_in("operator", "people/import?lang=de")
    page = visitor.page
    file = page.locator("#import-file")
    file.set_input_files({"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK\3\4 half"})
    page.get_by_role("button", name="Importieren").click()
    page.get_by_role("alert").filter(has_text="keine vollständige ZIP-Datei").wait_for()
    page.get_by_role("button", name="Zurück").click()
    file.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": table.encode()})
    page.get_by_role("button", name="Importieren").click()
    mend = page.get_by_role("region", name="Zu beheben")
    mend.get_by_text("die Personalnummer fehlt").wait_for()
    mend.get_by_text("das Tor hat dies anders und lässt es so: Abteilung").wait_for()
    mend.get_by_text("away.jpg fehlt oder ist nicht lesbar").wait_for()
    assert violations(page) == []


def test_why_settings_are_refused_is_said_in_the_language_of_the_page(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("admin", "settings?view=gate&lang=de")
    page = visitor.page
    page.get_by_role("searchbox").fill("infra_red")
    page.get_by_role("button", name="Ändern: liveness.infra_red").click()
    page.locator("dialog [name=value]").select_option("challenge")
    page.locator("dialog [type=submit]").click()
    alert = page.get_by_role("alert").filter(has_text="Diese Einstellungen gehen nicht")
    alert.filter(has_text="liveness.infra_red: challenge verlangt Bewegungen").wait_for()
    assert "asks for movements" not in alert.inner_text()
    said = page.locator("dialog").inner_text()
    assert "Gesichter in Bildern ohne Farbe" in said
    assert "Faces in pictures" not in said
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("verdecktes objektiv")  # found by the words that are shown
    page.get_by_role("listitem").filter(has_text="camera.watch_view").wait_for()


@pytest.mark.parametrize("language", ["fa", "de"])
def test_a_language_reads_in_its_direction(visit: Visit, language: str) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "people")
    visitor.goto(f"people?lang={language}")
    visitor.page.get_by_role("link", name="Ada Byron").wait_for()
    html = visitor.page.locator("html")
    assert html.get_attribute("lang") == language
    assert html.get_attribute("dir") == ("rtl" if language == "fa" else "ltr")


@pytest.mark.parametrize(
    ("region", "zero"), [("fa-IR", "۰"), ("ar-EG", "٠"), ("ar-MA", "0"), ("de-DE", "0")]
)
def test_one_phrase_has_digits_of_one_kind(visit: Visit, region: str, zero: str) -> None:
    visitor = visit(locale=region)
    visitor.goto()
    visitor.page.locator("main.sign").wait_for()
    told = visitor.page.evaluate(
        """async () => {
          const app = document.querySelector("script[src*=app]").src;
          const i18n = await import(app.replace("app.js", "core/i18n.js"));
          return [
            i18n.duration(3900), i18n.clockOf("2026-11-29T08:05:00+01:00"), i18n.number(70),
            i18n.clock("2026-11-29T08:05:00Z"), i18n.day("2026-11-29"),
            i18n.moment("2026-11-29T08:05:00Z"),
          ];
        }"""
    )
    kinds = [{chr(ord(c) - int(c)) for c in text if c.isdecimal()} for text in told]
    assert kinds == [{zero}] * len(told), told


def test_a_date_is_said_in_the_calendar_of_the_page_beside_the_field(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer")
    page = visitor.page
    log = "attendance?view=log&from=2026-03-01&to=2026-03-21"
    visitor.goto(log)
    page.get_by_label("From").wait_for()
    assert page.locator(".said").count() == 0  # the browser writes it as the page does
    visitor.goto(f"{log}&lang=fa")
    page.get_by_text("۱۰ اسفند ۱۴۰۴", exact=True).wait_for()
    page.get_by_text("۱ فروردین ۱۴۰۵", exact=True).wait_for()
    page.locator("[name=to]").fill("2026-03-22")
    page.get_by_text("۲ فروردین ۱۴۰۵", exact=True).wait_for()
    assert violations(page) == []
    visitor.goto("attendance?view=months&month=2026-03&lang=fa")
    page.get_by_text("۱۰ اسفند ۱۴۰۴ – ۱۱ فروردین ۱۴۰۵", exact=True).wait_for()
    visitor.goto("attendance?view=day&day=2026-03-21&lang=ar")
    page.get_by_text("21 مارس 2026", exact=True).wait_for()


def test_what_would_make_a_photo_better_is_said_in_the_language_of_the_page(
    visit: Visit, site: Site
) -> None:
    fields = {"first_name": "Joe", "last_name": "Small", "personnel_code": "S-3"}
    with signed_in(site) as client:
        person = client.post("/api/persons", json=fields).json()["id"]
    image = decode((INSTALLED / "biden.jpg").read_bytes())
    small = cv2.resize(image, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)
    photo = cv2.imencode(".jpg", small)[1].tobytes()
    visitor = visit()
    visitor.sign_in("operator")
    page = visitor.page
    visitor.goto(f"people/{person}?lang=de")
    page.get_by_role("button", name="Foto hinzufügen").first.click()
    page.locator("#photo-file").set_input_files(
        {"name": "small.jpg", "mimeType": "image/jpeg", "buffer": photo}
    )
    page.get_by_text("Ein Foto aus der Nähe").wait_for()
    with signed_in(site) as client:
        assert client.delete(f"/api/persons/{person}").status_code == 200


def test_what_a_field_does_not_take_is_said_in_the_language_of_the_page(
    visit: Visit, site: Site
) -> None:
    with signed_in(site, "operator") as client:
        person = client.get("/api/persons", params={"q": "Z-7"}).json()[0]["id"]
    visitor = visit()
    visitor.sign_in("operator")
    page = visitor.page
    visitor.goto(f"people/{person}?lang=de")
    page.get_by_role("button", name="Bearbeiten").click()
    page.get_by_label("Telefon").fill("am Empfang")
    page.get_by_role("button", name="Speichern").click()
    said = "Telefon: hat nicht die Form, die hier nötig ist"
    page.get_by_role("alert").filter(has_text=said).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("region", name="Zutritt").get_by_role("button", name="Ändern").click()
    page.locator("[name=valid_from]").fill("2026-03-02T08:00")
    page.locator("[name=valid_until]").fill("2026-03-01T08:00")
    page.get_by_role("button", name="Speichern").click()
    page.get_by_role("alert").filter(has_text="muss nach dem Beginn enden").wait_for()
    assert page.get_by_text("body").count() == 0


@pytest.mark.parametrize(("scheme", "size"), [("light", {}), ("dark", PHONE)])
def test_axe_finds_nothing(visit: Visit, scheme: str, size: dict[str, Any]) -> None:
    visitor = visit(color_scheme=scheme, **size)
    visitor.goto()
    visitor.page.get_by_label("Password").wait_for()
    found = {"sign in": violations(visitor.page)}
    visitor.sign_in("admin")
    for name, path in PAGES.items():
        visitor.goto(path)
        visitor.settle()
        # at its end, where no row lies under the bar that a phone has at the bottom
        visitor.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        visitor.settle()
        found[name] = violations(visitor.page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_a_missing_exit_comes_first_and_is_put_down_with_a_reason(visit: Visit, site: Site) -> None:
    with signed_in(site) as client:
        ada = client.get("/api/persons", params={"q": "A-1"}).json()[0]["id"]
        entry = {"person_id": ada, "direction": "entry", "reason": "seen by the porter"}
        # Two days ago: an entry is a missing exit once it is older than the longest stay.
        day = (datetime.now(UTC) - timedelta(days=2)).date()
        at = f"{day}T08:30:00Z"
        assert client.post("/api/attendance", json={**entry, "created_at": at}).status_code == 201
        leave = {**entry, "direction": "exit"}
        out = f"{day}T08:40:00Z"
        assert client.post("/api/attendance", json={**leave, "created_at": out}).status_code == 201
        back = f"{day}T09:30:00Z"
        assert client.post("/api/attendance", json={**entry, "created_at": back}).status_code == 201
    visitor = visit()
    visitor.sign_in("operator", "attendance")
    page = visitor.page
    row = page.get_by_role("row").filter(has_text="Ada Byron")
    row.get_by_text("Exit missing").wait_for()
    row.get_by_role("button", name="Put it down").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("told by herself")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("Nothing has to be mended in these days.").wait_for()
    with signed_in(site) as client:
        newest = client.get("/api/attendance", params={"person_id": ada, "limit": 1}).json()[0]
    assert newest["direction"] == "exit"
    assert newest["person"]["name"] == "Ada Byron"


def test_who_came_late_stands_among_what_is_to_be_mended(visit: Visit, site: Site) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    with signed_in(site) as client:
        zoe = client.get("/api/persons", params={"q": "Z-7"}).json()[0]["id"]
        entry = {"person_id": zoe, "direction": "entry", "reason": "by hand"}
        for way, at in (("entry", "10:30"), ("exit", "11:00")):
            local = datetime.fromisoformat(f"{day}T{at}").astimezone()
            body = {**entry, "direction": way, "created_at": local.isoformat()}
            assert client.post("/api/attendance", json=body).status_code == 201
    visitor = visit()
    visitor.sign_in("operator", "rules?view=groups")
    page = visitor.page
    page.get_by_role("button", name="Add group").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Runners")
    dialog.get_by_label("Late after").fill("10:15")
    dialog.get_by_role("button", name="Add").click()
    page.get_by_text("Runners").wait_for()
    with signed_in(site) as client:
        (group,) = (g for g in client.get("/api/groups").json() if g["name"] == "Runners")
        assert client.put(f"/api/groups/{group['id']}/members/{zoe}").status_code == 204
    visitor.goto(f"attendance?from={day}&to={day}")
    row = page.get_by_role("row").filter(has_text="Zátopek")
    row.get_by_text("Late by 0 h 15 min").wait_for()
    visitor.goto("rules?view=groups")
    runners = page.get_by_role("listitem").filter(has_text="Runners")
    runners.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_label("Late after").fill("10:45")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_role("dialog").wait_for(state="detached")
    visitor.goto(f"attendance?from={day}&to={day}")
    page.get_by_text("Nothing has to be mended in these days.").wait_for()


def test_a_passage_is_corrected_in_the_week_of_its_person(visit: Visit, site: Site) -> None:
    with signed_in(site) as client:
        grace = client.get("/api/persons", params={"q": "H-9"}).json()[0]["id"]
        at = datetime.now(UTC) - timedelta(minutes=5)
        given = {"person_id": grace, "direction": "entry", "reason": "by hand"}
        body = {**given, "created_at": at.isoformat()}
        row = client.post("/api/attendance", json=body).json()["id"]
    visitor = visit()
    visitor.sign_in("operator", f"attendance/{grace}?week={at:%Y-%m-%d}")
    page = visitor.page
    page.get_by_role("heading", level=1, name="Grace Hopper").wait_for()
    page.get_by_text(re.compile(r"^\d corrections?$")).wait_for()
    page.get_by_role("button", name="Correct").first.click()
    page.get_by_label("It was no passage").check()
    page.get_by_role("dialog").get_by_label("Reason").fill("it was her twin")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_role("dialog").wait_for(state="detached")  # it says "no passage" as well
    page.get_by_text("no passage").wait_for()
    with signed_in(site) as client:
        assert client.get(f"/api/attendance/{row}").json()["versions"][-1]["status"] == "void"


def test_a_table_of_last_month_is_downloaded(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "attendance?view=months")
    with visitor.page.expect_download() as caught:
        visitor.page.get_by_role("link", name="Days as CSV").click()
    assert caught.value.suggested_filename == "days.csv"
    visitor.settle()


def test_a_week_is_typed_and_tried_for_somebody(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("admin", "rules?view=schedules")
    page = visitor.page
    page.get_by_role("button", name="Add hours").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("office")
    dialog.get_by_label("Sunday").fill("10:00-11:00")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("region", name="office").wait_for()
    with signed_in(site) as client:
        (week,) = [s for s in client.get("/api/access/schedules").json() if s["name"] == "office"]
    assert week["week"] == [["08:00-18:00"]] * 5 + [[], ["10:00-11:00"]]
    visitor.goto("rules?view=try")
    page.get_by_role("searchbox").fill("byron")
    page.get_by_role("radio", name=re.compile("Ada Byron")).wait_for()
    page.get_by_role("button", name="May this person pass then?").click()
    page.get_by_text("Would be let in").wait_for()


def test_an_account_is_added_and_switched_off(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("admin", "settings?view=accounts")
    page = visitor.page
    page.get_by_role("button", name="Add account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("the-porter")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Add").click()
    row = page.get_by_role("listitem").filter(has_text="the-porter")
    row.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_label("Status").select_option("false")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    row.get_by_text("Blocked").wait_for()
    row.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove the account").click()
    sure = page.get_by_role("dialog", name="Remove the account")
    sure.get_by_text("the-porter").wait_for()
    assert violations(page) == []
    sure.get_by_role("button", name="Remove the account").click()
    row.wait_for(state="detached")
    visitor.goto("settings?view=audit")
    page.get_by_role("row").filter(has_text="Account switched off").wait_for()


def test_what_the_gate_is_set_to_is_shown_and_what_may_not_be_is_refused(
    visit: Visit, site: Site
) -> None:
    visitor = visit()
    visitor.sign_in("admin", "settings?view=gate")
    page = visitor.page
    relay = page.get_by_role("listitem").filter(has_text="door.relay_pin")
    door = page.get_by_role("heading", name="door", exact=True)
    door.wait_for()
    assert relay.count() == 0  # folded by section, until one is opened
    door.click()
    relay.get_by_text("in the file").wait_for()
    page.get_by_role("searchbox").fill("unlock_s")
    page.get_by_role("listitem").filter(has_text="door.extended_unlock_s").wait_for()
    assert relay.count() == 0
    page.get_by_role("button", name="Change: door.unlock_s").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value").fill("120")  # longer than the longest release
    assert violations(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    with signed_in(site) as client:
        refused = client.put("/api/settings", json={"values": {"door": {"relay_pin": 4}}})
        assert (refused.status_code, refused.json()["code"]) == (422, "settings_refused")
        assert client.get("/api/settings/change").json()["state"] == "none"
    with signed_in(site, "operator") as client:
        assert client.get("/api/settings").status_code == 403


def test_the_log_is_checked_and_the_job_is_listed(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("admin", "settings?view=log")
    page = visitor.page
    page.get_by_role("button", name="Check the log").click()
    page.get_by_text("The log is whole.").wait_for()
    page.get_by_role("button", name="Jobs").click()
    row = page.get_by_role("listitem").filter(has_text="Check of the log").first
    row.get_by_text("Done").wait_for()
    row.get_by_text("the-admin").wait_for()


def test_the_page_draws_a_box_around_each_face(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    canvas = visitor.page.locator(".view canvas")
    canvas.and_(visitor.page.locator("[data-faces='1']")).wait_for(timeout=60_000)
    with (
        signed_in(site, "operator") as client,
        client.stream("GET", "/api/gate/preview", params={"boxes": "false"}) as stream,
    ):
        head = next(stream.iter_bytes()).partition(b"\r\n\r\n")[0].decode()
    assert re.search(r"X-Faces: \[(\[[\d.,-]+\],?)*\]", head)


def test_a_stranger_who_was_refused_is_named(visit: Visit, site: Site) -> None:
    with signed_in(site) as client:
        # the demo's stranger is refused again and again: six pictures of a face are shown
        faces = client.get("/api/gate/unknown-faces").json()["faces"]
        picture = max(face["id"] for face in faces if not face["deleted_at"])
    visitor = visit()
    visitor.sign_in("admin", "people")
    page = visitor.page
    page.get_by_role("link", name="Unknown faces").click()
    shown = page.locator(f"img[src*='/snapshots/{picture}/']")
    face = page.get_by_role("list", name="Unknown faces").get_by_role("listitem").filter(has=shown)
    face.get_by_role("button", name="Set aside").click()
    page.get_by_text("Set aside.").wait_for()
    page.get_by_role("button", name="Undo").click()
    face.get_by_role("button", name="Delete").click()
    page.get_by_text("For ten minutes it can be taken back.").wait_for()
    page.get_by_text("Deleted (").click()
    assert violations(page) == []
    page.get_by_role("button", name="Take back").click()

    face.get_by_role("button", name="Name", exact=True).click()
    dialog = page.get_by_role("dialog")
    named = (("First name", "Nia"), ("Last name", "Named"), ("Personnel code", "N-9"))
    for label, text in named:
        dialog.get_by_label(label).fill(text)
    assert violations(page) == []
    dialog.get_by_role("button", name="Enrol").click()
    page.get_by_text("Enrolled for Nia Named.").wait_for()
    page.get_by_role("link", name="Open person").click()
    page.get_by_role("img", name="Photo 1 of Nia Named").wait_for()
    page.get_by_text("Would be let in").wait_for()
    # a photo that does harm says why, and what to do
    with signed_in(site) as client:
        (nia,) = client.get("/api/persons", params={"q": "N-9"}).json()
        photo = client.get(f"/api/persons/{nia['id']}").json()["enrollments"][0]["id"]
        assert client.get(f"/api/persons/{nia['id']}/photo-doubts").json() == []
    other = {"id": 1, "uid": "", "personnel_code": "A-1", "name": "Ada Byron"}
    doubt = {"enrollment_id": photo, "reason": "other_person", "other": other}
    page.route("**/photo-doubts", lambda route: route.fulfill(json=[doubt]))
    page.reload()
    page.get_by_text("Resembles Ada Byron too much").wait_for()
    page.get_by_role("link", name="Ada Byron").wait_for()
    assert violations(page) == []
    with signed_in(site) as client:
        assert client.delete(f"/api/persons/{nia['id']}").status_code == 200


def test_strangers_are_offered_whom_they_resemble_and_poor_faces_left_out(
    visit: Visit, site: Site
) -> None:
    with signed_in(site) as client:
        (ada,) = client.get("/api/persons", params={"q": "A-1"}).json()
    face = {"id": 1, "taken_at": "2026-03-01T08:00:00Z", "gate_name": "demo", "ignored": False}
    face |= {"deleted_at": None}
    faces = [{**face, "group": "a", "problem": None}]
    faces += [{**face, "id": n, "group": f"b{n}", "problem": "too_dark"} for n in (2, 3)]
    alike = {"id": ada["id"], "name": "Ada Byron", "personnel_code": "A-1"}
    alike |= {"is_active": True, "likeness": "strong"}
    told = {"kept": True, "waiting": 0, "faces": faces}
    told["resembling"] = [{"group": "a", "people": [alike]}]
    told["alike"] = [("b2", "a"), ("a", "b3")]
    named: list[Any] = []
    acts: list[Any] = []

    def act(route: Any) -> None:
        if route.request.method == "POST":
            acts.append(route.request.post_data_json)
            route.fulfill(status=204)
        else:
            route.fulfill(json=told)

    def name(route: Any) -> None:
        named.append(route.request.post_data_json)
        route.fulfill(json={"enrolled": 1, "refused": []})

    visitor = visit()
    page = visitor.page
    page.route("**/thumbnail", lambda route: route.fulfill(status=404))
    page.route("**/api/gate/unknown-faces", act)
    page.route("**/api/gate/unknown-faces/name", name)
    visitor.sign_in("admin", "people/unknown")
    shown = page.get_by_role("list", name="Unknown faces").get_by_role("listitem")
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(shown).to_have_count(3)
    page.get_by_label("Only those good enough for a photo (without 2)").check()
    expect(shown).to_have_count(1)
    assert violations(page) == []
    page.get_by_label("Only those good enough for a photo (without 2)").uncheck()
    expect(shown).to_have_count(3)

    expect(shown.filter(has_text="Resembles: Ada Byron (much alike)")).to_have_count(1)
    shown.first.get_by_role("button", name="Name", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("First name")).to_have_count(0)
    dialog.get_by_role("button", name="Enrol").click()
    assert named == []  # nobody is chosen before somebody has looked
    dialog.get_by_role("radio", name="Somebody else").check()
    expect(dialog.get_by_label("First name")).to_be_visible()
    dialog.get_by_role("radio", name="Ada Byron").check()
    expect(dialog.get_by_label("First name")).to_have_count(0)
    assert violations(page) == []
    dialog.get_by_role("button", name="Enrol").click()
    page.get_by_text("Enrolled for Ada Byron.").wait_for()
    assert named == [{"ids": [1], "person_id": ada["id"]}]

    # what putting together would do is shown first, with the most similar others
    shown.first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Put together …").click()
    expect(dialog.get_by_role("list", name="Chosen faces")).to_contain_text("Ada Byron")
    others = dialog.get_by_role("list", name="Look alike, the most similar first")
    expect(others.get_by_role("listitem")).to_have_count(2)
    dialog.get_by_role("button", name="Put together").click()
    expect(dialog).to_contain_text("Choose another face to put together with it.")
    others.get_by_role("checkbox").first.check()
    expect(dialog).to_contain_text("All 2 pictures count as one face")
    expect(dialog).not_to_contain_text("Look twice.")
    others.get_by_role("checkbox").last.check()
    expect(dialog).to_contain_text("The gate does not find all of these alike. Look twice.")
    assert violations(page) == []
    dialog.get_by_role("button", name="Put together").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    assert acts == [{"ids": [1, 2, 3], "act": act} for act in ("merge", "unmerge")]


def test_a_decision_shows_the_picture_that_is_kept_of_it(visit: Visit, site: Site) -> None:
    with signed_in(site) as client:
        picture = client.get("/api/gate/snapshots").json()[-1]["id"]
    visitor = visit()

    def with_picture(route: Any) -> None:
        answer = route.fetch()
        told = answer.json()
        for decision in told["decisions"]:
            decision["snapshot_id"] = picture
        route.fulfill(response=answer, json=told)

    visitor.page.route("**/api/gate", with_picture)
    visitor.sign_in("operator", "now")
    page = visitor.page
    page.locator(".stream li img").first.wait_for()
    page.locator(".stream button").filter(has=page.locator("img")).first.click()
    shot = page.get_by_role("dialog").get_by_role("img", name="Picture of the decision")
    shot.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=shot.element_handle())


def test_somebody_sees_the_own_times_and_asks_for_a_correction(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("self")
    page = visitor.page
    page.get_by_role("heading", level=1, name="My times").wait_for()
    assert page.get_by_role("link", name="People").count() == 0
    page.get_by_role("button", name="A passage is missing").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("the gate was busy")
    page.get_by_role("dialog").get_by_role("button", name="Ask for it").click()
    page.get_by_text("Asked for.").wait_for()
    with signed_in(site, "operator") as client:
        asked = client.get("/api/correction-requests", params={"state": "open"}).json()
    assert [r["reason"] for r in asked] == ["the gate was busy"]
    with page.expect_download() as caught:
        page.get_by_role("link", name="Download my data").click()
    assert caught.value.suggested_filename == "my-data.zip"
    with signed_in(site, "self") as client:
        mine = client.get("/api/auth/me").json()["person_id"]
    with signed_in(site, "operator") as client:
        form = {"notice_version": "2026-1", "given_at": "2026-01-01", "method": "signed form"}
        assert client.put(f"/api/persons/{mine}/consent", json=form).status_code == 200
    page.reload()
    page.get_by_text("to the notice 2026-1").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Withdraw consent").click()
    page.get_by_role("dialog").get_by_role("button", name="Withdraw consent").click()
    page.get_by_text("You have not given consent. The office records it.").wait_for()
    page.route("**/api/me/consent", _with_a_notice)
    page.reload()
    page.get_by_role("button", name="Give consent").click()
    page.get_by_role("dialog").get_by_text("version 2026-2").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="I agree").click()
    # the gate itself names no notice, and takes no consent from elsewhere
    page.get_by_role("dialog").get_by_role("alert").wait_for()
    page.keyboard.press("Escape")
    guard = visit()
    guard.sign_in("operator", "attendance?view=requests")
    guard.page.get_by_role("listitem").filter(has_text="the gate was busy").get_by_role(
        "link", name="Ada Byron"
    ).wait_for()


def _with_a_notice(route: Any) -> None:
    if route.request.method != "GET":
        route.continue_()
        return
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "notice": "2026-2"})


def test_a_first_start_needs_no_terminal_but_for_its_code(browser: Any, tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    config.write_text(config.read_text().replace("source: demo", f"source: demo, fps: {FPS}"))
    with (
        Process("--config", config) as process,
        browser.new_context(locale="en-GB") as context,
    ):
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        address = address_of(process)
        shown = re.search(r"\w{4}(-\w{4}){3}", process.wait_for("with the code"))
        assert shown is not None
        page.goto(f"{address}/")
        for label, text in (
            ("One-time code", "AAAA-BBBB"),
            ("Name", "ada"),
            ("Password", PASSWORD),
        ):
            page.get_by_label(label).fill(text)
        page.get_by_role("button", name="Create and sign in").click()
        page.get_by_text("code is wrong").wait_for()
        page.get_by_label("One-time code").fill(shown[0].lower())
        page.get_by_role("button", name="Create and sign in").click()
        page.get_by_role("heading", level=1, name="Set up the gate").wait_for()
        page.get_by_role("link", name="Now").first.click()
        page.get_by_role("heading", level=1, name="Now").wait_for()
        page.get_by_role("listitem").filter(has_text="let in").first.wait_for()
        assert process.end() == 0
