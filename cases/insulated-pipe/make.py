"""Draws ``pipe.step``: a quarter of a slice of a steel pipe in an insulating shell; lengths in mm.

Radii 50.85, 57.15 (DN 100, 6.3 mm thick) and 107.15, slice of 20. Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ


def ring(inner: float, outer: float) -> list[tuple[int, int]]:
    """A quarter of a slice."""
    bore, disc = (cad.addCylinder(0, 0, 0, 0, 0, 20, radius, angle=pi / 2) for radius in (inner, outer))
    return cad.cut([(3, disc)], [(3, bore)])[0]


ring(50.85, 57.15)
ring(57.15, 107.15)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("pipe.step")
gmsh.finalize()
