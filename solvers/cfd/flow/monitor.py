"""What people see of a run while it runs: residuals, Courant numbers, forces, balances."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hub.runfolder import Attempt
from solvers.cfd.flow.boundary import Boundary
from solvers.cfd.flow.unsteady import March

#: Lines of the history of a run in time; seconds between two looks at the status.
LINES, SECONDS = 400, 1.0
DOING = {True: "stepping through time", False: "stepping through time, for error bars"}


@dataclass
class Monitor:
    """Writes ``status.json`` and ``history.jsonl`` of an attempt; ranks other than 0 write nothing.

    attempt : None to write nothing at all; recording : whether the history is wanted besides the status
    """

    attempt: Attempt | None
    boundary: Boundary
    recording: bool = True
    _what: str = field(default="solving", init=False)
    _step: int = field(default=0, init=False)
    _last: dict[str, float] = field(default_factory=dict, init=False)
    _mark: float = field(default=-np.inf, init=False)
    _shown: float = field(default=-np.inf, init=False)

    def __post_init__(self) -> None:
        self._writes = self.attempt is not None and self.boundary.comm.rank == 0

    def doing(self, what: str) -> None:
        """What is tried from now on to find a steady flow; the residual so far goes on being told."""
        self._what = what
        if self._writes:
            assert self.attempt is not None
            self.attempt.write_status(step=self._step, doing=what, **self._last)

    def residual(self, step: int, residual: float) -> None:
        """After a linear solve of a steady flow."""
        self._step, self._last = step, {"residual": residual}
        if self._writes:
            assert self.attempt is not None
            self.attempt.write_status(step=step, doing=self._what, residual=residual)
            self.attempt.record(step=step, residual=residual)

    def due(self, march: March) -> bool:
        """Whether the history wants a line for this step: figures that cost something need not be made for others."""
        return march.done or march.flow.t >= self._mark

    def step(self, march: March, values: Mapping[str, float]) -> None:
        """After a step in time; nothing is written of steps that are not due.

        values : more of the step (forces), by their names in the history
        """
        t, until = march.flow.t, march.settings.until
        if not self.due(march):
            return
        self._mark = t + until / LINES
        # over the largest flow so far: that of the moment may vanish
        balance = abs(march.net) / max(march.control.passed, 1e-300)
        if not self._writes:
            return
        assert self.attempt is not None
        if self.recording:
            self.attempt.record(
                time=t, time_step=march.control.last, courant=march.courant, mass_balance=balance, **values
            )
        if time.monotonic() - self._shown > SECONDS or march.done:
            self._shown = time.monotonic()
            self.attempt.write_status(
                step=round(1000 * t / until), of=1000, doing=DOING[self.recording], time=t, courant=march.courant,
                time_step=march.control.last, rejected=march.control.rejected, mass_balance=balance,
            )  # fmt: skip
