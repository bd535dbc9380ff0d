"""One ball that hits a plane at an angle, by LIGGGHTS and by LAMMPS: Hertz, and Mindlin's spring with history."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

#: The ball of test 4 of Chung and Ooi: Young's modulus [Pa], Poisson's ratio, density [kg/m3], radius [m], friction.
YOUNG, POISSON, DENSITY, RADIUS, FRICTION = 380e9, 0.23, 4000.0, 0.0025, 0.092
#: Steps of time in Hertz's duration of the impact; ten times as few or many change no more than the fourth digit.
PARTS = 4000

START = """
atom_modify map array
boundary f f f
newton off
units si
{more}
read_data ball.data
neighbor 0.0005 bin
"""
LAMMPS = """
pair_style granular
pair_coeff 1 1 {model}
fix floor all wall/gran granular {model} zplane 0.0 NULL
"""
LIGGGHTS = """
fix youngsModulus all property/global youngsModulus peratomtype {young} {rigid}
fix poissonsRatio all property/global poissonsRatio peratomtype {poisson} {poisson}
fix coefficientRestitution all property/global coefficientRestitution peratomtypepair 2 {restitutions}
fix coefficientFriction all property/global coefficientFriction peratomtypepair 2 {frictions}
pair_style gran model hertz tangential history
pair_coeff * *
fix floor all wall/gran model hertz tangential history primitive type 2 zplane 0.0
"""
FINISH = """
fix move all nve/sphere
velocity all set {across} 0 {down}
timestep {step}
variable across equal vx[1]
thermo_style custom step v_across
thermo_modify format float %.12g
thermo {steps}
run {steps}
"""


def program(code: str) -> str | None:
    """Where LAMMPS or LIGGGHTS is installed."""
    if code == "LIGGGHTS":
        return shutil.which("liggghts")
    return shutil.which("lmp") or shutil.which("lmp", path=str(Path(sys.executable).parent))


def rebound(code: str, degrees: float, speed: float, restitution: float, folder: Path) -> float:
    """Tangential velocity after the impact over that before it."""
    across, down = speed * math.sin(math.radians(degrees)), speed * math.cos(math.radians(degrees))
    mass = DENSITY * 4 / 3 * math.pi * RADIUS**3
    overlap = (15 * mass * down**2 / (16 * YOUNG / (1 - POISSON**2) * math.sqrt(RADIUS))) ** 0.4
    step = 2.9432752 * overlap / down / PARTS
    if code == "LIGGGHTS":
        laws = LIGGGHTS.format(
            young=YOUNG, rigid=1e6 * YOUNG, poisson=POISSON, restitutions=f"{restitution} " * 4,
            frictions=f"{FRICTION} " * 4,
        )  # fmt: skip
        start, kinds = "atom_style granular\ncommunicate single vel yes\nhard_particles yes", 2
    else:
        # its floor is made of what the ball is made of: twice as stiff, both are as a ball and a rigid floor
        model = (
            f"hertz/material {2 * YOUNG} {restitution} {POISSON} tangential mindlin NULL 1.0 {FRICTION} "
            "damping coeff_restitution"
        )
        laws, start, kinds = LAMMPS.format(model=model), "atom_style sphere\ncomm_modify vel yes", 1
    box = "-0.01 0.01 xlo xhi\n-0.01 0.01 ylo yhi\n-0.001 0.01 zlo zhi"
    ball = f"1 1 {2 * RADIUS:.17g} {DENSITY} 0 0 {RADIUS:.17g}"
    (folder / "ball.data").write_text(f"ball\n\n1 atoms\n{kinds} atom types\n\n{box}\n\nAtoms\n\n{ball}\n")
    # the style of atoms and what ghosts carry come first, then the rest
    first, more = start.split("\n", 1)
    text = first + START.format(more=more) + laws
    text += FINISH.format(across=f"{across:.17g}", down=f"{-down:.17g}", step=f"{step:.17g}", steps=2 * PARTS)
    (folder / "in").write_text(text)
    made = program(code)
    assert made is not None
    ran = subprocess.run(
        [made, "-in", "in"], cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=60
    )
    found = re.findall(rf"^\s*{2 * PARTS}\s+(\S+)", ran.stdout, re.M)
    assert ran.returncode == 0 and found, ran.stdout[-1500:]
    return float(found[-1]) / across
