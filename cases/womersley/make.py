"""Draws ``vessel.step``, and writes the pulse of the pump and what Womersley's solution says of it.

A quarter of the blood in a line of 10 inside, 40 long, along x, between the planes y = 0 and z = 0; lengths in mm.

A flow Q = Q0 + Re(Q1 exp(i w t)) through a long pipe of radius R, with a = R sqrt(w / nu), b = i^(3/2) a and
F = 1 - 2 J1(b) / (b J0(b)), has on its axis the speed 2 Q0 / A + Re(Q1 / A (1 - 1 / J0(b)) / F exp(i w t)) and needs
over each metre the pressure 8 mu Q0 / (A R^2) + Re(i w rho Q1 / A / F exp(i w t)). J. R. Womersley, J. Physiol. 127
(1955) 553-563.

Run ``python make.py`` in this folder.
"""

from math import pi
from pathlib import Path

import gmsh
import numpy as np
from scipy.special import jv

RADIUS, LENGTH = 5e-3, 15e-3  # of the line, and between the places of the pressures [m]
DENSITY, VISCOSITY = 1056.0, 3.5e-3
SPEED, SWING, RATE = 6.4e-3, 0.8, 2 * pi  # mean speed [m/s], part of it that swings, and how fast [rad/s]
END = 6.75  # of the run [s]
SOURCE = "J. R. Womersley, J. Physiol. 127 (1955) 553-563, evaluated by make.py for"


def expected() -> dict[str, tuple[float, str, str, str]]:
    """Name -> (value, unit, tolerance, which): over a period, and at the end of the run."""
    b = RADIUS * np.sqrt(RATE * DENSITY / VISCOSITY) * np.exp(0.75j * pi)
    F = 1 - 2 * jv(1, b) / (b * jv(0, b))
    t = END + np.linspace(-2 * pi / RATE, 0, 20001)
    swing = -1j * SWING * SPEED * np.exp(1j * RATE * t)  # of the mean speed: its real part is a sine
    axis = 2 * SPEED + np.real(swing * (1 - 1 / jv(0, b)) / F)
    drop = LENGTH * (8 * VISCOSITY * SPEED / RADIUS**2 + np.real(1j * RATE * DENSITY * swing / F))
    found = {}
    for name, unit, values, tolerance in (("speed_on_the_axis", "mm/s", 1e3 * axis, 1), ("pressure", "Pa", drop, 2)):
        for which, value in (("max", values.max()), ("min", values.min()), ("", values[-1])):
            if abs(value) < 0.1 * values.max():
                continue  # a tolerance would be no part of it
            share = abs(tolerance * values.max() / value)  # of the largest value
            found[f"{name}_{which}".rstrip("_")] = (value, unit, f"{share:.2g} %", which or "end")
    return found


gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.rotate([(3, cad.addCylinder(0, 0, 0, 40, 0, 0, 5, angle=pi / 2))], 0, 0, 0, 1, 0, 0, -pi / 2)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("vessel.step")
gmsh.finalize()
t = np.linspace(0, 2 * pi / RATE, 41)
rows = "".join(f"{a:.3f}, {1 + SWING * np.sin(RATE * a):.8f}\n" for a in t)
Path("pulse.csv").write_text(f"# 1 + {SWING} sin(2 pi t / 1 s): the flow over its mean\nt [s], factor\n{rows}")
said = {"max": "the largest of a period", "min": "the smallest of a period", "end": f"{END} s"}
Path("expected.yaml").write_text(
    f"# A flow that swings by {SWING:.0%} about its mean; tolerances are parts of the largest value.\n"
    + "".join(
        f"- quantity: {name}\n  value: {value:.6g}\n  unit: {unit}\n  tolerance: {tolerance}\n"
        f'  source: "{SOURCE} {said[which]}"\n'
        for name, (value, unit, tolerance, which) in expected().items()
    )
)
