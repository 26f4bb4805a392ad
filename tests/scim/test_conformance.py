"""The service before a checker that others made: scim2-tester, with scim2-client and scim2-models.

It needs an environment of its own, as it brings models of its own:
`python3 -m venv DIR && DIR/bin/pip install --require-hashes -r tests/scim/checker.lock`, then
`GATED_SCIM_CHECKER=DIR/bin/python`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.scim.conftest import directory_of

CHECKER = os.environ.get("GATED_SCIM_CHECKER")
HERE = Path(__file__).parent / "conformance.py"

pytestmark = pytest.mark.skipif(
    CHECKER is None, reason="GATED_SCIM_CHECKER names no Python with scim2-tester"
)


@pytest.mark.parametrize(
    ("hub", "code"), [(False, "employeeNumber"), (True, "externalId")], ids=["gate", "hub"]
)
def test_every_check_of_others_is_passed(
    tmp_path: Path, request: pytest.FixtureRequest, hub: bool, code: str
) -> None:
    assert CHECKER is not None
    url = request.getfixturevalue("postgresql").migrated() if hub else None
    with directory_of(tmp_path, hub=hub, personnel_code=code, url=url) as directory:
        address = f"{directory.running.address}/scim/v2"
        run = subprocess.run(
            [CHECKER, str(HERE), address, directory.token],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        found: list[dict[str, Any]] = json.loads(run.stdout)
        wrong = [result for result in found if result["status"] not in ("SUCCESS", "SKIPPED")]
        assert wrong == []
        assert Counter(r["status"] for r in found)["SUCCESS"] > 60
        assert directory.admin.get("/api/persons").json() == []
