"""Installs another version of the package, watches it, and puts the old one back if it is not well.

Needs nothing but Python itself and Debian's tools, as the program that it replaces may be broken:
the package has it as /usr/lib/gated/updater.py, and it works from a copy of its own in a unit of
its own. What it is at stands in a file, so that it goes on after a power cut.

    /var/lib/gated-update/state.json   what it is at, and what it has said
                          new.deb      what is to be installed
                          old/         the version before: package, configuration, data (sealed)
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import http.client
import json
import os
import secrets
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

PLACE = Path("/var/lib/gated-update")
PROGRAM = Path("/opt/gated")
"""Where the package puts the new program beside the old one."""
UNIT = "gated-update-resume.service"
UNITS = Path("/etc/systemd/system")
Packages = Mapping[str, tuple[str, tuple[str, ...], str]]
PACKAGES: Packages = {
    "gated": ("/etc/gated/gate.yaml", ("gated", "gated-service"), "/var/lib/gated"),
    "gated-hub": ("/etc/gated/hub.yaml", ("gated-hub",), "/var/lib/gated-hub"),
}
"""Configuration, units and state directory of each package."""

WELL_FOR_S = 60.0
PATIENCE_S = 600.0
"""A small machine takes minutes to bring an old database to a new schema."""
LOOK_S = 2.0
LOCKED_S = 300.0
"""So long another dpkg or apt is waited for."""
MOST_ENDS = 5
"""So often a process of the new version may end by itself until nobody waits any longer."""
LONGEST_COMMAND_S = 3600.0
LARGEST_ANSWER = 1 << 20
MOST_RESUMES = 2
"""So often a power cut is believed; then it is the new version that ends the machine."""

# phases: what was true when the power went
PREPARING, INSTALLING, WATCHING, GOING_BACK = "preparing", "installing", "watching", "going_back"
UPDATED, CAME_BACK, REFUSED, LOST = "updated", "came_back", "refused", "lost"
DONE = (UPDATED, CAME_BACK, REFUSED, LOST)

RESUME = """\
# An update of gated was under way; this goes on with it after a power cut. It removes itself.
[Unit]
Description=Goes on with an update of gated
After=multi-user.target
ConditionPathExists={place}/state.json

[Service]
Type=exec
ExecStart=/usr/bin/python3 {place}/updater.py resume

