"""Cards that are held to the gate's own reader while an operator gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gated.devices.readers import swipe
from tests.ui.site import Site, Visitor, running_site

pytestmark = pytest.mark.long  # a gate of its own, with a reader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cards") / "reader"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, reader: Path) -> Iterator[Site]:
    more = f"credentials: {{reader: simulated, device: {reader}}}\n"
    with running_site(tmp_path_factory.mktemp("site"), more=more) as site:
        yield site


def test_a_card_is_given_by_holding_it_to_the_gate(
    visit: Callable[..., Visitor], reader: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in("operator", "people")
    page.get_by_role("link", name="Grace Hopper").click()
    page.get_by_role("button", name="Add credential").click()
    page.get_by_label("Kind").select_option("next")
    page.get_by_text("hold the card to the gate").wait_for()
    dialog = page.get_by_role("dialog")
    page.get_by_label("Label").fill("blue")
    dialog.get_by_role("button", name="Give").click()
    page.wait_for_timeout(1000)  # a card that comes before it is waited for is one for the door
    swipe(reader, "0063917428")
    page.get_by_role("listitem").filter(has_text="blue").wait_for()
    assert page.get_by_text("0063917428").count() == 0
