"""A directory switches somebody off while they walk up to a gate that runs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from tests.assets import require_assets
from tests.e2e.process import Process, add_accounts, demo_config

PASSWORD = "Correct-horse-battery-9"
OBEYS_WITHIN_S = 2.0


def test_who_was_let_in_is_refused_within_two_seconds(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    config.write_text(config.read_text() + "scim: {enabled: true}\n")
    add_accounts(config, PASSWORD, admin="admin")
    with Process("--config", config) as process:
        address = re.search(r"http://[0-9.:]+", process.wait_for("API"))
        assert address is not None
        with httpx.Client(base_url=address[0], timeout=20, trust_env=False) as client:
            form = {"username": "admin", "password": PASSWORD}
            admin = client.post("/api/auth/login", data=form).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {admin}"
            body = {"name": "directory", "role": "directory"}
            token = client.post("/api/devices", json=body).json()["token"]
            process.wait_for("GRANTED", "Obama")
            before = client.get("/api/gate").json()["gallery_stamp"]
            theirs = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
            (user,) = client.get("/scim/v2/Users", headers=theirs).json()["Resources"]
            off = {"Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
            began = time.monotonic()
            answer = client.patch(f"/scim/v2/Users/{user['id']}", json=off, headers=theirs)
            assert answer.json()["active"] is False, answer.text
            while client.get("/api/gate").json()["gallery_stamp"] == before:
                assert time.monotonic() - began < OBEYS_WITHIN_S, "the gate does not obey"
                time.sleep(0.02)
            obeyed = len(process.lines)
            process.wait_for("DENIED", "inactive")
            assert not any("GRANTED" in line for line in process.lines[obeyed + 1 :])
        assert process.end() == 0
