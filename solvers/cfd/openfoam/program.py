"""The programs of OpenFOAM: where they are, the environment they need, and how one is run and watched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from hub.problem import Problem, excerpt
from hub.solver import StageError

#: Where a distribution's package (Debian, Ubuntu) keeps the files that its programs look for.
PROJECT = Path("/usr/share/openfoam")
#: Where it keeps the programs. Its MPI is OpenMPI, ours is not: the launcher is named in full.
PROGRAMS = "/usr/bin"
LAUNCHER = "/usr/bin/mpirun.openmpi"
#: Programs that a run needs.
NEEDED = ("simpleFoam", "potentialFoam", "blockMesh", "snappyHexMesh", "surfaceFeatureExtract")
FATAL = re.compile(r"--> FOAM FATAL (?:IO )?ERROR:\s*(.+?)(?:\n\s*\n|\n    From|\Z)", re.S)


def missing() -> list[str]:
    """The needed programs that this machine has not."""
    return [name for name in NEEDED if shutil.which(name, path=PROGRAMS) is None] + (
        [] if (PROJECT / "etc" / "controlDict").is_file() else [str(PROJECT)]
    )


def absence() -> Problem | None:
    """What to do where OpenFOAM is not installed, or None where it is."""
    absent = missing()
    if not absent:
        return None
    return Problem(
        where="solver",
        found=f"no OpenFOAM on this machine: {', '.join(absent)} not found",
        expected="OpenFOAM, which computes turbulent flow for Officina",
        todo="Install the package: `apt-get install openfoam` (Debian, Ubuntu).",
        code="openfoam-missing",
    )


def environment(home: Path) -> dict[str, str]:
    """All that a program of OpenFOAM sees: nothing of our own environment, whose MPI is another one."""
    return {
        "PATH": f"{PROGRAMS}:/bin",
        "HOME": str(home),
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
        "WM_PROJECT_DIR": str(PROJECT),
        "WM_PROJECT": "OpenFOAM",
        "FOAM_SIGFPE": "true",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        # OpenMPI: no complaint about root in a container, no binding to cores that others use too
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        # ranks that wait give way: more of them than cores would else spin against each other
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMPI_MCA_btl": "self,vader",
    }


def run(
    case: Path,
    name: str,
    *arguments: str,
    ranks: int = 1,
    watch: Callable[[str], None] = lambda line: None,
    log: Path | None = None,
) -> None:
    """Run one program in a case's folder; every line it prints goes to `watch` and to the log.

    Raises StageError `openfoam` with the program's own words if it fails; what `watch` raises ends the program.
    """
    argv = [f"{PROGRAMS}/{name}", *arguments]
    if ranks > 1:
        argv = [LAUNCHER, "-np", str(ranks), *argv, "-parallel"]
    file = log or case / f"log.{name}"
    with (
        file.open("a") as kept,
        subprocess.Popen(
            argv, cwd=case, env=environment(case), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        ) as process,
    ):  # fmt: skip
        assert process.stdout
        try:
            for line in process.stdout:
                kept.write(line)
                watch(line)
        except BaseException:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if process.returncode:
        raise StageError("openfoam", *words_of_failure(name, file, process.returncode))


def words_of_failure(name: str, file: Path, code: int) -> tuple[str, str]:
    """What a program says that went wrong, and what to do."""
    said = file.read_text(errors="replace")[-20_000:]
    fatal = FATAL.search(said)
    if fatal:
        reason = " ".join(fatal[1].split())
    elif "sigFpe" in said or code in (-8, 136):
        reason = "a number became infinite or was divided by zero"
    else:
        reason = f"it ended with {code}"
    return f"{name} of OpenFOAM stopped: {excerpt(reason)}", "The log has its words. Try a finer or a better mesh."
