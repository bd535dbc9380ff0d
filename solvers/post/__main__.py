"""``python -m solvers.post faces SURFACE.npz VERDICT.json OUT.png | mesh FOLDER OUT.png | report ATTEMPT
| plots RESULT.json LANGUAGE FOLDER | extremes RESULTS.json OUT.npz
| envelope FIELD FIELDS.vtu OUT.vtu EXTREMES.npz... | picture ENVELOPE.vtu VIEW LANGUAGE OUT.png``.

Exit code 0 done, 2 wrong arguments, 3 failed. VTK ends a process that has no way to draw, so it runs in a child of this
process, once for each way there is (``solvers.post.drawing``).
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

from hub.solver import StageError
from solvers.post.drawing import draw_in_child

USAGE = (
    "usage: faces SURFACE.npz VERDICT.json OUT.png | mesh FOLDER OUT.png | report ATTEMPT | "
    "plots RESULT.json LANGUAGE FOLDER | extremes RESULTS.json OUT.npz | "
    "envelope FIELD FIELDS.vtu OUT.vtu EXTREMES.npz... | picture ENVELOPE.vtu VIEW LANGUAGE OUT.png"
)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["faces", _, _, _] | ["mesh", _, _] | ["picture", _, _, _, _]:
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
        case ["extremes", results, target]:
            from solvers.post import envelope

            envelope.save(envelope.of(json.loads(Path(results).read_bytes())), Path(target))
            return 0
        case ["envelope", field, sample, target, *parts]:
            from solvers.post import envelope

            found = functools.reduce(envelope.joined, (envelope.load(Path(part)) for part in parts))
            value, point, at = envelope.write(found, Path(sample), Path(target), field)
            print(json.dumps({"value": value, "point": point, "at": at}))
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
