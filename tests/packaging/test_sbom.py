"""The bill of materials says all that an installation gets, with its hashes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from gated.vision.manifest import MANIFEST

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-gate.lock"


def made() -> str:
    command = [sys.executable, "packaging/sbom.py", str(LOCK)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made())
    return found


def test_every_package_of_the_lock_is_in_it_with_every_hash(bill: dict[str, Any]) -> None:
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", LOCK.read_text(), re.MULTILINE)
    libraries = [one for one in bill["components"] if one["type"] == "library"]
    assert [(one["name"], one["version"]) for one in libraries] == pinned
    hashes = re.findall(r"--hash=sha256:(\w+)", LOCK.read_text())
    assert [h["content"] for one in libraries for h in one["hashes"]] == hashes
    assert all(one["purl"].startswith("pkg:pypi/") for one in libraries)


def test_every_model_is_in_it_with_its_licence(bill: dict[str, Any]) -> None:
    models = {one["name"]: one for one in bill["components"] if one["type"] != "library"}
    assert models.keys() == {asset.name for asset in MANIFEST}
    for asset in MANIFEST:
        assert models[asset.name]["licenses"] == [{"license": {"name": asset.licence}}]


def test_it_is_well_formed_and_the_same_lock_gives_the_same(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    uuid.UUID(bill["serialNumber"].removeprefix("urn:uuid:"))
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(refs) == len(set(refs))
    (program,) = bill["dependencies"]
    assert program["ref"] == bill["metadata"]["component"]["bom-ref"]
    assert program["dependsOn"] == refs
    assert json.loads(made()) == bill
