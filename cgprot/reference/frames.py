"""What is asked of the frames of trajectories before they are mapped or labelled."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.files.periodic import AtomChunk
from cgprot.mapping.build import build_system
from cgprot.mapping.forcemaps import optimal_force_map
from cgprot.mapping.project import LinearMap, Projection
from cgprot.mapping.rules import MappingRules
from cgprot.mapping.sites import describe_atom, find_heavy_atoms

_BOND_RATIOS = 0.5, 1.6  # of a bond to its reference; vibrations and force fields differ by far less
SAMPLE_FRAMES = 500  # for an optimal force map; its tens of coefficients per bead need no more


def trajectory_temperature(trajectory: Path, temperature: float | None) -> float:
    """The temperature [K] given, or the one `cgprot sample` recorded for this file.

    Raises
    ------
    StorageError
        if there is no such file
    InputError
        if neither tells it
    UsageError
        if it is not above 0 K
    """
    if not Path(trajectory).exists():
        raise StorageError(f"{trajectory}: no such file: check the path")
    if temperature is not None:
        if not 0 < temperature < float("inf"):
            raise UsageError(f"--temperature {temperature:g}: must be a number above 0 K")
        return temperature
    recorded = recorded_temperature(trajectory)
    if recorded is None:
        raise InputError(f"{trajectory}: its temperature is not known: say --temperature")
    return recorded


def recorded_temperature(trajectory: Path) -> float | None:
    """That which `cgprot sample` wrote beside a file [K], if it did."""
    folder = Path(trajectory).parent
    if not (folder / RUN_FILE).is_file():
        return None
    found = read_run(folder).get("trajectories", {}).get(Path(trajectory).name)
    return None if found is None else float(found)


def refuse_other_temperature(trajectory: Path, temperature: float) -> None:
    """Refuse to call the forces of one temperature those of another.

    Raises
    ------
    UsageError
        if `cgprot sample` recorded another one
    """
    recorded = recorded_temperature(trajectory)
    if recorded is not None and recorded != temperature:
        raise UsageError(
            f"--temperature {temperature:g}: {trajectory} was sampled at {recorded:g} K: leave the option out"
        )


def refuse_missing_hydrogens(path: Path, topology: Topology, rules: MappingRules) -> None:
    """Refuse a topology without hydrogens if the rules count them.

    Raises
    ------
    InputError
        if an α carbon has none
    """
    if all(rule.hydrogens is None for rule in rules.bead):
        return
    bare = (topology.element == "C") & (topology.name == "CA") & (find_heavy_atoms(topology).hydrogens == 0)
    if bare.any():
        atom = describe_atom(topology, int(np.flatnonzero(bare)[0]))
        raise InputError(
            f"{path}: no hydrogen on {atom}, and mapping {rules.name} counts hydrogens: complete the "
            "structure (`cgprot sample` does) or use a mapping that does not (ca)"
        )


def projection_for(
    topology: Topology, system: BeadSystem, rules: MappingRules, chunks: Iterable[AtomChunk]
) -> Projection:
    """The projection that the rules ask for; chunks are read only for an optimal force map."""
    projection = Projection(topology, system, rules)
    if rules.force != "optimal":
        return projection
    positions, forces = sample_frames(chunks)
    best = optimal_force_map(positions, forces, topology.bonds, projection.position_map, projection.force_map)
    return Projection(topology, system, rules, best.force_map)


def sample_frames(
    chunks: Iterable[AtomChunk], n_frames: int = SAMPLE_FRAMES
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and forces of up to `n_frames` frames, spread over all.

    Raises
    ------
    InputError
        if there are no forces
    """
    positions: list[np.ndarray] = []
    forces: list[np.ndarray] = []
    stride, seen = 1, 0
    for chunk in chunks:
        if chunk.forces is None:
            raise InputError(
                "no forces in the trajectories: give a format that holds them (TRR, H5MD, NetCDF)"
            )
        for offset in range(len(chunk.number)):
            if seen % stride == 0:
                # Copies: a chunk's buffer is used again.
                positions.append(chunk.positions[offset].copy())
                forces.append(chunk.forces[offset].copy())
            seen += 1
        if len(positions) > 2 * n_frames:
            positions, forces, stride = positions[::2], forces[::2], 2 * stride
    if not positions:
        raise InputError("no sound frame in the trajectories: give others")
    step = -(-len(positions) // n_frames)
    return np.array(positions[::step]), np.array(forces[::step])


def plain_maps(topology: Topology, rules: MappingRules) -> dict[str, LinearMap]:
    """The "sum" and "slice" force maps of a mapping, whichever it names itself."""
    maps = {}
    for kind in ("sum", "slice"):
        changed = rules.model_copy(update={"force": kind})
        maps[kind] = Projection(topology, build_system(topology, changed), changed).force_map
    return maps


def distorted(
    topology: Topology, reference: np.ndarray, positions: np.ndarray, time: np.ndarray
) -> dict[int, str]:
    """The frames whose bonds are not those of the structure, by number, and what is wrong with each.

    A bond must be half to 1.6 times as long as in the structure.

    Parameters
    ----------
    topology : all atoms
    reference : (n_atoms, 3) [Å], the structure
    positions : (n_frames, n_atoms, 3) [Å]
    time : (n_frames,) [ps]
    """
    first, second = topology.bonds.T
    expected = np.linalg.norm(reference[first] - reference[second], axis=-1)
    shortest, longest = _BOND_RATIOS
    found = {}
    for number, frame in enumerate(positions):
        ratio = np.linalg.norm(frame[first] - frame[second], axis=-1) / expected
        # Not-a-number is inside no interval.
        bad = np.flatnonzero(~((ratio >= shortest) & (ratio <= longest)))
        if len(bad):
            bond = bad[0]
            atoms = " - ".join(
                f"{topology.residue_name[k]} {topology.residue_id[k]} {topology.name[k]}"
                for k in (first[bond], second[bond])
            )
            found[number] = (
                f"frame {number} ({time[number]:g} ps): bond {atoms} is {ratio[bond] * expected[bond]:.2f}, "
                f"{expected[bond]:.2f} Å in the structure: give the structure that has the frames' order of "
                "atoms, leave that frame out, or move it less"
            )
    return found