[Install]
WantedBy=multi-user.target
"""


class Refusal(Exception):
    """The update cannot be done; nothing was changed."""


class StepFailed(Exception):
    """A step went wrong after something was changed."""


@dataclass
class UpdateState:
    """The stage of an update. problems and ready: of the version before, by which it is judged."""

    phase: str
    package: str
    old: str
    new: str
    problems: list[str] = field(default_factory=list)
    ready: bool = True
    address: str = ""
    schema: str = ""
    data_back: bool = False
    resumes: int = 0
    well_for_s: float = WELL_FOR_S
    patience_s: float = PATIENCE_S
    said: list[str] = field(default_factory=list)


def _state_in(file: Path) -> UpdateState:
    """Read a state; what a later version has put into it is passed over. OSError, ValueError."""
    stored = json.loads(file.read_text())
    if not isinstance(stored, dict):
        raise ValueError(f"{file} is damaged")
    try:
        return UpdateState(
            **{f.name: stored[f.name] for f in fields(UpdateState) if f.name in stored}
        )
    except TypeError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


class Updater:
    """One update, as root. place: where it keeps what it needs. units: of the administrator.

    program: where the package is installed.
    """

    def __init__(
        self,
        place: Path = PLACE,
        units: Path = UNITS,
        packages: Packages = PACKAGES,
        program: Path = PROGRAM,
    ) -> None:
        self.place = place
        self._program_folder = program
        self.resuming = units / UNIT
        self._packages = packages
        self.look_s = LOOK_S
        self.state = UpdateState(PREPARING, "", "", "")

    # --- what is asked for ----------------------------------------------------------------------

    def install(self, file: Path, wanted: argparse.Namespace) -> int:
        """Update to the package in a file; 0 when the new version is in place and well."""
        if (running := self._unfinished()) is not None:
            print(f"an update to {running} was cut off: python3 {self.place}/updater.py resume")
            return 1
        try:
            self._begin(file, wanted)
            self._prepare()
        except Refusal as error:
            return self._end(REFUSED, f"nothing was changed: {error}")
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return self._end(REFUSED, f"nothing was changed: {_why(error)}")
        return self._carry_out()

    def back(self, wanted: argparse.Namespace) -> int:
        """Put back the version that was in place before the last update."""
        kept = self._kept()
        if kept is None:
            print(f"there is no version before to go back to in {self.place}/old")
            return 1
        self.state = UpdateState(**{**asdict(kept), "said": [], "resumes": 0, "data_back": False})
        if self._schema() != kept.schema and not wanted.replace_data:
            return self._end(
                REFUSED,
                f"the database was changed for {self._installed()}: going back to {kept.old} puts "
                "the data of then in place, and sets aside what came since. To do that: "
                "--replace-data",
            )
        self._arm()
        return self._go_back("it was asked for")

    def resume(self) -> int:
        """Go on with an update that a power cut has ended."""
        self.state = _state_in(self.place / "state.json")
        if self.state.phase in DONE:
            return self._disarm()
        if self.state.phase == PREPARING:
            return self._end(REFUSED, "nothing was changed: the power was cut before")
        self.state.resumes += 1
        self._say("the power was cut: going on")
        if self.state.phase == WATCHING and self.state.resumes <= MOST_RESUMES:
            return self._watch()
        return self._go_back("the power was cut")

    # --- before anything is changed --------------------------------------------------------------

    def _begin(self, file: Path, wanted: argparse.Namespace) -> None:
        self.place.mkdir(mode=0o750, exist_ok=True)
        copy = self.place / "new.deb"
        shutil.copyfile(file, copy)
        field = _field_of(copy)
        package, version = field("Package"), field("Version")
        if package not in self._packages:
            raise Refusal(f"{file} is the package {package}, not gated or gated-hub")
        self.state = UpdateState(PREPARING, package, self._installed(package), version)
        self.state.well_for_s, self.state.patience_s = wanted.well_for, wanted.patience
        if wanted.sha256 and _sha256(copy) != wanted.sha256.lower():
            raise Refusal(f"{file} is not the one with this SHA-256")
        own = _output("dpkg", "--print-architecture")
        if field("Architecture") not in (own, "all"):
            raise Refusal(f"{file} is made for {field('Architecture')}, and this machine is {own}")
        if not self.state.old:
            raise Refusal(f"{package} is not installed: apt install {file}")
        newer = ["/usr/bin/dpkg", "--compare-versions", version, "gt", self.state.old]
        if not wanted.any_version and subprocess.run(newer).returncode != 0:  # noqa: S603
            raise Refusal(
                f"{version} is not newer than {self.state.old}, which is installed "
                "(--any-version installs it all the same)"
            )
        _quietly("dpkg-deb", "--fsys-tarfile", str(copy))  # to its end: it is whole

    def _prepare(self) -> None:
        """Note how the gate is, and keep version, configuration and data."""
        for unit in self._units:
            if _unit(unit)["ActiveState"] != "active":
                raise Refusal(f"{unit} does not run: an update is judged by what ran before")
        self._arm()
        self.state.address = self._address()
        self.state.problems, self.state.ready = self._health()
        self.state.schema = self._schema()
        self._room()
        old = self.place / "old"
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(mode=0o750)
        self._say(f"keeping {self.state.old} and its data")
        repack(self.state.package, old / "package.deb")
        shutil.copytree("/etc/gated", old / "etc", symlinks=True)
        self._back_up(old)
        (old / "state.json").write_text(json.dumps(asdict(self.state)))

    def _room(self) -> None:
        """Refuse before a disk is full: the old package, its data, and two programs at once.

        The version that is kept now goes only when there is room.
        """
        package = (self.place / "new.deb").stat().st_size
        kept = package + 2 * _tree_bytes(self._state_dir) - _tree_bytes(self.place / "old")
        needs: dict[int, tuple[Path, int]] = {}
        for folder, need in ((self.place, kept), (_there(self._program_folder), 2 * package)):
            first, before = needs.get(disk := folder.stat().st_dev, (folder, 0))
            needs[disk] = (first, before + need)
        for folder, need in needs.values():
            if (free := shutil.disk_usage(folder).free) < need:
                raise Refusal(
                    f"{need >> 20} MB have to be free in {folder}, and {free >> 20} are: make room "
                    "and begin again"
                )

    def _back_up(self, old: Path) -> None:
        # the copy of the data is sealed as every backup is; its key lies beside it, for root alone
        key = secrets.token_urlsafe(32)
        _private(old / "data.key", key.encode())
        with open(old / "data.backup", "wb", opener=_opener) as target:
            subprocess.run(  # noqa: S603
                self._gated("backup", "-", "--passphrase-file", "-"),
                input=key.encode(), stdout=target, stderr=subprocess.PIPE, check=True,
                timeout=LONGEST_COMMAND_S, env=self._environment(),
            )  # fmt: skip
            os.fsync(target.fileno())

    # --- the change ------------------------------------------------------------------------------

    def _carry_out(self) -> int:
        try:
            self._write_state(INSTALLING)  # after a power cut nothing else tells that it was begun
        except OSError as error:
            return self._end(REFUSED, f"nothing was changed: {_why(error)}")
        self._say(f"installing {self.state.new}")
        try:
            self._dpkg(self.place / "new.deb")
        except (StepFailed, OSError, subprocess.SubprocessError) as error:
            return self._go_back(_why(error))
        return self._watch()

    def _watch(self) -> int:
        self._note(WATCHING)
        self._say(f"watching {self.state.new} until it is well for {self.state.well_for_s:.0f} s")
        if (wrong := self._until_well()) is None:
            return self._end(UPDATED, f"{self.state.new} is in place and well")
        return self._go_back(wrong)

    def _go_back(self, why: str) -> int:
        """Put the old version in place, its configuration, and its data where they were changed."""
        self._note(GOING_BACK)
        self._say(f"going back to {self.state.old}: {why}")
        try:
            self._put_back()
            if (wrong := self._until_well()) is not None and not self.state.data_back:
                self._say(f"{self.state.old} is not well ({wrong}): its data come back, too")
                self._hold()
                self._restore_data()
                self._release()
                wrong = self._until_well()
        except (StepFailed, OSError, subprocess.SubprocessError, ValueError) as error:
            self._release()
            wrong = _why(error)
        if wrong is None:
            data = "its data" if self.state.data_back else "the data as they are"
            return self._end(CAME_BACK, f"{self.state.old} is in place again with {data}: {why}")
        return self._end(
            LOST, f"{self.state.old} was put back and is not well: {wrong}. See journalctl -u gated"
        )

    def _put_back(self) -> None:
        """Install the old package while no unit may start; then data, then start."""
        self._hold()
        self._dpkg(self.place / "old" / "package.deb")
        shutil.copytree(self.place / "old" / "etc", "/etc/gated", dirs_exist_ok=True, symlinks=True)
        shutil.chown("/etc/gated", group="gated")
        shutil.chown(self._config, group="gated")
        if self.state.data_back:
            pass  # a power cut came behind it
        elif self._schema() != self.state.schema or not self._takes_data():
            self._restore_data()
        self._release()

    def _restore_data(self) -> None:
        self._say("putting the data of before in place")
        old = self.place / "old"
        given = old / "data.backup"
        shutil.chown(self.place, group="gated")
        shutil.chown(old, group="gated")
        shutil.chown(given, group="gated")
        given.chmod(0o640)
        done = subprocess.run(  # noqa: S603
            self._gated(
                "restore", str(given), "--replace", "--passphrase-file", "-", "--reason",
                f"update to {self.state.new} undone",
            ),
            input=(old / "data.key").read_bytes(), capture_output=True,
            timeout=LONGEST_COMMAND_S, env=self._environment(),
        )  # fmt: skip
        if done.returncode != 0:
            raise StepFailed(f"the data cannot be restored: {_last(done.stderr)}")
        self.state.data_back = True
        self._note(self.state.phase)

    def _takes_data(self) -> bool:
        """Return whether the old program can use the database as it is now."""
        done = subprocess.run(  # noqa: S603
            self._gated("db", "upgrade"),
            capture_output=True, timeout=LONGEST_COMMAND_S, env=self._environment(),
        )  # fmt: skip
        return done.returncode == 0

    def _hold(self) -> None:
        """Stop the units, and let no installation script start them."""
        for unit in self._units:
            _run("systemctl", "mask", "--runtime", unit)
            _run("systemctl", "stop", unit)

    def _release(self) -> None:
        for unit in self._units:
            _run("systemctl", "unmask", "--runtime", unit)
        _run("systemctl", "daemon-reload")
        for unit in self._units:
            _run("systemctl", "reset-failed", unit)
            _run("systemctl", "start", "--no-block", unit)

    def _dpkg(self, package: Path) -> None:
        words = ["/usr/bin/dpkg", "--force-confdef", "--force-confold", "--install", str(package)]
        end = time.monotonic() + LOCKED_S
        while True:
            done = subprocess.run(  # noqa: S603
                words, capture_output=True, timeout=LONGEST_COMMAND_S, stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            )  # fmt: skip
            if done.returncode == 0:
                return
            # somebody else's apt is at work: it ends
            if b"locked by another process" not in done.stderr or time.monotonic() > end:
                raise StepFailed(f"dpkg: {_last(done.stderr)}")
            time.sleep(LOOK_S)

    # --- is it well? -----------------------------------------------------------------------------

    def _until_well(self) -> str | None:
        """Wait until all is well for some time without a break; else what was wrong last."""
        end = time.monotonic() + self.state.patience_s
        since: float | None = None
        runs: Sequence[str] = ()
        wrong = "it did not start"
        while time.monotonic() < end:
            now: Sequence[str] = ()
            try:
                found, ended, now = self._wrong(), self._ends(), self._runs()
            except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
                # systemd is busy while packages are installed: it is asked again
                found, ended = f"systemd does not answer: {_why(error)}", 0
            if ended >= MOST_ENDS:
                return f"it has ended {ended} times by itself: {found or wrong}"
            if found is None and now != runs:
                since, runs = time.monotonic(), now  # it has started, or started again
            if found is not None:
                since, wrong = None, found
                runs = ()
            elif since is not None and time.monotonic() - since >= self.state.well_for_s:
                return None
            time.sleep(self.look_s)
        return wrong

    def _wrong(self) -> str | None:
        for unit in self._units:
            shown = _unit(unit)
            if shown["ActiveState"] != "active":
                return f"{unit} is {shown['ActiveState']} ({shown['SubState']})"
        try:
            problems, ready = self._health()
        except (OSError, ValueError) as error:
            return f"its API does not answer: {error}"
        if new := sorted(set(problems) - set(self.state.problems)):
            return f"it has problems that were not there before: {', '.join(new)}"
        if self.state.ready and not ready:
            return "people cannot pass, or their log is not kept"
        return None

    def _runs(self) -> Sequence[str]:
        """Name the processes: another one was started since."""
        return [_unit(unit)["MainPID"] for unit in self._units]

    def _ends(self) -> int:
        """Count how often systemd had to start one of them again."""
        return max(int(_unit(unit).get("NRestarts") or 0) for unit in self._units)

    def _health(self) -> tuple[list[str], bool]:
        """Ask for the problems, and whether people can pass. Raises: OSError, ValueError."""
        if not self.state.address:
            return [], True
        _, shown = _ask(f"{self.state.address}/health")
        status, _ = _ask(f"{self.state.address}/health/ready")
        return [str(p) for p in shown.get("problems", [])], status == 200

    def _address(self) -> str:
        """The API as this machine reaches it; empty where there is none."""
        shown = json.loads(
            subprocess.run(  # noqa: S603
                [*self._program(), "check-config", self._config, "--json"],
                capture_output=True, check=True, timeout=120, env=self._environment(),
            ).stdout
        )["api"]  # fmt: skip
        if not shown["enabled"]:
            return ""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(shown["host"], shown["host"])  # noqa: S104
        scheme = "https" if shown["tls_certificate"] else "http"
        return f"{scheme}://{host}:{shown['port']}"

    def _schema(self) -> str:
        """A digest of the tables of SQLite; empty for a server, which the old program is asked."""
        file = self._state_dir / "attendance.db"
        if not file.is_file():
            return ""
        # without a log nobody has it open, and to read it none must be made
        log = file.with_name(f"{file.name}-wal").exists()
        how = "mode=rw" if log else "mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(f"file:{file}?{how}", uri=True, timeout=10)) as database:
                rows = database.execute(
                    "SELECT name, sql FROM sqlite_master ORDER BY name"
                ).fetchall()
                rows += database.execute("SELECT version_num FROM alembic_version").fetchall()
        except sqlite3.Error as error:
            return f"unreadable: {error}"
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    # --- small things ----------------------------------------------------------------------------

    @property
    def _config(self) -> str:
        return self._packages[self.state.package][0]

    @property
    def _units(self) -> tuple[str, ...]:
        return self._packages[self.state.package][1]

    @property
    def _state_dir(self) -> Path:
        return Path(self._packages[self.state.package][2])

    def _program(self) -> list[str]:
        return ["/usr/bin/gated"]

    def _gated(self, *words: str) -> list[str]:
        return [*self._program(), *words, "--config", self._config]

    def _environment(self) -> dict[str, str]:
        """The environment of the units: a hub has its database there."""
        found = {**os.environ, "LC_ALL": "C.UTF-8"}
        file = Path("/etc/gated/hub.env")
        if self.state.package == "gated-hub" and file.is_file():
            for line in file.read_text().splitlines():
                name, equals, value = line.strip().partition("=")
                if equals and not name.startswith("#"):
                    found[name] = value.strip("\"'")
        return found

    def _installed(self, package: str = "") -> str:
        done = subprocess.run(  # noqa: S603
            ["/usr/bin/dpkg-query", "-W", "-f", "${Version}", package or self.state.package],
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def _unfinished(self) -> str | None:
        try:
            shown = json.loads((self.place / "state.json").read_text())
        except (OSError, ValueError):
            return None
        return None if shown["phase"] in DONE or shown["phase"] == PREPARING else shown["new"]

    def _kept(self) -> UpdateState | None:
        try:
            return _state_in(self.place / "old" / "state.json")
        except (OSError, ValueError):
            return None

    def _arm(self) -> None:
        """Let the machine go on with this after a power cut."""
        if Path(__file__).resolve() != (self.place / "updater.py").resolve():
            shutil.copyfile(__file__, self.place / "updater.py")
        self.resuming.write_text(RESUME.format(place=self.place))
        self._note(self.state.phase)
        _run("systemctl", "daemon-reload")
        _run("systemctl", "enable", UNIT)
        os.sync()

    def _disarm(self) -> int:
        _run("systemctl", "disable", UNIT)
        self.resuming.unlink(missing_ok=True)
        _run("systemctl", "daemon-reload")
        return 0 if self.state.phase == UPDATED else 1

    def _end(self, phase: str, text: str) -> int:
        (self.place / "new.deb").unlink(missing_ok=True)
        self.state.phase = phase
        self._say(text)
        return self._disarm()

    def _say(self, text: str) -> None:
        self.state.said.append(text)
        self._note(self.state.phase)
        print(text, flush=True)

    def _note(self, phase: str) -> None:
        """Write the phase; an update that is under way goes on where the disk is full."""
        try:
            self._write_state(phase)
        except OSError as error:
            print(f"{self.place / 'state.json'} cannot be written: {_why(error)}", flush=True)

    def _write_state(self, phase: str) -> None:
        """Write the phase, durably, before it begins. Raises: OSError."""
        self.state.phase = phase
        self.place.mkdir(mode=0o750, exist_ok=True)
        path = self.place / "state.json"
        part = path.with_suffix(".part")
        with open(part, "w") as file:
            json.dump(asdict(self.state), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def repack(package: str, target: Path) -> None:
    """Make the package anew of what is installed of it, as dpkg-repack does. Raises: OSError."""
    info = Path("/var/lib/dpkg/info")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        root = Path(folder) / "root"
        for line in _output("dpkg-query", "--listfiles", package).splitlines():
            source = Path(line)
            copy = root / line.lstrip("/")
            if source.is_dir():  # also where /bin is a link to /usr/bin
                copy.mkdir(parents=True, exist_ok=True)
            elif source.exists() or source.is_symlink():
                copy.parent.mkdir(parents=True, exist_ok=True)
                _same(source, copy)
        scripts = root / "DEBIAN"
        scripts.mkdir()
        for name in ("conffiles", "preinst", "postinst", "prerm", "postrm", "triggers"):
            if (info / f"{package}.{name}").is_file():
                shutil.copy2(info / f"{package}.{name}", scripts / name)
        status = _output("dpkg-query", "--status", package)
        (scripts / "control").write_text(_control_of(status))
        _quietly("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target))


def _control_of(status: str) -> str:
    """Return the control file of an installed package, without the fields of dpkg itself."""
    kept, own = [], False
    for line in status.splitlines():
        if not line.startswith(" "):
            own = line.startswith(("Status:", "Conffiles:"))
        if not own:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _same(source: Path, copy: Path) -> None:
    """Link or copy a file."""
    if not source.is_symlink():
        try:
            os.link(source, copy)
            return
        except OSError:
            pass  # another file system
    shutil.copy2(source, copy, follow_symlinks=False)


def _field_of(deb: Path) -> Callable[[str], str]:
    return lambda name: _output("dpkg-deb", "--field", str(deb), name)


def _ask(url: str) -> tuple[int, dict[str, Any]]:
    # this machine's own service, by a certificate that it may have made itself
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:  # noqa: S310
            return answer.status, _object_in(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _object_in(error)
    except http.client.HTTPException as error:
        raise ValueError(f"its answer is cut off or malformed: {type(error).__name__}") from None


def _object_in(answer: IO[bytes]) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises: ValueError."""
    try:
        found = json.loads(answer.read(LARGEST_ANSWER))
    except (http.client.HTTPException, RecursionError) as error:
        raise ValueError(f"its answer is cut off or malformed: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise ValueError("its answer is no JSON object")
    return found


def _unit(name: str) -> dict[str, str]:
    wanted = "ActiveState,SubState,MainPID,NRestarts"
    shown = _output("systemctl", "show", name, "--property", wanted)
    return dict(line.split("=", 1) for line in shown.splitlines())


def _output(*words: str) -> str:
    return subprocess.run(  # noqa: S603
        words, capture_output=True, text=True, check=True, timeout=600
    ).stdout.strip()


def _quietly(*words: str) -> None:
    subprocess.run(  # noqa: S603
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=3600
    )


def _run(*words: str) -> None:
    """Run what may fail: what follows finds out."""
    subprocess.run(words, capture_output=True, timeout=300)  # noqa: S603


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{' '.join(map(str, error.cmd[:2]))}: {_last(error.stderr or b'')}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename2 or error.filename or PLACE
        return f"the disk is full ({where}): make room and begin again"
    return str(error)


def _there(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(f for f in (folder, *folder.parents) if f.exists())


def _last(said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason was given"


def _sha256(file: Path) -> str:
    with open(file, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _tree_bytes(folder: Path) -> int:
    """Return the bytes of all files; the gate runs, so that some may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += 0 if path.is_symlink() else path.lstat().st_size
    return total


def _private(path: Path, data: bytes) -> None:
    with open(path, "wb", opener=_opener) as file:
        file.write(data)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def main(words: Sequence[str] | None = None) -> int:
    """Run `install FILE`, `back` or `resume`."""
    parser = argparse.ArgumentParser(prog="updater")
    parser.add_argument("what", choices=["install", "back", "resume"])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--sha256", default="")
    parser.add_argument("--any-version", action="store_true")
    parser.add_argument("--replace-data", action="store_true")
    parser.add_argument("--well-for", type=float, default=WELL_FOR_S)
    parser.add_argument("--patience", type=float, default=PATIENCE_S)
    wanted = parser.parse_args(words)
    updater = Updater()
    if wanted.what == "resume":
        return updater.resume()
    if wanted.what == "back":
        return updater.back(wanted)
    if wanted.file is None:
        parser.error("which file?")
    return updater.install(wanted.file, wanted)


if __name__ == "__main__":
    sys.exit(main())
