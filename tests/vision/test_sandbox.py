"""Decoding in a process without rights: the same pixels, and nothing to be had there."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from gated.errors import EnrollmentRefused, NoPicture, PictureTooLarge
from gated.vision.decode_worker import MEMORY_BYTES
from gated.vision.decoding import MAX_SIDE, decode
from gated.vision.sandbox import _result, decode_apart, decoders


def file_of(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(mode: str = "RGB", width: int = 90, height: int = 60) -> PIL.Image.Image:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    return PIL.Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("P", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "BMP", {}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("RGB", "TIFF", {"compression": "jpeg"}),
    ],
)
def test_the_pixels_are_those_of_decode(mode: str, kind: str, options: dict[str, str]) -> None:
    data = file_of(noise(mode), kind, **options)
    np.testing.assert_array_equal(decode_apart(data), decode(data))


def test_large_pictures_come_back_smaller() -> None:
    data = file_of(PIL.Image.new("RGB", (2 * MAX_SIDE, 300), "red"), "PNG")
    image = decode_apart(data)
    assert image.shape == (150, MAX_SIDE, 3)
    assert image[75, 100].tolist() == [0, 0, 255]


def test_refusals_come_back_as_they_are() -> None:
    with pytest.raises(NoPicture, match="a GIF file, and no JPEG, PNG"):
        decode_apart(b"GIF89a" + bytes(50))
    with pytest.raises(PictureTooLarge, match="40 megapixels"):
        decode_apart(file_of(PIL.Image.new("1", (8000, 5001)), "PNG"))
    with pytest.raises(EnrollmentRefused, match="cut off") as refusal:
        decode_apart(file_of(noise(), "JPEG")[:900])
    assert refusal.value.reason == "unreadable_image"


def test_a_process_that_takes_too_long_is_killed() -> None:
    decode_apart(file_of(noise(), "PNG"))
    began = time.monotonic()
    others = children()
    with pytest.raises(EnrollmentRefused, match="too much time"):
        decode_apart(file_of(PIL.Image.new("RGB", (6300, 6300)), "PNG"), deadline_s=0.05)
    assert time.monotonic() - began < 10
    assert children() <= others
    decode_apart(file_of(noise(), "PNG"))


def test_each_photo_has_a_process_of_its_own_from_one_helper() -> None:
    decoders.close()
    before = children()
    decode_apart(file_of(noise(), "PNG"))
    helper = children() - before
    assert len(helper) == 1
    for _ in range(3):
        decode_apart(file_of(noise(), "PNG"))
        assert children() - before == helper, "a photo's process ends with it, the helper stays"
    decoders.close()
    assert not children() & helper


def test_a_helper_that_was_killed_is_replaced() -> None:
    data = file_of(noise(), "PNG")
    decoders.close()
    before = children()
    decode_apart(data)
    for pid in children() - before:
        os.kill(int(pid), signal.SIGKILL)
    with pytest.raises(EnrollmentRefused, match="time or memory"):
        decode_apart(data)
    np.testing.assert_array_equal(decode_apart(data), decode(data))


def test_the_helper_ends_with_the_program() -> None:
    program = (
        "import os, sys\n"
        "from gated.vision import sandbox\n"
        "sandbox.decode_apart(sys.stdin.buffer.read())\n"
        "print(sandbox.decoders._helper[0].pid, flush=True)\n"
        "os._exit(0)\n"
    )
    words = [sys.executable, "-c", program]
    picture = file_of(noise(), "PNG")
    done = subprocess.run(words, input=picture, capture_output=True, timeout=60, check=True)
    helper, end = Path("/proc") / done.stdout.decode().strip(), time.monotonic() + 20
    while helper.exists() and "Z" not in (helper / "stat").read_text().split():
        assert time.monotonic() < end, "the helper has outlived the program"
        time.sleep(0.02)


RIGHTS = """
import os, resource, socket
from gated.vision.decode_worker import MEMORY_BYTES, give_up_rights
give_up_rights()
def fails(what, *args):
    try:
        what(*args)
    except (OSError, MemoryError, ValueError):
        return
    raise SystemExit(f"{what} is possible")
