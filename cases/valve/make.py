"""Draws ``valve.step``: a throttle valve, its block and its needle 2 mm open; lengths in mm.

Port P comes from below, 10 wide and then 6; its edge is chamfered to the seat, a cone of 60 degrees as the needle's,
from 6 to 11 wide. Between the two a gap of 1 stays open, 5 long. The oil leaves the chamber of 18 around the needle by
port A of 8 at the side. The needle, 10 thick, goes through the block's top, which it touches all around, to its knob.
A spot face surrounds each port. Run ``python make.py`` in this folder.
"""

from math import radians, tan

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
slope = tan(radians(30))
seat, lift, tip = 20, 2, 1.5
top, apex = seat + 2.5 / slope, seat + lift - 3 / slope
block = cad.addBox(-20, -20, 0, 40, 40, 60)
inside = [
    cad.addCylinder(0, 0, -1, 0, 0, 2, 8),
    cad.addCylinder(0, 0, -1, 0, 0, 15, 5),
    cad.addCylinder(0, 0, 13, 0, 0, seat - 13, 3),
    cad.addCone(0, 0, seat, 0, 0, 2.5 / slope, 3, 5.5),
    cad.addCylinder(0, 0, top, 0, 0, 40 - top, 9),
    cad.addCylinder(0, 0, 39, 0, 0, 22, 5),
    cad.addCylinder(0, 0, 33, 21, 0, 0, 4),
    cad.addCylinder(19, 0, 33, 2, 0, 0, 7),
]
cad.cut([(3, block)], [(3, tag) for tag in inside])
point, shoulder = apex + tip / slope, apex + 5 / slope
needle = [
    cad.addCone(0, 0, point, 0, 0, shoulder - point, tip, 5),
    cad.addCylinder(0, 0, shoulder, 0, 0, 70 - shoulder, 5),
    cad.addCylinder(0, 0, 70, 0, 0, 8, 12),
]
cad.fuse([(3, needle[0])], [(3, tag) for tag in needle[1:]])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("valve.step")
gmsh.finalize()
