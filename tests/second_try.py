"""A plugin: who tries a test again meets nothing of the first try."""

from __future__ import annotations

import pytest
from pytest_rerunfailures import suspended_finalizers


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End what tests of a file or room share before a second try, which then makes it anew.

    The first one may have left anything behind: a person with a code that is taken, a lockdown, a
    page half-way. What ends badly fails the second try. The session's own is kept.
    """
    if getattr(item, "execution_count", 1) > 1:
        state = item.session._setupstate
        # the plugin has put them aside, to be ended after the last try
        state.stack.update(suspended_finalizers)
        suspended_finalizers.clear()
        state.teardown_exact(item.session)  # type: ignore[arg-type]
