"""One gate and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ui.site import ARGS, CHROMIUM, Site, Visitor, require_browser, running_site


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    sync_api = require_browser()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Visitor]]:
    """Open a browser window of somebody's own; nothing may be said in a console, nor leave."""
    contexts, visitors = [], []

    def open_(**options: Any) -> Visitor:
        given = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        context = browser.new_context(**given)
        contexts.append(context)
        visitors.append(Visitor(context.new_page(), site))
        return visitors[-1]

    yield open_
    for context in contexts:
        context.close()
    assert [line for visitor in visitors for line in visitor.said] == []
    assert [url for visitor in visitors for url in visitor.asked] == []
