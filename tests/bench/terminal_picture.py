"""Draws the terminal of the demo as an SVG: python -m tests.bench.terminal_picture docs/demo.svg"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.e2e.process import GATED, demo_config

COLUMNS = 118
SCENES = (b"Ctrl-C", b"GRANTED", b"DENIED")
# the fonts would be fetched from elsewhere
PLAIN = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def shown() -> str:
    """Run the demo on a terminal until somebody was denied; return what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        config = demo_config(Path(folder))
        leader, follower = pty.openpty()
        environ = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        command = [*GATED, "run", "--config", str(config)]
        with subprocess.Popen(command, stdout=follower, stderr=follower, env=environ) as gate:
            os.close(follower)
            text = b""
            while not all(scene in text for scene in SCENES):
                text += os.read(leader, 4096)
            gate.send_signal(signal.SIGINT)
            try:
                while more := os.read(leader, 4096):
                    text += more
            except OSError:  # the terminal is closed
                pass
    return text.decode().replace("\r\n", "\n")


def main() -> None:
    text = re.sub(r"\n{2,}", "\n", shown()).strip("\n")
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title="make run", code_format=PLAIN, unique_id="demo")
    Path(sys.argv[1]).write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE) + "\n")


if __name__ == "__main__":
    main()
