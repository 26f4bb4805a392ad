"""Runs the checks of scim2-tester against a service; of its own environment (checker.lock).

`python conformance.py ADDRESS TOKEN` prints what was found as JSON: of each check its status and
its words.
"""

from __future__ import annotations

import json
import sys

import httpx2  # type: ignore[import-not-found]
from scim2_client.engines.httpx2 import SyncSCIMClient  # type: ignore[import-not-found]
from scim2_tester import check_server  # type: ignore[import-not-found]


def main(address: str, token: str) -> None:
    """Check the service and print what was found."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
        results = check_server(SyncSCIMClient(http))
    json.dump(
        [
            {"status": r.status.name, "title": r.title, "why": r.reason, "of": r.resource_type}
            for r in results
        ],
        sys.stdout,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
