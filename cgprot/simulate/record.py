"""What a run leaves behind: trajectories, logs, checkpoints."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cgprot.beads import BeadSystem
from cgprot.errors import StorageError
from cgprot.files.dcd import Cell, DcdFile, check_dcd
from cgprot.files.folder import amend_run, sha256_of
from cgprot.files.growing import GrowingFile, check_tail
from cgprot.files.universe import write_pdb
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.langevin import kinetic_energy, kinetic_temperature, on_step_velocities
from cgprot.simulate.state import (
    Checkpoint,
    SimulationState,
    Stopped,
    read_checkpoint,
    write_checkpoint,
)

LOG_FILE = "log.csv"
SYSTEM_PSF = "system.psf"
SYSTEM_PDB = "system.pdb"
UNITS = {"replica": "Å", "velocities": "Å/ps", "forces": "kcal/mol/Å"}  # of the trajectories, by name
_COLUMNS = (
    "step,time_ps,replica,temperature_K,potential_energy_kcal_mol,kinetic_energy_kcal_mol,bath_temperature_K"
)


def trajectory_name(replica: int, quantity: str = "replica") -> str:
    """The file of one replica, counted from 0; quantities other than positions by their own name."""
    return f"{quantity}_{replica:03d}.dcd"


class Record:
    """The growing files of a run folder.

    Frame k is that of step k * output_steps; frame 0 is the start. The log has a row for every frame
    of every replica. Velocities and kinetic energies are those right after the Ornstein-Uhlenbeck part,
    or, without one, at the time of the positions. Positions are the true ones, not centred: a replica that
    diffused 100 Å away keeps 1e-5 Å in float32, one that diffused 10,000 Å keeps 1e-3 Å.
    Checkpoints hold float64.
    """

    def __init__(
        self,
        folder: Path,
        system: BeadSystem,
        config: SimulateConfig,
        trajectories: dict[str, DcdFile],
        logs: dict[str, GrowingFile],
    ) -> None:
        self._folder, self._system, self._config = Path(folder), system, config
        self._trajectories, self._logs = trajectories, logs
        self._system_sha256 = sha256_of(self._folder / SYSTEM_PSF)

    @classmethod
    def create(
        cls, folder: Path, system: BeadSystem, config: SimulateConfig, logs: dict[str, str] | None = None
    ) -> "Record":
        """Begin the files in a folder that holds system.psf.

        Parameters
        ----------
        logs : headers of further logs that `log` will write to, by file name
        """
        trajectories = {
            name: DcdFile.create(
                Path(folder) / name, system.n_beads, config.output_steps, config.timestep_ps, cell=cell
            )
            for name, cell in _trajectories(config).items()
        }
        headers = {LOG_FILE: _COLUMNS} | (logs or {})
        growing = {
            name: GrowingFile.create(Path(folder) / name, f"{header}\n".encode())
            for name, header in headers.items()
        }
        return cls(folder, system, config, trajectories, growing)

    @classmethod
    def reopen(
        cls, folder: Path, system: BeadSystem, config: SimulateConfig, checkpoint: Checkpoint
    ) -> "Record":
        """Cut the files back to a checkpoint that `newest_checkpoint` gave, and go on behind it."""
        trajectories, logs = {}, {}
        for name, mark in checkpoint.files.items():
            if name.endswith(".dcd"):
                trajectories[name] = DcdFile.reopen(Path(folder) / name, mark)
            else:
                logs[name] = GrowingFile.reopen(Path(folder) / name, mark)
        return cls(folder, system, config, trajectories, logs)

    def frame(self, state: SimulationState, energy: np.ndarray, forces: np.ndarray) -> None:
        """Append a frame and a row of the log for every replica that runs.

        Parameters
        ----------
        energy : (n_replicas,) [kcal/mol]
        forces : (n_replicas, n_beads, 3) [kcal/mol/Å]
        """
        running = np.flatnonzero(state.running).tolist()
        velocities = self._measured(state.velocities, forces)
        arrays = {"replica": state.positions, "velocities": velocities, "forces": forces}
        for quantity in _quantities(self._config):
            for replica in running:
                self._trajectories[trajectory_name(replica, quantity)].append(arrays[quantity][replica])
        temperature = kinetic_temperature(velocities, self._system.mass)
        kinetic = kinetic_energy(velocities, self._system.mass)
        start = f"{state.step},{state.step * self._config.timestep_ps:.12g}"
        rows = [
            f"{start},{replica},{temperature[replica]:.3f},{energy[replica]:.6f},{kinetic[replica]:.6f},"
            f"{state.temperature[replica]:g}\n"
            for replica in running
        ]
        self.log("".join(rows))

    def _measured(self, velocities: np.ndarray, forces: np.ndarray) -> np.ndarray:
        """As written: those of verlet at the time of the positions, which keep the total."""
        if self._config.scheme != "verlet":
            return velocities
        return on_step_velocities(velocities, forces, self._system.mass, self._config.timestep_ps)

    def log(self, lines: str, name: str = LOG_FILE) -> None:
        """Append whole lines to a log, in a step that is due (`Loop`)."""
        if lines:  # nothing would be an end that no resumption can check
            self._logs[name].append(lines.encode())

    def checkpoint(self, state: SimulationState) -> None:
        """Bring frames and logs to the disk, then write the checkpoint that counts on them."""
        files: dict[str, DcdFile | GrowingFile] = {**self._trajectories, **self._logs}
        for file in files.values():
            file.sync()
        marks = {name: file.mark for name, file in files.items()}
        config = self._config.model_dump(mode="json")
        write_checkpoint(self._folder, Checkpoint(state, marks, config, self._system_sha256))

    def last_good(self, positions: np.ndarray, replica: int) -> Path:
        """Write (n_beads, 3) [Å] of a replica that went wrong, centred so that a PDB can hold it."""
        path = self._folder / last_good_name(replica)
        write_pdb(path, self._system, positions - positions.mean(axis=0), self._config.box)
        return path

    def note_stopped(self, stopped: tuple[Stopped, ...]) -> None:
        """State in run.json which replicas have stopped; the checkpoint knows it too."""
        amend_run(self._folder, stopped=[entry._asdict() for entry in stopped])


def last_good_name(replica: int | str) -> str:
    """The file that keeps the last good frame of a replica."""
    return f"last_good_replica_{replica:03d}.pdb" if isinstance(replica, int) else "last_good_replica_*.pdb"


def newest_checkpoint(folder: Path, tell: Callable[[str], object]) -> Checkpoint:
    """The newest checkpoint whose files reach it and end there in the bytes that were written.

    Raises
    ------
    StorageError
        if there is none
    """

    def check(checkpoint: Checkpoint) -> None:
        for name, mark in checkpoint.files.items():
            if name.endswith(".dcd"):
                check_dcd(folder / name, mark)
            check_tail(folder / name, mark)
        if sha256_of(folder / SYSTEM_PSF) != checkpoint.system_sha256:
            raise StorageError(f"{folder / SYSTEM_PSF}: has changed since the run began: restore it")

    return read_checkpoint(folder, check, tell)


def _quantities(config: SimulateConfig) -> list[str]:
    wanted = {"replica": True, "velocities": config.velocities, "forces": config.forces}
    return [quantity for quantity in UNITS if wanted[quantity]]


def _trajectories(config: SimulateConfig) -> dict[str, Cell | None]:
    """Their names and unit cells; velocities and forces have none."""
    return {
        trajectory_name(replica, quantity): config.box if quantity == "replica" else None
        for quantity in _quantities(config)
        for replica in range(config.replicas)
    }
