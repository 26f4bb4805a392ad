"""gated update."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from gated.errors import Refused, SourceError
from gated.update.package_signature import ENDING, KEYS, check_package, read_keys

UPDATER = Path("/usr/lib/gated/updater.py")
"""Of the installed package: it needs nothing of the program that it replaces."""
STATE = Path("/var/lib/gated-update/state.json")
UNIT = "gated-update"
LOOK_S = 1.0


@click.command("update")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--sha256", default="", help="What the file has to be, as the one who made it says.")
@click.option(
    "--signature",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Signature of the package.  [default: FILE.minisig]",
)
@click.option("--any-version", is_flag=True, help="Also an older one, or the same once more.")
@click.option("--back", is_flag=True, help="Put back the version from before the last update.")
@click.option(
    "--replace-data",
    is_flag=True,
    help="With --back: the data of then as well, where the newer version changed the database.",
)
@click.option(
    "--well-for",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    metavar="S",
    help="So long the new version has to be well, in seconds.",
)
def update(
    file: Path | None,
    sha256: str,
    signature: Path | None,
    any_version: bool,
    back: bool,
    replace_data: bool,
    well_for: float,
) -> int:
    """Install the Debian package FILE; if it is not well, the version of before comes back.

    Checks the package, keeps version, configuration and data, installs, and watches until door and
    API are well for a minute, as well as they were before. Else it puts the old version back, and
    its data if the database was changed, and says why. It works on when this terminal is closed,
    and after a power cut. Exit code 1 when the new version is not in place.

    Where /etc/gated/update.keys names makers (a line for each public key of minisign), only
    packages that one of them has signed are installed.

    \b
    Example: gated update gated_1.4.0_arm64.deb --sha256 9f86d081884c7d65...
    Example: gated update --back
    """
    if (file is None) != back:
        raise click.UsageError("a FILE, or --back")
    if os.geteuid() != 0:
        raise Refused(f"an update is root's: type sudo gated {shlex.join(sys.argv[1:])}")
    if not UPDATER.is_file() or not Path("/run/systemd/system").is_dir():
        raise Refused("this gated was not installed by its package, or systemd does not run here")
    words = ["back"]
    if file is not None:
        words = ["install", str(_there(file))]
        sha256 = _signed(file, signature, sha256)
    words += ["--sha256", sha256] if sha256 else []
    words += ["--any-version"] if any_version else []
    words += ["--replace-data"] if replace_data else []
    before = _written(STATE)
    # in a unit of its own: neither this terminal nor the gate's restart ends it
    copy = STATE.parent / "updater.py"
    STATE.parent.mkdir(mode=0o750, exist_ok=True)
    shutil.copyfile(UPDATER, copy)
    started = subprocess.run(  # noqa: S603
        ["/usr/bin/systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--property=Type=exec",
         "/usr/bin/python3", str(copy), *words, "--well-for", str(well_for)],
        capture_output=True, text=True,
    )  # fmt: skip
    if started.returncode != 0:
        raise Refused(f"the update cannot be started: {started.stderr.strip()}")
    return _follow(before, "came_back" if back else "updated")


def _there(file: Path) -> Path:
    if not file.is_file():
        raise SourceError(f"{file}: there is no such file")
    return file.absolute()


def _signed(file: Path, signature: Path | None, sha256: str) -> str:
    """Check the signature where one is needed; return the SHA-256 that the package has to have.

    The updater checks its own copy by it, so that nothing else can be put in place meanwhile.
    """
    keys = read_keys()
    if not keys:
        if signature is not None:
            raise Refused(f"whose signature? {KEYS} has no key of a maker")
        return sha256
    found = check_package(file, signature or file.with_name(file.name + ENDING), keys)
    if sha256 and sha256.lower() != found.sha256:
        raise Refused(f"{file} is not the one with this SHA-256")
    click.echo(f"signed by {found.signer}: {found.comment}")
    return found.sha256


def _follow(before: int | None, wanted: str) -> int:
    """Show the lines of the updater until it has ended; return 0 when it ended as wanted."""
    shown = 0
    while True:
        running = _is_running()
        state = state_since(before, STATE)
        for line in state.get("said", [])[shown:]:
            click.echo(line)
            shown += 1
        if not running:
            if not state:
                click.echo(f"see journalctl -u {UNIT}", err=True)
            return 0 if state.get("phase") == wanted else 1
        time.sleep(LOOK_S)


def _written(file: Path) -> int | None:
    """Return the time stamp of a file in nanoseconds; None where it is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def state_since(before: int | None, file: Path) -> dict[str, Any]:
    """Return the state of an update; empty while the file is still the one of the stamp `before`.

    Stamps are compared for equality alone: the clock may be set back during an update.
    """
    try:
        if _written(file) == before:
            return {}
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    except (OSError, ValueError):
        return {}


def _is_running() -> bool:
    state = subprocess.run(  # noqa: S603
        ["/usr/bin/systemctl", "show", UNIT, "--property=ActiveState", "--value"],
        capture_output=True, text=True,
    )  # fmt: skip
    return state.stdout.strip() in ("active", "activating", "deactivating", "reloading")
