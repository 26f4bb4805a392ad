"""Browser windows that tests have one after the other: a new one costs a second of processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.ui.site import Site, Visitor


class Windows:
    """Windows by how they were opened; one that is lent again knows nothing of who had it."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._idle: dict[str, list[Any]] = {}

    @contextmanager
    def visitor(self, site: Site, **options: Any) -> Iterator[Visitor]:
        """Lend a window of somebody's own; nothing may be said in a console, nor leave."""
        given = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        idle = self._idle.setdefault(repr(sorted(given.items())), [])
        page = idle.pop() if idle else self._browser.new_context(**given).new_page()
        visitor = Visitor(page, site)
        yield visitor  # after an error the window is not lent again
        if page.is_closed():
            page.context.close()
        else:
            _clear(page, site.address)
            idle.append(page)
        visitor.leave()
        assert (visitor.said, visitor.asked) == ([], [])


def _clear(page: Any, origin: str) -> None:
    """Leave the pages, and forget cookies, storage, routes and other tabs; files stay cached."""
    context = page.context
    for tab in context.pages:
        if tab != page:
            tab.close()
    page.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")
    page.mouse.move(0, 0)
    devtools = context.new_cdp_session(page)
    devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    devtools.detach()
    context.clear_cookies()
