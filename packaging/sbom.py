"""Writes the bill of materials of a gate or hub: CycloneDX 1.5, from the lock and the model list.

    python packaging/sbom.py requirements-gate.lock > dist/gated.cdx.json

What the lock pins is what an installation gets; hashes are those that it is checked against. The
same lock gives the same file.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gated import __version__
from gated.vision.manifest import MANIFEST

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(?: ; ([^\\]+?))?(?: \\)?$")
_HASH = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})")


def packages(lock: Path) -> Iterator[dict[str, Any]]:
    """Yield a component for each package of a lock, with every hash that is accepted."""
    found: dict[str, Any] | None = None
    for line in lock.read_text().splitlines():
        if pin := _PIN.match(line):
            if found is not None:
                yield found
            name, version, marker = pin.groups()
            purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
            found = {"type": "library", "bom-ref": purl, "purl": purl, "hashes": []}
            found |= {"name": name, "version": version}
            if marker:
                found["scope"] = "optional"
                found["properties"] = [{"name": "gated:when", "value": marker.strip()}]
        elif (digest := _HASH.match(line)) and found is not None:
            found["hashes"].append({"alg": "SHA-256", "content": digest[1]})
    if found is not None:
        yield found


def models() -> Iterator[dict[str, Any]]:
    """Yield a component for each model or other file that is fetched, by its pinned hash."""
    for asset in sorted(MANIFEST, key=lambda a: a.name):
        yield {
            "type": "data" if asset.set == "demo" else "machine-learning-model",
            "bom-ref": f"asset:{asset.name}",
            "name": asset.name,
            "description": asset.source,
            "licenses": [{"license": {"name": asset.licence}}],
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in asset.sha256],
        }


def bill(lock: Path) -> dict[str, Any]:
    """Return the whole bill of one lock."""
    components = [*packages(lock), *models()]
    refs = [str(one["bom-ref"]) for one in components]
    program = f"pkg:generic/gated@{__version__}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, lock.read_text())}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": program,
                "name": "gated",
                "version": __version__,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": program, "dependsOn": refs}],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1])), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
