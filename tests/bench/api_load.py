"""The API under load while the gate works: `python -m tests.bench.api_load [SECONDS]`.

A real gate in its demo, first left alone, then asked for lists a hundred times a second in an open
loop (a slow answer does not delay the next question). Prints the percentiles of the answers, timed
from when each question was due, and how long the gate took from the deciding frame to the decision
in both phases.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.e2e.process import Process, demo_config, gated

RATE = 100
PASSWORD = "Correct-horse-battery-9"
PEOPLE = 200


def main(seconds: float = 60.0) -> dict[str, float]:
    """Measure; returns what is printed."""
    with tempfile.TemporaryDirectory() as folder:
        config = demo_config(Path(folder))
        add = ("user", "add", "admin", "--role", "admin", "--password-stdin", "--config", config)
        gated(*add, stdin=PASSWORD + "\n").check_returncode()
        with Process("--config", config) as gate:
            address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
            assert address is not None
            gate.wait_for("GRANTED")
            return asyncio.run(measure(address[0], seconds))


async def measure(address: str, seconds: float) -> dict[str, float]:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=address, timeout=30, limits=limits) as client:
        form = {"username": "admin", "password": PASSWORD}
        token = (await client.post("/api/auth/login", data=form)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        for number in range(PEOPLE):
            body = {"first_name": "A", "last_name": "B", "personnel_code": f"P{number}"}
            (await client.post("/api/persons", json=body)).raise_for_status()
        start = time.time()
        await asyncio.sleep(seconds)
        alone = await latencies(client, start)
        start = time.time()
        answers = await ask(client, seconds)
        loaded = await latencies(client, start)
    ranked = sorted(answers)
    return {
        "requests": len(ranked),
        "p50_ms": round(statistics.median(ranked), 1),
        "p99_ms": round(ranked[int(0.99 * len(ranked))], 1),
        "max_ms": round(ranked[-1], 1),
        "decisions_alone": len(alone),
        "decisions_loaded": len(loaded),
        "decision_alone_ms": round(statistics.median(alone), 1),
        "decision_loaded_ms": round(statistics.median(loaded), 1),
        "decision_ratio": round(statistics.median(loaded) / statistics.median(alone), 2),
    }


async def ask(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """Milliseconds from when each question was due to its whole answer."""
    answers: list[float] = []
    paths = ("/api/persons?limit=50", "/api/attendance?limit=50", "/api/enrollment?limit=50")

    async def one(due: float, path: str) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        (await client.get(path)).raise_for_status()
        answers.append((time.perf_counter() - due) * 1000)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(round(RATE * seconds)):
            group.create_task(one(begin + number / RATE, paths[number % len(paths)]))
    return answers


async def latencies(client: httpx.AsyncClient, since: float) -> list[float]:
    """Milliseconds from the deciding frame to the decision, of the decisions since then."""
    decisions = (await client.get("/api/gate")).json()["decisions"]
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    return [d["frame_to_decision_ms"] for d in decisions if d["at"] >= moment]


if __name__ == "__main__":
    print(json.dumps(main(*(float(a) for a in sys.argv[1:])), indent=2))
