"""The cluster of ``deploy/cluster.py`` for tests: a real munge, Slurm and sshd, as the user who runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from hub.clusters import Cluster, read

SCRIPT = Path(__file__).resolve().parents[1] / "deploy" / "cluster.py"


class OneMachine:
    """A running one-machine cluster below `folder`."""

    def __init__(self, folder: Path, namespaces: bool = False) -> None:
        self.folder = folder
        self.do("up", *(["--namespaces"] if namespaces else []), "--python", sys.executable)
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def do(self, action: str, *words: str) -> None:
        argv = [sys.executable, str(SCRIPT), action, str(self.folder), *words]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def described(self, **changes: Any) -> Cluster:
        """The description that the hub is given, with changes."""
        given = yaml.safe_load((self.folder / "demo.yaml").read_text())
        return read(given | {k: str(v) if isinstance(v, Path) else v for k, v in changes.items()})

    def ask(self, *argv: str) -> str:
        """What a command of Slurm says."""
        ran = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=60, env=os.environ | self.environment
        )
        return ran.stdout.strip()

    def resume(self) -> None:
        """Put nodes back to work, as staff do: who starts a job again drains the node that still has it."""
        if "drain" in self.ask("sinfo", "-h", "-N", "-o", "%T"):
            self.ask("scontrol", "update", "nodename=n1,n2", "state=resume")
