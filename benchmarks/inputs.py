"""What benchmarks begin with: a structure's beads, and TorchMD-Net with our weights."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np

from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "chignolin.pdb"


def read_beads(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Bead types (n_beads,) and positions (n_beads, 3) [Å] of the heavy mapping."""
    source = AtomSource(path, [path])
    system = build_system(source.topology, load_rules("heavy"))
    atoms = next(iter(source)).positions[None]
    return system.bead_type, Projection(source.topology, system).positions(atoms)[0].astype(np.float64)


def load_peer() -> ModuleType:
    """The peer with our weights, as in the tests of the model."""
    spec = importlib.util.spec_from_file_location("peer", ROOT / "tests" / "model" / "peer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
