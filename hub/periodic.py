"""Faces that go on into each other: which of them lie at one end, which at the other, and how far apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hub.case import AnyCondition
from hub.units import Vector, direction

type Reals = npt.NDArray[np.float64]

#: Two nodes one shift apart are one where they differ by no more than this, as part of the size of the domain.
APART = 1e-6
#: Faces of two ends are alike where areas and middles differ by no more than this.
ALIKE = 1e-3


@dataclass(frozen=True)
class Ends:
    """Two ends: positions in the list of faces, each of `low` with the one of `high` that is one shift away.

    shift : (3,) from the low to the high end, as long as what the faces' middles were given in
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    shift: Reals


def periodic(conditions: Iterable[AnyCondition]) -> Iterator[tuple[int, AnyCondition, Vector]]:
    """The conditions that join two ends: number, condition and direction of those of the kind `periodic` on faces."""
    for i, c in enumerate(conditions):
        if c.kind == "periodic" and c.on:
            with suppress(ValueError):  # what is no direction is refused where the condition is read
                yield i, c, direction(getattr(c, "along", None))


def ends(areas: Sequence[float], middles: Sequence[Sequence[float]], along: Sequence[float]) -> Ends:
    """Sort faces into two ends, the first seen along a direction and the last. Raises ValueError, saying why not.

    areas : (n,) in 3D, or lengths of edges; middles : (n, 3) centroids; along : (3,)
    """
    sizes, x = np.array(areas, dtype=float), np.array(middles, dtype=float).reshape(-1, 3)
    if len(sizes) < 2:
        raise ValueError("one face, where each end needs one")
    position = x @ np.array(along, dtype=float)
    middle = (position.min() + position.max()) / 2
    first, last = np.flatnonzero(position < middle), np.flatnonzero(position >= middle)
    extent = float(np.ptp(x, axis=0).max())
    if not len(first) or np.ptp(position) <= ALIKE * extent:
        raise ValueError("faces that lie side by side, not one behind the other along it")
    if len(first) != len(last):
        raise ValueError(f"faces that are not as many at one end, {len(first)}, as at the other, {len(last)}")
    total, others = sizes[first].sum(), sizes[last].sum()
    if abs(total / others - 1) > ALIKE:
        raise ValueError(f"ends of different size, one {max(total, others) / min(total, others):.4g} times the other")
    shift = sizes[last] @ x[last] / others - sizes[first] @ x[first] / total
    away = np.linalg.norm(x[last][None] - x[first][:, None] - shift, axis=2) / max(extent, 1e-300)
    away += np.abs(sizes[last][None] / sizes[first][:, None] - 1)
    match = away.argmin(axis=1)
    if len(set(match.tolist())) < len(match) or away.min(axis=1).max() > 10 * ALIKE:
        raise ValueError("faces that are not the same at both ends")
    return Ends(tuple(first.tolist()), tuple(last[match].tolist()), shift)
