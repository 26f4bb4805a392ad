"""The updater's parts that need no booted machine; the rest is tests/packaging/boot_package.sh."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from gated.update.updater import (
    GOING_BACK,
    INSTALLING,
    PREPARING,
    REFUSED,
    UPDATED,
    Refusal,
    Updater,
    UpdateState,
    _control_of,
    main,
    repack,
)

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="this machine has no dpkg")


@needs_dpkg
def test_an_installed_package_is_made_anew(tmp_path: Path) -> None:
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}\n", "hostname", "sed"],
        capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not installed:
        pytest.skip("no small package is installed")
    package = installed[0]
    repack(package, tmp_path / "package.deb")
    told = subprocess.run(
        ["dpkg-deb", "--field", tmp_path / "package.deb", "Package", "Version"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"Package: {package}" in told
    listed = subprocess.run(
        ["dpkg-deb", "--contents", tmp_path / "package.deb"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    files = subprocess.run(
        ["dpkg-query", "--listfiles", package], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for file in files:
        if Path(file).is_file():
            assert f".{file}" in listed


def test_what_dpkg_keeps_for_itself_is_left_out() -> None:
    status = (
        "Package: gated\nStatus: install ok installed\nVersion: 1\nConffiles:\n"
        " /etc/gated/gate.yaml 0123\nDescription: a gate\n of two lines\n"
    )
    assert _control_of(status) == "Package: gated\nVersion: 1\nDescription: a gate\n of two lines\n"


def test_a_changed_schema_is_seen_and_rows_are_not(tmp_path: Path) -> None:
    told = ("/nowhere", ("gated",), str(tmp_path))
    this = Updater(tmp_path, packages={"gated": told})
    this.state = UpdateState(PREPARING, "gated", "1", "2")
    with closing(sqlite3.connect(tmp_path / "attendance.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('1')"
        )
        before = this._schema()
        database.execute("CREATE TABLE more (id)")
        database.commit()
        after = this._schema()
        database.execute("INSERT INTO more VALUES (1)")
        database.commit()
        assert this._schema() == after != before
    assert this._schema() == after, "also when nobody has it open"


def test_nothing_was_changed_when_the_power_went_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state.json").write_text(
        json.dumps(asdict(UpdateState(PREPARING, "gated", "1", "2")))
    )
    assert Updater(tmp_path, tmp_path).resume() == 1
    assert "nothing was changed" in capsys.readouterr().out
    assert json.loads((tmp_path / "state.json").read_text())["phase"] == REFUSED


def test_what_a_later_version_keeps_of_its_update_hinders_no_way_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has gone back reads what the version after it has written."""
    state = {**asdict(UpdateState(PREPARING, "gated", "1", "2")), "written_later": True}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert Updater(tmp_path, tmp_path).resume() == 1
    assert "nothing was changed" in capsys.readouterr().out
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "state.json").write_text(json.dumps(state))
    kept = Updater(tmp_path)._kept()
    assert kept is not None
    assert (kept.old, kept.new) == ("1", "2")


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"phase": "x"}'])
def test_a_damaged_state_is_no_version_to_go_back_to(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "state.json").write_text(damaged)
    assert Updater(tmp_path)._kept() is None


def test_an_update_that_was_cut_off_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = json.dumps(asdict(UpdateState(INSTALLING, "gated", "1", "2")))
    (tmp_path / "state.json").write_text(state)
    assert Updater(tmp_path).install(tmp_path / "x.deb", argparse.Namespace()) == 1
    assert "resume" in capsys.readouterr().out
    assert (tmp_path / "state.json").read_text() == state


def test_a_file_has_to_be_named() -> None:
    with pytest.raises(SystemExit):
        main(["install"])


SYSTEMCTL = """#!/bin/sh
echo x >> {calls}
[ $(wc -l < {calls}) -gt 2 ] || exit 1
echo ActiveState=active; echo SubState=running; echo MainPID=7; echo NRestarts=0
"""


@contextmanager
def serving(*answers: bytes) -> Iterator[str]:
    """Give each request the next answer, and the last one again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                for n in itertools.count():
                    taken, _ = server.accept()
                    with taken:
                        taken.recv(65_536)
                        taken.sendall(answers[min(n, len(answers) - 1)])

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_new_version_is_watched_on_through_whatever_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when systemd itself does not answer at first, as while packages are installed."""
    fake = tmp_path / "systemctl"
    fake.write_text(SYSTEMCTL.format(calls=tmp_path / "calls"))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: "
    cut_off, a_list, deep = head + b"900\r\n\r\n{", head + b"2\r\n\r\n[]", b"[" * 5000
    well = head + b"2\r\n\r\n{}"
    answers = (cut_off, a_list, head + b"5000\r\n\r\n" + deep, b"no HTTP\r\n\r\n", well)
    with serving(*answers) as address:
        this = Updater(tmp_path, tmp_path, {"gated": ("/nowhere", ("gated",), str(tmp_path))})
        this.state = UpdateState(PREPARING, "gated", "1", "2", address=address)
        this.state.well_for_s, this.state.patience_s, this.look_s = 0.0, 30.0, 0.01
        assert this._watch() == 0
    assert this.state.phase == UPDATED


def test_a_full_disk_does_not_end_the_way_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "state.part").mkdir()  # nothing can be written there
    this = Updater(place, tmp_path)
    this.state = UpdateState(GOING_BACK, "gated", "1", "2")
    this._note(GOING_BACK)
    assert "cannot be written" in capsys.readouterr().out
    assert this._carry_out() == 1, "and nothing is begun that nobody would know of"
    assert this.state.phase == REFUSED


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_refuses_an_update_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "gated.deb"
    package.write_bytes(bytes(4 << 20))
    with small_disk(tmp_path / "place", "2m") as place:
        kept = place / "old"
        kept.mkdir()
        (kept / "package.deb").write_bytes(b"the version before")
        assert Updater(place, tmp_path).install(package, argparse.Namespace()) == 1
        said = capsys.readouterr().out
        assert f"nothing was changed: the disk is full ({place}/new.deb): make room" in said
        assert json.loads((place / "state.json").read_text())["phase"] == REFUSED
        assert (kept / "package.deb").read_bytes() == b"the version before"
        assert not (place / "new.deb").exists()


def test_the_disk_of_the_program_needs_room_as_well(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    told = ("/nowhere", (), str(state_dir))
    with small_disk(tmp_path / "opt", "5m") as program:
        this = Updater(tmp_path, tmp_path, {"gated": told}, program / "gated")
        this.state = UpdateState(PREPARING, "gated", "1", "2")
        (tmp_path / "new.deb").write_bytes(bytes(2 << 20))
        this._room()
        (tmp_path / "new.deb").write_bytes(bytes(3 << 20))
        with pytest.raises(Refusal, match=f"6 MB have to be free in {program}, and 5 are: make"):
            this._room()
