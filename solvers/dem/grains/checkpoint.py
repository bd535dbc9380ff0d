"""A run kept on disk, to go on from after a stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hub.solver import StageError
from solvers.dem.grains import lists
from solvers.dem.grains.parallel import MPI, Boxes, Owned

if TYPE_CHECKING:
    from solvers.dem.grains.engine import Engine

#: Single numbers that a run goes on with.
NUMBERS = (
    "dt", "steps", "_next_id", "_skin", "_skin_for", "_since", "_largest", "_weight", "_supplied", "_highest",
    "_lowest_balance", "_gained",
)  # fmt: skip


def save(engine: Engine, folder: Path) -> None:
    """Write a checkpoint whole: ``grains.npz``. The run goes on as one that starts from it would."""
    if engine._listed:
        engine._pack()
    own = engine._owned
    number, partner, kept = lists.gather_contacts(np.arange(len(own.ids)), own.first, own.length, own.partner, own.kept)
    parts = engine.comm.gather((own.rows, own.ids, own.carried, number, partner, kept))
    sums = [x.copy() for x in (engine._on_body, engine._on_facet, engine._spectrum, engine._impulse)]
    for x in sums:
        engine.comm.Allreduce(MPI.IN_PLACE, x, MPI.SUM)
    state = engine._state.copy()
    engine.comm.Allreduce(MPI.IN_PLACE, state, MPI.MAX)
    if parts is not None:
        joined = [np.concatenate([p[k] for p in parts]) for k in range(6)]
        names = ("rows", "ids", "carried", "number", "partner", "kept")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / ".grains.npz.part"
        with part.open("wb") as stream:
            np.savez(
                stream,
                **dict(zip(names, joined, strict=True)),
                on_body=sums[0],
                on_facet=sums[1],
                bins=sums[2],
                impulse=sums[3],
                state=state,
                ranks=engine.comm.size,
                boxes=engine._boxes.node,
                expected=engine._expected,
                taken_body=engine._taken_body,
                taken_facet=engine._taken_facet,
                taken_at=engine._taken_at,
                numbers=[getattr(engine, name) for name in NUMBERS],
            )
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(folder / "grains.npz")
    engine.comm.Barrier()


def load(engine: Engine, folder: Path) -> None:
    """Go on from a checkpoint: on as many ranks as wrote it, the same steps as if there had been no stop.

    Raises StageError ``wrong-checkpoint`` if it was written with another time step or other walls.
    """
    with np.load(folder / "grains.npz", allow_pickle=False) as found:
        data = {name: found[name] for name in found.files}
    numbers = dict(zip(NUMBERS, data["numbers"].tolist(), strict=True))
    same_walls = data["on_facet"].shape == engine._on_facet.shape and data["on_body"].shape == engine._on_body.shape
    same_columns = data["carried"].shape[1] == engine._owned.carried.shape[1]
    if numbers["dt"] != engine.dt or not (same_walls and same_columns and data["bins"].shape == engine._spectrum.shape):
        raise StageError(
            "wrong-checkpoint", "The checkpoint was written for another time step or other walls.", "Start anew."
        )
    for name, value in numbers.items():
        setattr(engine, name, type(getattr(engine, name))(value))
    engine.count = len(data["ids"])
    rank, size = engine.comm.rank, engine.comm.size
    first = np.cumsum(data["number"]) - data["number"]
    every = Owned(data["rows"], data["ids"], data["carried"], first, data["number"], data["partner"], data["kept"])
    if int(data["ranks"]) == size:
        engine._boxes = Boxes(data["boxes"])
        every = every.taken(engine._boxes.owner(every.rows[:, :3]) == rank)
    else:
        every = every.taken(np.arange(len(every.ids)) % size == rank)
    engine._owned = every
    share = 1.0 if rank == 0 else 0.0
    engine._on_body[:], engine._on_facet[:] = share * data["on_body"], share * data["on_facet"]
    engine._spectrum[:], engine._impulse[:] = share * data["bins"], share * data["impulse"]
    engine._state[:], engine._expected[:] = data["state"], data["expected"]
    engine._taken_body, engine._taken_facet, engine._taken_at = (
        data["taken_body"], data["taken_facet"], data["taken_at"],
    )  # fmt: skip
    engine._listed = False
