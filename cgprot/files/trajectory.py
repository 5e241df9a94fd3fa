"""All-atom trajectories with forces as GROMACS TRR: appended frame by frame, read everywhere."""

import warnings
from pathlib import Path

import MDAnalysis
import numpy as np

from cgprot.files.folder import partial_of, settle
from cgprot.units import FORCE_FROM_MDANALYSIS


class ForceTrajectory:
    """Writes positions and forces; the file has its final name once `close` was called.

    Parameters
    ----------
    path : ends in .trr; written as `path`.partial until it is complete
    n_atoms : atoms per frame
    """

    def __init__(self, path: Path, n_atoms: int) -> None:
        self._path = Path(path)
        self._partial = partial_of(self._path)
        self._universe = MDAnalysis.Universe.empty(n_atoms, trajectory=True, forces=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no box: there is none in implicit solvent
            self._writer = MDAnalysis.coordinates.TRR.TRRWriter(str(self._partial), n_atoms)

    def append(self, positions: np.ndarray, forces: np.ndarray, time: float) -> None:
        """Add a frame: (n_atoms, 3) [Å], (n_atoms, 3) [kcal/mol/Å], [ps]."""
        step = self._universe.trajectory.ts
        step.positions = positions
        step.forces = forces / FORCE_FROM_MDANALYSIS
        step.time = time
        step.data["step"] = step.frame
        step.frame += 1
        self._writer.write(self._universe.atoms)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._writer.close()
        settle(self._partial, self._path)
