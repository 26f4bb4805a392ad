"""gated assets, without a network."""

from __future__ import annotations

from pathlib import Path

from gated.vision.manifest import MANIFEST, YUNET
from tests.assets import require_assets
from tests.cli.conftest import Gated


def test_every_asset_is_listed(gated: Gated, config: Path) -> None:
    rows = gated("assets", "list", "--json", "--config", config).json
    assert [row["name"] for row in rows] == [asset.name for asset in MANIFEST]
    keys = {"name", "set", "present", "path", "verified", "licence", "source"}
    assert all(set(row) == keys for row in rows)
    told = gated("assets", "list", "--config", config).out
    for asset in MANIFEST:
        assert asset.name in told


def test_a_stick_installs_a_set(gated: Gated, config: Path, tmp_path: Path) -> None:
    store = require_assets("default")
    stick, target = tmp_path / "stick", tmp_path / "target"
    (stick / "deep").mkdir(parents=True)
    for number, asset in enumerate(a for a in MANIFEST if a.set == "default"):
        (stick / "deep" / f"{number}.bin").write_bytes(store.read(asset.name))
    install = ("assets", "install", "default", "--from", stick, "--into", target)
    first = gated(*install)
    assert first.code == 0
    assert first.out.count("taken from the directory") == 2
    assert (target / YUNET).read_bytes() == store.read(YUNET)
    assert gated(*install).out.count("is here already") == 2
    assert gated(*install, "--quiet").out == ""


def test_a_damaged_file_is_shown_and_put_right(gated: Gated, tmp_path: Path) -> None:
    store = require_assets("default")
    target = tmp_path / "target"
    target.mkdir()
    (target / YUNET).write_bytes(store.read(YUNET)[:1000])
    config = tmp_path / "gate.yaml"
    config.write_text(f"vision: {{assets_dir: {target}}}\nstorage: {{state_dir: state}}\n")
    source = tmp_path / "source"
    source.mkdir()
    for asset in MANIFEST:
        if asset.set == "default":
            (source / asset.name).write_bytes(store.read(asset.name))
    result = gated("assets", "install", "--from", source, "--into", target)
    assert result.code == 0
    assert (target / YUNET).read_bytes() == store.read(YUNET)


def test_a_set_that_is_not_there_is_named(gated: Gated) -> None:
    result = gated("assets", "install", "everything")
    assert result.code == 2
    assert "everything" in result.err
    assert "default, demo, pad" in result.err
