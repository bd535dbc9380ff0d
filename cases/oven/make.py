"""Draws ``oven.step``: the air in an oven and the load on its shelf, two bodies that touch; lengths in mm.

The oven is 400 wide (x), 300 high (y) and 300 deep (z); the load, 160 by 80, hangs in its middle over the full depth.

Run ``python make.py`` in this folder.
"""

import re
from pathlib import Path

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
room = cad.addBox(0, 0, 0, 400, 300, 300)
load = cad.addBox(120, 90, 0, 160, 80, 300)
cad.fragment([(3, room)], [(3, load)])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("oven.step")
gmsh.finalize()
# the kernel writes a name of its own for every body, in the order of the bodies
file = Path("oven.step")
text = file.read_text()
for number, name in enumerate(("load", "air"), 1):
    text = re.sub(rf"'Open CASCADE STEP translator [\d.]+ 1\.{number}'", f"'{name}'", text)
file.write_text(text)
