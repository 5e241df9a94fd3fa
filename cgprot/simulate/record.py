"""What a run leaves behind: trajectories, a log, checkpoints."""

import os
from pathlib import Path

import numpy as np

from cgprot.beads import BeadSystem
from cgprot.errors import StorageError
from cgprot.files.dcd import DcdFile
from cgprot.files.universe import write_pdb
from cgprot.simulate.langevin import kinetic_energy, kinetic_temperature
from cgprot.simulate.state import SimulationState, write_checkpoint

LOG_FILE = "log.csv"
SYSTEM_PSF = "system.psf"
SYSTEM_PDB = "system.pdb"
_COLUMNS = "step,time_ps,replica,temperature_K,potential_energy_kcal_mol,kinetic_energy_kcal_mol"


def trajectory_name(replica: int) -> str:
    """The file of one replica, counted from 0."""
    return f"replica_{replica:03d}.dcd"


class Record:
    """The growing files of a run folder.

    Frame k is that of step k * interval_steps; frame 0 is the start. The log has a row for every
    frame of every replica, with the kinetic energy right after the Ornstein-Uhlenbeck part.
    """

    def __init__(
        self, folder: Path, system: BeadSystem, trajectories: list[DcdFile], timestep_ps: float
    ) -> None:
        self._folder = Path(folder)
        self._system = system
        self._trajectories = trajectories
        self._timestep_ps = timestep_ps

    @classmethod
    def create(
        cls, folder: Path, system: BeadSystem, n_replicas: int, interval_steps: int, timestep_ps: float
    ) -> "Record":
        """Begin the files in an empty folder."""
        paths = [Path(folder) / trajectory_name(replica) for replica in range(n_replicas)]
        trajectories = [DcdFile.create(path, system.n_beads, interval_steps, timestep_ps) for path in paths]
        record = cls(folder, system, trajectories, timestep_ps)
        record._write_log([_COLUMNS])
        return record

    @classmethod
    def reopen(
        cls, folder: Path, system: BeadSystem, state: SimulationState, interval_steps: int, timestep_ps: float
    ) -> "Record":
        """Cut the files back to a checkpoint and go on behind it.

        Raises
        ------
        StorageError
            if they do not reach the checkpoint
        """
        n_replicas, n_frames = len(state.positions), state.step // interval_steps + 1
        _cut_lines(Path(folder) / LOG_FILE, 1 + n_frames * n_replicas)
        paths = [Path(folder) / trajectory_name(replica) for replica in range(n_replicas)]
        return cls(folder, system, [DcdFile.reopen(path, n_frames) for path in paths], timestep_ps)

    def frame(self, state: SimulationState, energy: np.ndarray) -> None:
        """Append a frame and a row of the log for every replica; `energy` (n_replicas,) [kcal/mol]."""
        for trajectory, positions in zip(self._trajectories, state.positions, strict=True):
            trajectory.append(positions)
        temperature = kinetic_temperature(state.velocities, self._system.mass)
        kinetic = kinetic_energy(state.velocities, self._system.mass)
        start = f"{state.step},{state.step * self._timestep_ps:.12g}"
        self._write_log(
            f"{start},{replica},{temperature[replica]:.3f},{energy[replica]:.6f},{kinetic[replica]:.6f}"
            for replica in range(len(energy))
        )

    def checkpoint(self, state: SimulationState) -> None:
        """Bring frames and log to the disk, then write the checkpoint that counts on them."""
        self.sync()
        write_checkpoint(self._folder, state)

    def sync(self) -> None:
        """Bring frames and log to the disk."""
        for trajectory in self._trajectories:
            trajectory.sync()
        with open(self._folder / LOG_FILE, "rb+") as stream:
            os.fsync(stream.fileno())

    def last_good(self, positions: np.ndarray, replica: int) -> Path:
        """Write (n_beads, 3) [Å] of a replica that went wrong, centred so that a PDB can hold it."""
        path = self._folder / f"last_good_replica_{replica:03d}.pdb"
        write_pdb(path, self._system, positions - positions.mean(axis=0))
        return path

    def _write_log(self, lines) -> None:
        path = self._folder / LOG_FILE
        try:
            with open(path, "a") as stream:
                stream.writelines(line + "\n" for line in lines)
        except OSError as error:
            raise StorageError(f"{path}: could not be written ({error}): free space, then resume")


def _cut_lines(path: Path, n_lines: int) -> None:
    """Cut a text file to its first lines."""
    try:
        with open(path, "rb+") as stream:
            kept = sum(1 for _, line in zip(range(n_lines), stream, strict=False) if line.endswith(b"\n"))
            if kept < n_lines:
                raise StorageError(f"{path}: holds {kept} lines, not {n_lines}: restore it from a copy")
            stream.truncate(stream.tell())
            os.fsync(stream.fileno())
    except FileNotFoundError:
        raise StorageError(f"{path}: missing: restore it from a copy")
