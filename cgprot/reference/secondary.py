"""Helices and strands of all-atom frames, which torchmd-net's dataset class filters by."""

import numpy as np
from MDAnalysis.analysis.dssp.pydssp_numpy import assign

from cgprot.beads import Topology

_BACKBONE = ("N", "CA", "C", "O")
_FEWEST = 6  # residues; the shortest pattern of hydrogen bonds needs as many


class SecondaryStructure:
    """Counts residues in helices and strands by hydrogen bonds (DSSP, doi:10.1002/bip.360221211).

    Parameters
    ----------
    topology : all atoms
    """

    def __init__(self, topology: Topology) -> None:
        atoms: dict[tuple, dict[str, int]] = {}
        named = np.flatnonzero(np.isin(topology.name, (*_BACKBONE, "OT1")))
        for i in named.tolist():
            key = (topology.chain[i], int(topology.residue_id[i]))
            atoms.setdefault(key, {})["O" if topology.name[i] == "OT1" else str(topology.name[i])] = i
        whole = [found for found in atoms.values() if len(found) == len(_BACKBONE)]
        self._backbone = np.array([[found[name] for name in _BACKBONE] for found in whole], dtype=int)
        self._sums, self._n_frames = np.zeros(2), 0

    def add(self, positions: np.ndarray) -> None:
        """Take frames into account, (n_frames, n_atoms, 3) [Å]."""
        self._n_frames += len(positions)
        if len(self._backbone) < _FEWEST:
            return
        for frame in positions:
            _, helix, strand = assign(frame[self._backbone].astype(np.float64)).T
            self._sums += helix.sum(), strand.sum()

    @property
    def mean(self) -> tuple[float, float]:
        """Mean numbers of residues in helices and in strands."""
        helix, strand = self._sums / max(1, self._n_frames)
        return float(helix), float(strand)
