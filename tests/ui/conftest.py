"""One gate and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.ui.site import ARGS, CHROMIUM, Site, Visitor, require_browser, running_site
from tests.ui.windows import Windows


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


@pytest.fixture(scope="package")
def windows(browser: Any) -> Windows:
    return Windows(browser)


@pytest.fixture
def visit(windows: Windows, site: Site) -> Iterator[Callable[..., Visitor]]:
    """Open a browser window of somebody's own; nothing may be said in a console, nor leave."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(windows.visitor(site, **options))
