"""Draws ``nozzle.step``: a quarter of the fluid in the nozzle of the FDA's benchmark, along x; lengths in mm.

12 inside, a cone of 20 degrees down to a throat of 4 that is 40 long, and a sudden expansion to 12 at x = 0 (Hariharan
et al., J. Biomech. Eng. 133, 2011, 041002). The quarter lies between the planes y = 0 and z = 0.

Run ``python make.py`` in this folder.
"""

from math import pi, radians, tan

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cone = 4 / tan(radians(10))
outline = [(-40 - cone - 36, 0), (-40 - cone - 36, 6), (-40 - cone, 6), (-40, 2), (0, 2), (0, 6), (120, 6), (120, 0)]
points = [cad.addPoint(x, r, 0) for x, r in outline]
lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
cad.revolve([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, 0, 0, 1, 0, 0, pi / 2)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("nozzle.step")
gmsh.finalize()
