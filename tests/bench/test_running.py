"""The whole daemon is measured in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gated.bench.limits import limited
from gated.bench.running import INSTALLED_NICE, Running, measure_relay_and_load, spread
from gated.bench.site import Site, brisk_walk_ups, film
from gated.bench.walkups import walker_kit
from gated.enrollment.gallery_cache import open_gallery
from tests.assets import require_assets


@pytest.mark.long
def test_relay_and_load_are_measured_in_one_run(tmp_path: Path) -> None:
    assets = require_assets("default", "demo", "pad")
    with walker_kit(assets, 2) as kit:
        video = film(brisk_walk_ups(kit), tmp_path / "walk.avi")
        site = Site(tmp_path / "site", assets, {"source": str(video)})
        site.enroll_walkers(kit)
    said: list[str] = []
    found = measure_relay_and_load(site, 4.0, 1, said.append)
    assert len(said) == 2
    relay, load = found["relay"], found["load"]
    assert relay["grants"] >= 1
    assert relay["first_usable_ms"]["p50"] > relay["third_usable_ms"]["p50"] > 0
    assert load["requests"] == 400
    assert 0 < load["answer_ms"]["p50"] <= load["answer_ms"]["p99"] <= load["answer_ms"]["max"]
    assert min(load["decisions"]) >= 1
    assert load["decision_growth"] == pytest.approx(
        load["decision_loaded_ms"]["p50"] / load["decision_alone_ms"]["p50"]
    )


def test_ten_thousand_templates_are_there_at_the_next_start(tmp_path: Path) -> None:
    from gated.workspace import Workspace

    assets = require_assets("default", "demo", "pad")
    with walker_kit(assets, 2) as kit:
        site = Site(tmp_path / "site", assets, {"source": "demo"})
        site.add_templates(kit, 200)
        with Workspace(site.settings) as workspace:
            assert len(open_gallery(workspace, kit.model, kit.metric).load()) == 200


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_the_service_that_is_measured_has_the_share_of_its_unit(tmp_path: Path) -> None:
    weights = {0: 1024, 13: 56}  # sched_prio_to_weight of the kernel
    units = Path(__file__).parents[2] / "systemd"
    door, service = (
        int(re.findall(r"^CPUWeight=(\d+)$", (units / name).read_text(), re.MULTILINE)[0])
        for name in ("gated.service", "gated-service.service")
    )
    assert weights[INSTALLED_NICE] / weights[0] == pytest.approx(service / door, rel=0.1)
    site = Site(tmp_path / "site", require_assets("default", "demo", "pad"), {"source": "demo"})
    with Running(site) as gate:
        gate.wait_ready()
        gate.weigh_as_installed()
        nice = [os.getpriority(os.PRIO_PROCESS, pid) for pid in gate.processes]
    assert nice[0] == os.getpriority(os.PRIO_PROCESS, 0)
    assert nice[1:] == [INSTALLED_NICE]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_a_limited_process_gets_its_share() -> None:
    program = "import time\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            with limited(busy.pid, 0.2) as how:
                before, began = cpu_s(busy.pid), time.monotonic()
                time.sleep(1.0)
                share = (cpu_s(busy.pid) - before) / (time.monotonic() - began)
            assert how in {"cgroup", "signals"}
            assert share < 0.4
            before = cpu_s(busy.pid)
            time.sleep(0.3)
            assert cpu_s(busy.pid) > before, "it goes on afterwards"
        finally:
            busy.kill()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_quantiles_are_those_of_the_ranked_values() -> None:
    assert spread([float(n) for n in range(100, 0, -1)]) == {
        "p50": 50.5,
        "p95": 96.0,
        "p99": 100.0,
        "max": 100.0,
    }
    assert spread([]) == {}
