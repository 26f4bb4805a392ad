"""What root or somebody else types, with real users of the machine; run as root, in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from gated.cli.output import output_file
from gated.config import load
from gated.enrollment.models import INSTALLED
from gated.errors import ConfigError
from tests.assets import require_assets
from tests.cli.conftest import GATE
from tests.enrollment.offices import portrait

OWNER, OTHER = 64_123, 64_124
"""Users that own nothing else here."""

PROGRAM = Path(__file__).parents[2]
PATH = os.pathsep.join((str(PROGRAM), sysconfig.get_path("purelib")))


def as_user(user: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def public_python() -> str | None:
    """An interpreter of this version that another user can run the program with."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        # as root the library may be another one than the user would get
        where = "import os, sys; print(os.__file__)"
        known = subprocess.run([python, "-c", where], capture_output=True, text=True, check=False)
        library = known.stdout.strip()
        look = f"import click, gated.errors; open({library!r})"
        seen = subprocess.run(
            [*as_user(OWNER), python, "-c", look],
            cwd="/", env={"PYTHONPATH": PATH}, capture_output=True, check=False,
        )  # fmt: skip
        if library and seen.returncode == 0:
            return python
    return None


@dataclass(frozen=True)
class Site:
    """A gate whose data belongs to OWNER, in folders that everybody may look into."""

    folder: Path
    python: str

    @property
    def config(self) -> Path:
        return self.folder / "gate.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def private(self) -> Path:
        """Root's own folder."""
        return self.folder / "private"

    def gated(
        self,
        *words: str | Path,
        user: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root, or as another user, from root's own folder."""
        # the process that decodes photos knows no PYTHONPATH; a daemon may not read root's library
        is_command = user is None and "run" not in words
        before = [] if user is None else as_user(user)
        python = sys.executable if is_command else self.python
        clean = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG"}}
        return subprocess.run(
            [*before, python, "-m", "gated", *map(str, words)],
            cwd=cwd or self.private,
            env={**clean, "PYTHONPATH": PATH, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    def owners(self) -> set[int]:
        return {self.state.stat().st_uid} | {p.lstat().st_uid for p in self.state.rglob("*")}


@pytest.fixture
def site() -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("only root can be several users")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not here")
    python = public_python()
    if python is None:
        pytest.skip("Python or the program is where other users may not read it")
    folder = Path(tempfile.mkdtemp(prefix="gated-owner-"))
    site = Site(folder, python)
    try:
        folder.chmod(0o755)
        site.private.mkdir(mode=0o700)
        site.state.mkdir(mode=0o700)
        os.chown(site.state, OWNER, OWNER)
        text = GATE.format(assets=INSTALLED, state=site.state)
        site.config.write_text(text.replace("storage: {", "storage: {upload_dir: state/uploads, "))
        yield site
    finally:
        shutil.rmtree(folder)


def test_root_enrolls_a_photo_of_its_own_and_nothing_belongs_to_root(site: Site) -> None:
    require_assets("default", "demo")
    photo = site.private / "anna.jpg"
    photo.write_bytes(portrait("obama"))
    photo.chmod(0o600)
    done = site.gated("enroll", "E1", "anna.jpg", "--config", site.config)
    assert (done.returncode, done.stdout) == (0, "1 enrolled, 0 refused\n"), done.stderr
    assert list((site.state / "uploads" / "images").glob("*.sealed"))
    assert site.owners() == {OWNER}


def test_every_other_way_into_the_state_is_as_its_owner(site: Site) -> None:
    at = ("--config", site.config)
    table = site.private / "staff.csv"
    table.write_text("personnel_code,photo,first_name\nE1,,Anna\n,,Ben\n")
    table.chmod(0o600)
    site.gated("import", "staff.csv", "--failures", "mend.csv", *at)
    for words in (
        ("user", "setup-code"), ("journal", "verify"), ("doctor",), ("db", "upgrade"),
        ("tls", "self-signed", "localhost"), ("config", "show"), ("privacy", "apply"),
        ("door", "test", "--yes"), ("sync", "status"), ("access", "explain", "E1"),
    ):  # fmt: skip
        done = site.gated(*words, *at)
        assert "Traceback" not in done.stderr, done.stderr
        assert site.owners() == {OWNER}, words
    assert "E1" in site.gated("access", "explain", "E1", *at).stdout


def test_a_file_for_the_user_is_the_users(site: Site) -> None:
    at = ("--config", site.config)
    table = site.private / "staff.csv"
    table.write_text("personnel_code,photo,first_name\nE1,,Anna\n")
    assert site.gated("import", "staff.csv", *at).returncode == 0
    typed_by = {"SUDO_UID": str(OTHER), "SUDO_GID": str(OTHER)}
    done = site.gated("privacy", "export", "E1", "anna.zip", *at, env=typed_by)
    assert done.returncode == 0, done.stderr
    assert (site.private / "anna.zip").stat().st_uid == OTHER
    assert (site.private / "anna.zip").stat().st_mode & 0o077 == 0
    nobody = site.gated("privacy", "export", "E2", "nobody.zip", *at)
    assert nobody.returncode == 1
    assert site.owners() == {OWNER}


def test_a_run_as_root_is_the_owners_too_and_keeps_no_right(site: Site) -> None:
    require_assets("default", "demo")
    text = site.config.read_text()
    site.config.write_text(text + "api: {enabled: false}\n")
    done = site.gated("run", "--exit-after", "0", "--config", site.config)
    assert done.returncode == 0, done.stderr
    assert (site.state / "gated.lock").exists()
    assert site.owners() == {OWNER}


def test_somebody_else_is_told_what_to_type(site: Site) -> None:
    words = ("user", "list", "--config", str(site.config))
    done = site.gated(*words, user=OTHER, cwd=site.folder)
    assert done.returncode == 5
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"type sudo gated {' '.join(words)}" in done.stderr
    assert site.owners() == {OWNER}


def test_a_configuration_that_may_not_be_read_is_told_in_a_sentence(site: Site) -> None:
    site.config.chmod(0o600)
    done = site.gated("user", "list", "--config", site.config, user=OTHER, cwd=site.folder)
    assert done.returncode == 3
    assert done.stderr == "gated: gate.yaml: Permission denied: try it with sudo\n"


def test_a_working_directory_of_somebody_else_hurts_nobody(site: Site) -> None:
    (site.private / ".env").write_text("UPLOAD_DIR=elsewhere\n")
    done = site.gated("user", "list", user=OWNER, env={"GATED_CONFIG": str(site.config)})
    assert (done.returncode, done.stderr) == (0, "")
    without = site.gated("user", "list", user=OWNER)
    assert without.returncode in (3, 5)
    assert "Traceback" not in without.stderr


def test_root_that_may_not_change_users_says_so(site: Site) -> None:
    done = subprocess.run(
        [
            *("setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"),
            *(site.python, "-m", "gated", "user", "list", "--config", site.config),
        ],
        cwd=PROGRAM, env={"PYTHONPATH": PATH}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "which this process may not become" in done.stderr


def test_the_doctor_finds_what_root_has_left(site: Site) -> None:
    at = ("--config", site.config)
    assert site.gated("user", "setup-code", *at).returncode == 0
    left = site.state / "uploads" / "images" / "x.sealed"
    left.write_bytes(b"x")
    done = site.gated("doctor", *at)
    assert f"1 belong to another user than {site.state}, such as {left}" in done.stdout
    assert f"sudo chown -Rh {OWNER}:{OWNER} {site.state}" in done.stdout
    os.chown(left, OWNER, OWNER)
    left.chmod(0o644)
    assert "1 files are open to others" in site.gated("doctor", *at).stdout
    left.unlink()
    assert f"belong to user {OWNER} alone" in site.gated("doctor", *at).stdout


@pytest.mark.parametrize("content", [b"\xff\xfe", b"just words\n", b"UPLOAD_DIR='x\n", b"A\0=1\n"])
def test_an_odd_env_is_told_by_its_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gate.yaml").write_text("liveness: off\n")
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigError, match=r"\.env"):
        load(tmp_path / "gate.yaml", {})


def test_a_folder_called_env_is_none(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("liveness: off\n")
    (tmp_path / ".env").mkdir()
    load(tmp_path / "gate.yaml", {})


def test_a_working_directory_that_is_gone_is_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate.yaml").write_text("liveness: off\n")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    load(tmp_path / "gate.yaml", {})


def test_a_file_that_was_not_written_keeps_what_it_held(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("before")
    with output_file(old), output_file(new):
        pass
    assert old.read_text() == "before"
    assert not new.exists()
    with output_file(old) as file:
        assert file.write([b"n", b"ew"]) == 3
    assert old.read_text() == "new"
