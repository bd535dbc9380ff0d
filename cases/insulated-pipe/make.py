"""Draws ``pipe.step``: a quarter of a slice of a steel pipe in an insulating shell; lengths in mm.

Radii 50.85, 57.15 (DN 100, 6.3 mm thick) and 107.15, slice of 20. Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
for inner, outer in ((50.85, 57.15), (57.15, 107.15)):
    section = cad.addRectangle(inner, 0, 0, outer - inner, 20)
    cad.rotate([(2, section)], 0, 0, 0, 1, 0, 0, pi / 2)
    cad.revolve([(2, section)], 0, 0, 0, 0, 0, 1, pi / 2)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("pipe.step")
gmsh.finalize()
