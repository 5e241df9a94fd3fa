"""Atoms -> beads."""
