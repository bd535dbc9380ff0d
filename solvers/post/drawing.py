"""Runs what draws in a process of its own, trying each way to draw without a display."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from hub.solver import StageError

#: Exit code of a child that found that it cannot draw this way.
CANNOT = 4
#: Longest time that all pictures of a stage may take [s].
PATIENCE = 600
#: Ways to draw (see scene.py) and the Debian package of each; named here because scene.py loads VTK.
WAYS = {"OSMesa": "libosmesa6", "EGL": "libegl1"}


def draw_in_child(arguments: list[str]) -> str:
    """Draw what `arguments` say (see :func:`main`); returns what the child printed. Raises StageError."""
    said = ""
    for way in WAYS:
        environment = {**os.environ, "OFFICINA_PICTURES": way}
        argv = [sys.executable, "-m", "solvers.post.drawing", *arguments]
        try:
            ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise StageError(
                "time-limit", f"Drawing took longer than {PATIENCE} s.", "Choose a coarser mesh and run again."
            ) from None
        if ran.returncode == 0:
            return ran.stdout
        said = ran.stderr.strip()
        if ran.returncode == 3:
            print(said, file=sys.stderr)
            raise StageError("crashed", (said.splitlines() or ["The pictures could not be drawn."])[-1])
    print(said, file=sys.stderr)
    raise StageError(
        "no-pictures",
        "This machine has no way to draw without a display.",
        f"Install one of the Debian packages {' or '.join(WAYS.values())}, for example: apt-get install libosmesa6.",
    )


def main(arguments: list[str]) -> int:
    from solvers.post.scene import NoWindow

    try:
        match arguments:
            case ["faces", surface, verdict, target]:
                from solvers.post import faces

                faces.draw(Path(surface), Path(verdict), Path(target))
            case ["mesh", folder, target]:
                from solvers.post import mesh

                mesh.draw(Path(folder), Path(target))
            case ["picture", file, view, language, target]:
                from hub.result import View
                from solvers.post import envelope
                from solvers.post.words import Language

                envelope.draw(Path(file), View.model_validate_json(view), Language(language), Path(target))
            case ["report", folder]:
                from solvers.post import pictures

                print(json.dumps(pictures.draw(Path(folder))))
    except NoWindow as error:
        print(error, file=sys.stderr)
        return CANNOT
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