fails(open, "/etc/passwd")
fails(open, "/tmp/x", "w")
fails(socket.socket)
fails(os.pipe)
fails(os.dup, 1)
fails(bytearray, MEMORY_BYTES)
os.close(2)
fails(open, "/etc/passwd")
fails(resource.setrlimit, resource.RLIMIT_NOFILE, (9, 9))
print("nothing")
"""


def test_the_worker_can_open_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RIGHTS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("nothing\n", 0), done.stderr


MEASURE = """
import resource, sys
from gated.vision.sandbox import _start
import os, socket
helper, asked = _start()
pixels = os.memfd_create("pixels")
socket.send_fds(asked, [b"60"], [os.open(sys.argv[1], os.O_RDONLY), pixels])
assert asked.recv(64) == b"0", "it was not decoded"
asked.close()
helper.wait()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def test_as_many_pixels_as_may_be_fit_into_the_memory(tmp_path: Path) -> None:
    picture = PIL.Image.new("RGBA", (8000, 5000))
    (tmp_path / "photo").write_bytes(file_of(picture, "PNG", compress_level=1))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "photo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert 30 << 20 < int(done.stdout) < MEMORY_BYTES


def test_the_worker_inherits_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not Path("/proc/self/task").is_dir():
        pytest.skip("/proc is missing")
    monkeypatch.setenv("SECRET_KEY", "do-not-tell")
    before = children()
    data = file_of(PIL.Image.new("RGB", (6000, 6000)), "PNG")
    with (tmp_path / "open").open("w") as secret:
        secret.fileno()
        working = threading.Thread(target=decode_apart, args=(data,))
        working.start()
        seen = None
        while working.is_alive() and seen is None:
            seen = next((s for s in map(look, children() - before) if s), None)
            time.sleep(0.005)
        working.join(60)
    assert seen is not None, "the worker was never seen without rights"
    environment, files = seen
    assert b"SECRET" not in environment
    assert len(files) == 3
    assert not any("open" in f for f in files)


def children(of: str = "self") -> set[str]:
    """The processes that this one has started, and those that they have, as far as they run."""
    found: set[str] = set()
    for task in Path(f"/proc/{of}/task").glob("*/children"):
        with suppress(OSError):
            found |= set(task.read_text().split())
    return found.union(*(children(pid) for pid in found))


def look(pid: str) -> tuple[bytes, list[str]] | None:
    """Environment and open files of a worker that has given up its rights."""
    process = Path("/proc") / pid
    try:
        limits = (process / "limits").read_text()
        if not any(
            line.split()[3:5] == ["0", "0"] for line in limits.splitlines() if "Max open" in line
        ):
            return None
        files = [str(f.readlink()) for f in (process / "fd").iterdir()]
        return (process / "environ").read_bytes(), files
    except OSError:
        return None


REFUSED = b'{"refused": "EnrollmentRefused", "advice": "%s", "measured": {"faces": %s}}'


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[" * 4000,
        b'{"shape": [Infinity, 1, 3]}',
        b'{"shape": [1, 1, 3]}',
        REFUSED % (b"no", b"NaN"),
        REFUSED % (b"no", b"1e999"),
        REFUSED % (b"no", b"1" * 3000),
        REFUSED % (b"\\ud800", b"1"),
    ],
    ids=lambda said: said[:30].decode(),
)
def test_whatever_a_process_says_that_was_taken_over_is_an_ordinary_refusal(said: bytes) -> None:
    with os.fdopen(os.memfd_create("pixels"), "w+b", buffering=0) as pixels:
        pixels.write(said + b"\n")
        with pytest.raises(EnrollmentRefused) as refused:
            _result(pixels)
    assert "cannot be decoded" in refused.value.advice
    assert not refused.value.measured
