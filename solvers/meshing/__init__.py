"""From a CAD file or a mesh to facts about it, and to tetrahedra. gmsh runs only in processes of this package."""
