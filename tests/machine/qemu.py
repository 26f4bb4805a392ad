"""A virtual machine under QEMU, and the agent in it that does what is asked for."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

ANSWER_S = 120.0
"""So long the agent may need beyond what it was given, on a busy emulated machine."""
SLOWER = 8
"""An emulated machine needs so many times longer, on a busy processor."""
KVM = ["-M", "q35,accel=kvm", "-cpu", "host,-arch-capabilities"]
# an emulated processor with AVX ends numpy with SIGSEGV; a large buffer translates code once
EMULATED = ["-M", "q35", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "Nehalem"]
DISK, LAYER = "disk.img", "layer.qcow2"
"""The disk as it was made, and what runs have written over it, with its snapshots."""
SNAPSHOT_S = 300.0


class Refused(Exception):
    """The machine does not do what it should: what was asked, and what came."""


class Machine:
    """One machine: its disk, its watchdog, and the port to its agent."""

    def __init__(self, folder: Path, accelerated: bool) -> None:
        self.folder = folder
        self.accelerated = accelerated
        self.resets: list[str] = []
        self._numbers = itertools.count(1)
        self._answers: dict[int | str, dict[str, Any]] = {}
        self._answered = threading.Condition()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._monitor: socket.socket | None = None

    def start(self, snapshot: str = "") -> None:
        """Switch it on, or go on from a snapshot; `wait_up` returns when its agent answers."""
        if not snapshot:
            layer = ["-q", "-f", "qcow2", "-b", DISK, "-F", "raw", LAYER]
            subprocess.run(["qemu-img", "create", *layer], cwd=self.folder, check=True)
        ports = {name: self.folder / f"{name}.sock" for name in ("agent", "monitor")}
        for port in ports.values():
            port.unlink(missing_ok=True)
        # a busy machine lets an emulated one wait for seconds, which its kernel and its watchdog
        # would take for a fault
        slow = "emulated no_timer_check systemd.watchdog_sec=90"
        mode = "" if self.accelerated else slow
        command = [
            *("qemu-system-x86_64", *(KVM if self.accelerated else EMULATED)),
            *("-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-kernel", "vmlinuz", "-initrd", "initrd.img"),
            *(
                "-append",
                f"root=/dev/vda rw console=ttyS0 loglevel=4 panic=0 mitigations=off {mode}",
            ),
            *("-drive", f"file={LAYER},if=virtio,format=qcow2,cache=unsafe"),
            *("-device", "i6300esb", "-action", "watchdog=reset"),
            *("-device", "virtio-serial", "-device", "virtserialport,chardev=agent,name=machine"),
            *("-chardev", f"socket,id=agent,path={ports['agent']},server=on,wait=off"),
            *("-qmp", f"unix:{ports['monitor']},server=on,wait=off"),
            *("-serial", "file:serial.log"),
            *(("-loadvm", snapshot) if snapshot else ()),
        ]
        with (self.folder / "qemu.log").open("wb") as log:
            self._qemu = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._agent = self._connect(ports["agent"])
        self._monitor = self._connect(ports["monitor"])
        threading.Thread(target=self._listen, args=(self._agent,), daemon=True).start()
        threading.Thread(target=self._watch, args=(self._monitor,), daemon=True).start()
        self._monitor.sendall(b'{"execute": "qmp_capabilities"}\n')

    def stop(self) -> None:
        """Pull the plug."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        for port in (self._agent, self._monitor):
            if port is not None:
                port.close()

    def wait_up(self, timeout: float, boot: str = "") -> str:
        """Wait until the agent answers in another boot than that one; its boot id."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._qemu is not None and self._qemu.poll() is not None:
                raise Refused((self.folder / "qemu.log").read_text()[-2000:])
            with contextlib.suppress(Refused):
                found = self.ask("now", answer_s=3.0)["boot"].strip()
                if found != boot:
                    return str(found)
            time.sleep(0.5)
        raise Refused("the machine does not come up: " + self.console())

    def console(self) -> str:
        """The end of what its console shows."""
        return (self.folder / "serial.log").read_text(errors="replace")[-1500:]

    def reset(self) -> None:
        """As a short power cut: nothing in the machine hears of it."""
        self._tell("system_reset")

    def save(self, snapshot: str) -> None:
        """Keep memory and disk as they are now, under that name."""
        self._tell("human-monitor-command", **{"command-line": f"savevm {snapshot}"})

    def load(self, snapshot: str) -> str:
        """Go back to a snapshot; its boot id."""
        self._tell("human-monitor-command", **{"command-line": f"loadvm {snapshot}"})
        return self.wait_up(SNAPSHOT_S)

    def _tell(self, command: str, **arguments: Any) -> None:
        """Let QEMU do something; Refused when it does not."""
        number = f"monitor {next(self._numbers)}"
        line = json.dumps({"execute": command, "arguments": arguments, "id": number})
        assert self._monitor is not None
        self._monitor.sendall(line.encode() + b"\n")
        with self._answered:
            if not self._answered.wait_for(lambda: number in self._answers, SNAPSHOT_S):
                raise Refused(f"{command}: no answer of QEMU")
            said = self._answers.pop(number)
        if "error" in said or said.get("return"):
            raise Refused(f"{command}: {said.get('error') or said['return']}")

    def ask(self, what: str, answer_s: float = ANSWER_S, **given: Any) -> dict[str, Any]:
        """Let the agent do one thing; Refused when it cannot or does not answer in time."""
        number = next(self._numbers)
        line = json.dumps({"id": number, "do": what, **given}).encode() + b"\n"
        assert self._agent is not None
        self._agent.sendall(line)
        with self._answered:
            if not self._answered.wait_for(lambda: number in self._answers, answer_s):
                raise Refused(f"{what}: no answer")
            said = self._answers.pop(number)
        if "error" in said:
            raise Refused(f"{what} {given}: {said['error']}")
        return said

    def run(self, command: str, timeout: float = 120.0, check: bool = True) -> str:
        """Run a command of its shell as root; what it printed."""
        timeout *= 1 if self.accelerated else SLOWER
        said = self.ask("run", timeout + ANSWER_S, command=command, timeout=timeout)
        if check and said["code"] != 0:
            raise Refused(f"{command}: exit code {said['code']}: {said['out'][-2000:]}")
        return str(said["out"])

    def put(self, path: str, data: bytes) -> None:
        """Write a file."""
        self.ask("put", path=path, data=base64.b64encode(data).decode())

    def now(self) -> float:
        """The machine's monotonic clock."""
        return float(self.ask("now")["at"])

    def pull(self, pin: int, level: int) -> float:
        """Put an input to this level; when."""
        return float(self.ask("pull", pin=pin, level=level)["at"])

    def wait(
        self, pin: int, level: int | None, since: float, timeout: float = 60.0
    ) -> float | None:
        """When the pin first took the level after `since`; None if not within `timeout`."""
        asked = {"pin": pin, "level": level, "since": since, "timeout": timeout}
        at = self.ask("wait", timeout + ANSWER_S, **asked)["at"]
        return None if at is None else float(at)

    def pins(self, since: float) -> list[tuple[float, int, int | None]]:
        """What the pins did since then: (seconds, pin, level)."""
        return [(at, pin, level) for at, pin, level in self.ask("pins", since=since)["changes"]]

    @staticmethod
    def _connect(path: Path) -> socket.socket:
        for _ in range(200):
            port = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                port.connect(os.fspath(path))
                return port
            port.close()
            time.sleep(0.05)
        raise Refused(f"QEMU does not start: {(path.parent / 'qemu.log').read_text()[-2000:]}")

    def _listen(self, port: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for line in port.makefile("rb"):
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    with self._answered:
                        self._answers[said["id"]] = said
                        self._answered.notify_all()

    def _watch(self, port: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for line in port.makefile("rb"):
                said = json.loads(line)
                if "id" in said:
                    with self._answered:
                        self._answers[said["id"]] = said
                        self._answered.notify_all()
                if said.get("event") in {"WATCHDOG", "RESET"}:
                    self.resets.append(said["event"])


def started(folder: Path, boot_s: float, snapshot: str = "") -> tuple[Machine, str]:
    """A machine that has come up, accelerated where that works, and its boot id.

    snapshot: where it goes on; empty: it boots.
    """
    # on some machines /dev/kvm is there, and no guest comes up
    ways = [True, False] if os.access("/dev/kvm", os.W_OK) else [False]
    if os.environ.get("GATED_MACHINE_EMULATED"):
        ways = [False]
    for accelerated in ways:
        machine = Machine(folder, accelerated)
        try:
            machine.start(snapshot)
            return machine, machine.wait_up(min(boot_s, 40.0) if accelerated else boot_s)
        except Refused:
            machine.stop()
            if not accelerated:
                raise
    raise AssertionError


def missing() -> str:
    """What is missing on this machine for a virtual one; empty when nothing is."""
    if os.geteuid() != 0:
        return "needs root"
    programs = {
        "qemu-system-x86_64": "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "debootstrap": "debootstrap",
        "mke2fs": "e2fsprogs",
        "unshare": "util-linux",
        "dpkg-deb": "dpkg",
    }
    absent = [package for program, package in programs.items() if shutil.which(program) is None]
    return f"apt-get install {' '.join(absent)}" if absent else ""
