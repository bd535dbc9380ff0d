"""``python -m solvers.post faces SURFACE.npz VERDICT.json OUT.png | mesh FOLDER OUT.png | report ATTEMPT
| plots RESULT.json LANGUAGE FOLDER``.

Exit code 0 done, 2 wrong arguments, 3 failed. VTK ends a process that has no way to draw, so it runs in a child of this
process, once for each way there is (``solvers.post.drawing``).
"""

from __future__ import annotations

import sys
from pathlib import Path

from hub.solver import StageError
from solvers.post.drawing import draw_in_child

USAGE = (
    "usage: faces SURFACE.npz VERDICT.json OUT.png | mesh FOLDER OUT.png | report ATTEMPT | "
    "plots RESULT.json LANGUAGE FOLDER"
)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["faces", _, _, _] | ["mesh", _, _]:
            try:
                draw_in_child(arguments)
            except StageError as error:
                print(error.message, error.hint, file=sys.stderr)
                return 3
            return 0
        case ["report", folder]:
            from solvers.post.report import run

            return run(Path(folder))
        case ["plots", result, language, folder]:
            from solvers.post.plots import draw_all

            draw_all(Path(result), language, Path(folder))
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
