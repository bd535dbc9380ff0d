"""The executor of clusters: the contract over every way and every scheduler, on a real Slurm and a real sshd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from executor import ExecutorContract
from one_machine import OneMachine

from hub.executor import Executor
from hub.remote import ClusterExecutor


class OnCluster(ExecutorContract):
    """One way to a cluster and one scheduler of it."""

    transport: str
    scheduler: str

    @pytest.fixture
    def executor(self, tmp_path: Path, one_machine: OneMachine) -> Iterator[Executor]:
        cluster = one_machine.described(
            transport=self.transport, scheduler=self.scheduler, scratch=one_machine.folder / "scratch"
        )
        executor = ClusterExecutor(cluster, tmp_path / "home", interval=0.4)
        yield executor
        executor.close()


class TestLocalShellAlone(OnCluster):
    transport, scheduler = "local", "none"


class TestLocalShellSlurm(OnCluster):
    transport, scheduler = "local", "slurm"


class TestSshSlurm(OnCluster):
    transport, scheduler = "ssh", "slurm"


del OnCluster
