"""From a CAD file or a mesh to facts about it, and to a tetrahedral mesh. gmsh runs only in processes of this package."""
