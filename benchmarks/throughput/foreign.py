"""Foreign peers: each is a worker process under a Python that has it, measured turn by turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .turns import Turn

__all__ = ["Foreign", "PeerAbsent", "Worker"]

SCRIPT = Path(__file__).with_name("worker.py")

#: One thread, whatever library looks at it.
ONE_THREAD = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC", "PJRT_NPROC"), "1"
    ),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}


class PeerAbsent(OSError):
    """A peer cannot run here; the message says why."""


class Worker:
    """A process that runs when it is told to, and is a `Measure`."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the process and wait until it is ready.

        Raises:
            PeerAbsent: it ended instead; the message is the last line that it complained with.
        """
        self.folder = tempfile.TemporaryDirectory()  # a peer may litter the place where it runs
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as the process)
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True,
                cwd=self.folder.name, env={**os.environ, **ONE_THREAD},
            )  # fmt: skip
        except OSError as error:
            self.complaints.close()
            self.folder.cleanup()
            raise PeerAbsent(f"{command[0]} cannot be run: {error.strerror}") from error
        try:
            self.versions: dict[str, Any] = json.loads(self._answer())
        except BaseException:
            self.close()
            raise

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.complaints.seek(0)
            lines = self.complaints.read().strip().splitlines()
            raise PeerAbsent(lines[-1] if lines else "it ended without a word")
        return line

    def __call__(self, seconds: float) -> Turn:
        """Run for so many CPU-seconds.

        Raises:
            PeerAbsent: the process ended.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds!r}\n")
        self.process.stdin.flush()
        try:
            steps, cpu, wall = self._answer().split()
        except PeerAbsent as reason:
            raise PeerAbsent(f"a peer ended in the middle of the run: {reason}") from reason
        return Turn(int(steps), float(cpu), float(wall))

    def close(self) -> None:
        """End the process."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.complaints.close()
        self.folder.cleanup()

    def __enter__(self) -> Worker:
        """Return the worker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()


class Foreign:
    """Starts workers under the first of some Pythons that has the peer.

    Attributes:
        versions: of the peers that were found, by the peer's name.
    """

    def __init__(self, pythons: Sequence[str] | None = None) -> None:
        """Take the Pythons to look in, before our own; by default those of ``MUSICGYM_PEERS``."""
        given = os.environ.get("MUSICGYM_PEERS", "").split(os.pathsep)
        named = [str(p) for p in pythons] if pythons else [p for p in given if p]
        self.pythons = [*named, sys.executable]
        self.versions: dict[str, dict[str, Any]] = {}
        self._found: dict[str, str | PeerAbsent] = {}

    def worker(self, name: str, size: int) -> Worker:
        """Start a peer with so many environments.

        Raises:
            PeerAbsent: no Python has it; the message says what each one lacks.
        """
        known = self._found.get(name)
        if isinstance(known, PeerAbsent):
            raise known
        reasons = []
        for python in self.pythons if known is None else [known]:
            try:
                worker = Worker([python, str(SCRIPT), name, str(size)])
            except PeerAbsent as absent:
                reasons.append(str(absent))
                continue
            self._found[name], self.versions[name] = python, worker.versions
            return worker
        telling = [r for r in reasons if "No module named" not in r] or reasons
        missing = PeerAbsent(f"not installed: {telling[0]}")
        if known is None:
            self._found[name] = missing
        raise missing
