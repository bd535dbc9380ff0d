"""Draws ``cylinder.step``: a quarter of a slice of a thick-walled tube, radii 40 and 80 mm; lengths in mm.

Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.cut([(3, cad.addCylinder(0, 0, 0, 0, 0, 20, 80, angle=pi / 2))], [(3, cad.addCylinder(0, 0, 0, 0, 0, 20, 40))])
cad.synchronize()
assert len(gmsh.model.getEntities(2)) == 6
gmsh.write("cylinder.step")
gmsh.finalize()
