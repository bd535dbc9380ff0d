"""``python -m solvers.meshing probe [FILE OUTDIR [KIND [UNIT]]] | check ATTEMPT | mesh ATTEMPT``.

Exit code 0 done, 2 refused, 3 failed. ``probe`` writes ``facts.json`` (hub.intake.Facts, or the Problem it met);
without arguments it loads what it needs and then reads them, a JSON list, from standard input. The stages follow
``hub/runfolder.py``.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

from hub.problem import Problem, Refused
from hub.runfolder import Attempt
from hub.solver import StageError, explain

USAGE = "usage: probe [FILE OUTDIR [KIND [UNIT]]] | check ATTEMPT | mesh ATTEMPT"
DONE, REFUSED, FAILED = 0, 2, 3


def main(arguments: list[str]) -> int:
    match arguments:
        case ["probe"]:
            import solvers.meshing.probe  # noqa: F401

            told = sys.stdin.readline()
            return main(["probe", *json.loads(told)]) if told else REFUSED
        case ["probe", file, out, *rest] if len(rest) <= 2:
            return _probe(Path(file), Path(out), *rest)
        case ["check" | "mesh" as stage, folder]:
            return _stage(stage, Attempt(Path(folder)))
        case _:
            print(USAGE, file=sys.stderr)
            return REFUSED


def _probe(file: Path, out: Path, kind: str | None = None, unit: str | None = None) -> int:
    from hub.filekind import EXTENSION, recognise
    from solvers.meshing.probe import probe

    seen, problem = recognise(file)
    if problem is None and seen is not None and (kind is None or kind in EXTENSION):
        try:
            facts = probe(file, out, seen, unit)
        except StageError as error:
            problem = Problem(
                where="geometry.file", found=error.message, expected="a readable part", todo=error.hint, code=error.code
            )
        else:
            (out / "facts.json").write_text(facts.model_dump_json())
            return DONE
    assert problem is not None
    (out / "facts.json").write_text(problem.model_dump_json())
    return REFUSED


def _stage(stage: str, attempt: Attempt) -> int:
    """Run a stage; whatever happens, the folder says it."""
    from solvers.meshing import stages

    try:
        {"check": stages.check, "mesh": stages.mesh}[stage](attempt)
        attempt.finish()
        return DONE
    except BaseException as error:
        if not isinstance(error, (StageError, Refused)):
            traceback.print_exc()
        sys.stderr.flush()
        attempt.fail(*explain(error))
        return REFUSED if isinstance(error, Refused) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
