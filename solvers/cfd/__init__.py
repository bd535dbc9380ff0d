"""Fluids: flow and heat by finite elements, and OpenFOAM as an outside engine."""
