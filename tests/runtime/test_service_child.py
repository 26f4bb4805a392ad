"""The service as a child: why it cannot run is said by whoever has started it."""

from __future__ import annotations

import threading
from pathlib import Path

from gated.daemon.service_child import ServiceChild
from gated.errors import ConfigError
from gated.link.loop import end


def test_a_service_that_its_configuration_forbids_says_why_and_is_not_tried_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("gait: {name: north}\n")
    refused: list[ConfigError] = []
    done = threading.Event()

    def note(error: ConfigError) -> None:
        refused.append(error)
        done.set()

    child = ServiceChild(file, lambda: False, note, lambda name, error: done.set())
    child.start()
    assert done.wait(60)
    end(child)
    (error,) = refused
    assert "gate?" in str(error)
    assert child.process is None
