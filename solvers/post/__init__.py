"""Pictures without a display, and the report."""
