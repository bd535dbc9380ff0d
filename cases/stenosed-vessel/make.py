"""Draws ``vessel.step``: a quarter of the blood in a vessel of 6 that narrows to a quarter of its area; lengths in mm.

The wall follows a cosine over two diameters, r = D/2 (1 - (1 + cos(pi x / D)) / 4), after Varghese, Frankel and Fischer
(J. Fluid Mech. 582, 2007, 253-280). The quarter lies between the planes y = 0 and z = 0, along x.

Run ``python make.py`` in this folder.
"""

from math import cos, pi

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
D = 6.0


def radius(x: float) -> float:
    return D / 2 * (1 - (1 + cos(pi * x / D)) / 4)


throat = [cad.addPoint(x, radius(x), 0) for x in (D * (k / 16 - 1) for k in range(33))]
before, after = cad.addPoint(-4 * D, D / 2, 0), cad.addPoint(12 * D, D / 2, 0)
inlet, outlet = cad.addPoint(-4 * D, 0, 0), cad.addPoint(12 * D, 0, 0)
# the wall runs on straight before and behind: the spline begins and ends along the axis
curve = cad.addSpline(throat, tangents=[1, 0, 0, 1, 0, 0])
lines = [
    cad.addLine(inlet, before),
    cad.addLine(before, throat[0]),
    curve,
    cad.addLine(throat[-1], after),
    cad.addLine(after, outlet),
    cad.addLine(outlet, inlet),
]
cad.revolve([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, 0, 0, 1, 0, 0, pi / 2)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("vessel.step")
gmsh.finalize()
