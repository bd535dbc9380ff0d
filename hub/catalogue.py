"""What there is to choose from: solvers (each asked by running it), the material library, the case templates."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hub.case import Material, digest, load_yaml
from hub.problem import Problem, Refused, excerpt
from hub.solver import Cost, Description

#: Longest time a solver may take to describe itself or to check a case [s].
PATIENCE = 60


class SolverBroken(Exception):
    """A solver's process did not answer as the contract asks; the message says what it said instead."""


def package_folder(name: str) -> Path:
    """The folder of a top-level package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SolverBroken(f"the package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def solver_modules() -> dict[str, str]:
    """Name of a solver -> module to run, for in-tree folders and installed entry points.

    ``solvers/fem/elasticity/__main__.py`` is ``fem.elasticity``.
    """
    root = package_folder("solvers")
    found = {}
    for main in sorted(root.glob("*/*/__main__.py")):
        name = ".".join(main.parent.relative_to(root).parts)
        found[name] = f"solvers.{name}"
    for point in entry_points(group="officina.solvers"):
        found.setdefault(point.name, point.value)
    return found


def comes_along(name: str) -> bool:
    """A solver is a folder of the hub's own, not of another distribution."""
    return (package_folder("solvers") / Path(*name.split(".")) / "__main__.py").is_file()


def _module(name: str) -> str:
    modules = solver_modules()
    if name not in modules:
        raise Refused(
            [
                Problem(
                    where="solver",
                    found=excerpt(name),
                    expected=f"one of {', '.join(modules)}",
                    todo="`officina solver list` shows them.",
                    code="unknown-solver",
                )
            ]
        )
    return modules[name]


def environment() -> dict[str, str]:
    """The environment of a stage or solver process: what it needs and nothing that is secret.

    The folder of our own programs comes first in PATH, so that ``mpiexec`` is the one our MPI was made with.
    """
    kept = ("HOME", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "CC", "OFFICINA_HOME",
            "PYTHONPATH")  # fmt: skip
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    fixed = {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}
    return {name: os.environ[name] for name in kept if name in os.environ} | fixed


def _ask(name: str, *arguments: str, given: str = "") -> Any:
    argv = [sys.executable, "-m", _module(name), *arguments]
    try:
        ran = subprocess.run(
            argv, input=given, capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False
        )
        if ran.returncode == 0:
            return json.loads(ran.stdout)
        said = (ran.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SolverBroken(f"{name} {arguments[0]} ended with {ran.returncode} and said: {excerpt(said)}")
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise SolverBroken(f"{name} {arguments[0]} gave no answer: {excerpt(str(error))}") from None


def source_digest(name: str) -> str:
    """Changes when the program files of an in-tree solver or stage (``meshing``) do."""
    folder = package_folder("solvers") / Path(*name.split("."))
    stamps = sorted((str(f.relative_to(folder)), f.stat().st_mtime_ns) for f in folder.rglob("*.py"))
    return digest(stamps)


@lru_cache(maxsize=128)
def _described(name: str, _stamp: str) -> Description:
    try:
        return Description.model_validate(_ask(name, "--describe"))
    except ValueError as error:
        raise SolverBroken(f"{name} describes itself in a way that cannot be read: {excerpt(str(error))}") from None


def describe(name: str) -> Description:
    """What a solver says of itself. Raises Refused for an unknown name, SolverBroken."""
    _module(name)
    return _described(name, source_digest(name))


def solver_check(data: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[Problem], Cost | None]:
    """A case as typed -> (the case in SI or None, problems, what it costs), as its solver sees it.

    Raises Refused, SolverBroken.
    """
    return solver_checks([data])[0]


def solver_checks(cases: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any] | None, list[Problem], Cost | None]]:
    """The same for several cases of one solver, in one process. Raises Refused, SolverBroken."""
    answers = _ask(str(cases[0].get("solver")), "check", given=json.dumps(list(cases), ensure_ascii=False))
    return [
        (
            answer["case"],
            [Problem.model_validate(p) for p in answer["problems"]],
            Cost.model_validate(answer["cost"]) if answer.get("cost") else None,
        )
        for answer in answers
    ]


@lru_cache(maxsize=256)
def solver_command(name: str, ranks: int) -> tuple[str, ...]:
    """The argv that solves on `ranks` MPI ranks. Raises Refused, SolverBroken."""
    return tuple(_ask(name, "command", str(ranks)))


@cache
def materials() -> dict[str, Material]:
    """The material library: key -> properties in SI with their source."""
    data = load_yaml((Path(__file__).parent / "materials.yaml").read_bytes())
    return {key: Material.model_validate(value) for key, value in data.items()}


@cache
def templates() -> dict[str, Path]:
    """Name -> folder of every case in ``cases/``."""
    root = package_folder("cases")
    return {f.parent.name: f.parent for f in sorted(root.glob("*/case.yaml"))}
