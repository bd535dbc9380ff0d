"""Draws ``tube.step``: half of the juice in a holding tube of 22 inside with a bend; lengths in mm.

Two legs of 300 along x, one at y = 0 and one at y = 100, and half a circle between them; the half lies above the plane
z = 0. Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ


def section() -> tuple[int, int]:
    """Half a disk of radius 11 across x, above z = 0."""
    arc = cad.addCircle(0, 0, 0, 11, angle1=0, angle2=pi)
    cad.rotate([(1, arc)], 0, 0, 0, 1, 0, 0, pi / 2)
    cad.rotate([(1, arc)], 0, 0, 0, 0, 0, 1, pi / 2)
    cad.synchronize()
    ends = [tag for _, tag in gmsh.model.getBoundary([(1, arc)], oriented=False)]
    return 2, cad.addPlaneSurface([cad.addCurveLoop([arc, cad.addLine(*ends)])])


there = cad.extrude([section()], 300, 0, 0)
bend = cad.revolve([there[0]], 300, 50, 0, 0, 0, 1, pi)
cad.extrude([bend[0]], -300, 0, 0)
cad.synchronize()
cad.fuse([(3, 1)], [(3, 2), (3, 3)])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("tube.step")
gmsh.finalize()
