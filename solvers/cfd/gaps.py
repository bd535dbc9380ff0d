"""What the count of cells across the narrowest gap of a mesh means for the flow in it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from hub.figures import Figures
from hub.meshfile import cells_across
from hub.result import Words
from hub.solver import Condition, StageError

#: Part of the cells that are enough (hub.meshfile.cells_across) below which there is one cell, wall to wall.
HOPELESS = 0.43


def judge(numbers: dict[str, Any], conditions: Iterable[Condition]) -> Words | None:
    """A word about a gap with too few cells, with the size to choose; None without one.

    numbers : of the mesh. Raises StageError where nothing could be learned from the flow.
    """
    gap, enough = numbers.get("across_gaps"), cells_across(str(c.kind) for c in conditions)
    if not gap or gap["cells"] >= enough:
        return None
    wanted = gap["gap"] / enough
    digit = 10.0 ** (math.floor(math.log10(wanted)) - 1)
    wanted = math.floor(wanted / digit) * digit  # rounded to two digits, downwards
    said = []
    for figures in (Figures("en"), Figures("it")):
        cells = figures.number(gap["cells"], digits=2)
        said.append((cells, figures.length(gap["gap"]), figures.point(gap["at"]), figures.length(wanted)))
    en, it = said
    if gap["cells"] < HOPELESS * enough:
        raise StageError(
            "gap-not-meshed",
            f"Cells across the gap of {en[1]} near {en[2]}: {en[0]}. Nothing could be learned about the flow in it.",
            f"Choose a mesh size of at most {en[3]}, or refine (mesh.refine) a face of that gap to it.",
        )
    return Words(
        en=f"Cells across the gap of {en[1]} near {en[2]}: {en[0]}. That is too few for the flow in it, and its "
        f"resistance is not known. Choose a mesh size of at most {en[3]} there (mesh.size, or mesh.refine on a face of "
        "that gap).",
        it=f"Celle attraverso la luce di {it[1]} presso {it[2]}: {it[0]}. Sono troppo poche per il flusso che vi "
        f"passa, e la sua resistenza non è nota. Scegliere lì celle di al più {it[3]} (mesh.size, o mesh.refine su una "
        "faccia di quella luce).",
    )
