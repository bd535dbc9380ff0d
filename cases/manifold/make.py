"""Draws ``manifold.step``: a hydraulic manifold block with a drilled gallery and two outlets; lengths in mm.

100 x 60 x 50; the gallery of 10 runs from port P on the left (x = 0) and ends in the cone of the drill (118 degrees).
Ports A and B of 8 are drilled down to it from the top. A spot face of 18 surrounds each port; four holes of 6.6 take
bolts. Run ``python make.py`` in this folder.
"""

from math import radians, tan

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
block = cad.addBox(0, 0, 0, 100, 60, 50)
gallery = cad.addCylinder(-1, 30, 25, 86, 0, 0, 5)
tip = cad.addCone(85, 30, 25, 5 / tan(radians(59)), 0, 0, 5, 0)
ports = [cad.addCylinder(x, 30, 25, 0, 0, 26, 4) for x in (35, 75)]
spots = [cad.addCylinder(-1, 30, 25, 2, 0, 0, 9), *(cad.addCylinder(x, 30, 49, 0, 0, 2, 9) for x in (35, 75))]
bolts = [cad.addCylinder(x, y, -1, 0, 0, 52, 3.3) for x in (10, 90) for y in (10, 50)]
cad.cut([(3, block)], [(3, tag) for tag in (gallery, tip, *ports, *spots, *bolts)])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("manifold.step")
gmsh.finalize()
