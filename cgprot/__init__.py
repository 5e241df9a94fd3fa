"""Coarse-grained protein dynamics without hydrogens.

structure, trajectory -> beads -> dataset -> model -> simulation -> analysis
"""

__version__ = "0.1.0"
