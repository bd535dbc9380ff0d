"""Incompressible flow with heat and passive scalars, steady and unsteady."""
