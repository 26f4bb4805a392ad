from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gated.database.state_lock import StateLock, is_locked
from gated.errors import StateLocked


def test_two_programs_cannot_share_a_state_directory(tmp_path: Path) -> None:
    with (
        StateLock(tmp_path),
        pytest.raises(StateLocked, match=f"process {os.getpid()}"),
        StateLock(tmp_path),
    ):
        pass
    with StateLock(tmp_path):
        assert (tmp_path / "gated.lock").stat().st_mode & 0o777 == 0o600


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from gated.database.state_lock import StateLock\n"
        "with StateLock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(StateLocked, match=f"process {child.pid}"), StateLock(tmp_path):
            pass
        child.kill()
        child.wait()
    with StateLock(tmp_path):
        pass


def test_who_only_looks_whether_a_program_runs_stops_no_start(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        pass
    with (tmp_path / "gated.lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)  # as `is_locked` does
        end = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        end.start()
        with StateLock(tmp_path):
            assert is_locked(tmp_path)
        end.join()


def test_the_state_directory_is_made(tmp_path: Path) -> None:
    with StateLock(tmp_path / "new" / "state"):
        assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
