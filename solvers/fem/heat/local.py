"""An error bar at every node: how far the temperature and the heat flux drawn there may be off.

Heat flux: the recovered flux less that of the elements (O. C. Zienkiewicz, J. Z. Zhu, Int. J. Numer. Methods Eng. 33
(1992) 1365-1382), its root mean square over the cells at the node; and the relative energy of the error, for what
errors elsewhere bring, as a share of the flux. Where that is more than NONE of the flux itself, as beside a sharp
inner edge, there is no bar: what is recovered there is no better than what it is compared with.

Temperature: the largest bar of the temperatures that are quantities, for what comes from elsewhere; and an eighth of
the size of the cells at the node times the error of their slope (a quadratic interpolant is off by .1 h times that).

Half-widths that cost no further solution; tried on a tube with a closed form (``tests/solvers/fem/test_heat.py``),
where they hold the truth at 9 of 10 nodes and more, and are 5 to 9 times too wide in the median.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from solvers.fem.heat.estimate import SAFETY, Estimator, Reals
from solvers.fem.recovery import add_over_ranks

#: A bar wider than this share of the flux is none.
NONE = 0.5


def bars(tool: Estimator, flux: Reals, others: Iterable[float | None]) -> tuple[Reals, Reals]:
    """The half-widths at the nodes of temperature [K] and of heat flux [W/m2], NaN where there is none. Collective.

    flux : (local nodes, 3) recovered [W/m2]; others : bars of temperatures [K]
    """
    index_map, nodes = tool.problem.V.dofmap.index_map, tool.problem.V.dofmap.list
    count = index_map.size_local + index_map.num_ghosts
    sums, energy = np.zeros((count, 4)), np.zeros(2)
    for cells, of_cell, of_all in tool.by_cell():
        energy += of_all
        for i, values in enumerate(of_cell.T):
            sums[:, i] += np.bincount(nodes[cells].ravel(), np.repeat(values, nodes.shape[1]), minlength=count)
    sums, (error, whole) = add_over_ranks(index_map, sums), tool.comm.allreduce(energy)
    volume = np.maximum(sums[:, 2], 1e-300)
    size, share = np.linalg.norm(flux, axis=1), np.sqrt(error / whole) if whole > 0 else 0.0
    of_flux = SAFETY * np.sqrt(sums[:, 0] / volume) + share * size
    # where hardly anything flows, the flux of the whole part is the measure
    usual = np.sqrt(float(tool.comm.allreduce(float(sums[: tool.problem.own, 0].sum()))) / max(
        float(tool.comm.allreduce(float(volume[: tool.problem.own].sum()))), 1e-300))  # fmt: skip
    of_flux[(of_flux > NONE * size) & (of_flux > usual)] = np.nan
    carried = max((bar for bar in others if bar is not None), default=0.0)
    return carried + np.sqrt(sums[:, 1] / volume) * sums[:, 3] / volume / 8, of_flux
