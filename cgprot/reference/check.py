"""`cgprot map --check`: the force maps of a mapping side by side, on the user's data."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cgprot.beads import Topology, neighbours_of
from cgprot.errors import InputError
from cgprot.files.folder import write_whole
from cgprot.files.mdcath import MdcathFile, is_mdcath_path
from cgprot.files.periodic import Bonded
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.forcemaps import FEWEST_FRAMES, optimal_force_map, rigid_bonds
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import MappingRules
from cgprot.reference.frames import plain_maps, refuse_missing_hydrogens, sample_frames

_CHECK_FRAMES = 1000
_BLOCKS = 10
# The scatter of a z-score's root mean square over many pairs is a few per cent around 1.
_AGREE = 1.5


class MapCheck(NamedTuple):
    """One force map on held-out frames.

    Attributes
    ----------
    name : "sum", "slice" or "optimal"
    net_force : root mean square of the total force on all beads [kcal/mol/Å]
    rms_force : root mean square component of a bead force [kcal/mol/Å]
    excess_noise : noise beyond that of the least noisy map [kcal/mol/Å], as all have one mean force
    disagreement : root mean square z-score of its mean against that of "sum"; 1 is agreement
    forces : (n_frames, n_beads, 3) [kcal/mol/Å]
    """

    name: str
    net_force: float
    rms_force: float
    excess_noise: float
    disagreement: float
    forces: np.ndarray


class ForceCheck(NamedTuple):
    """All maps of a mapping on one protein."""

    n_frames: int
    n_rigid: int
    n_hydrogen_bonds: int
    maps: list[MapCheck]


def check_forces(inputs: list[Path], rules: MappingRules) -> ForceCheck:
    """Compare the force maps; the optimal one is found on one half of the frames, judged on the other.

    Maps agree in the mean if their difference is independent of any function of the bead positions.
    Tested are the components along the vectors to all beads within two bonds: their means over
    blocks of frames must vanish within their scatter.

    Parameters
    ----------
    inputs : topology and trajectories, or one mdCATH file
    rules : the mapping

    Raises
    ------
    StorageError, InputError
        if a file is missing or damaged, or holds no forces
    """
    topology, positions, forces = _read(inputs)
    refuse_missing_hydrogens(inputs[0], topology, rules)
    system = build_system(topology, rules)
    projection = Projection(topology, system, rules)
    maps = plain_maps(topology, rules)
    half = len(positions) // 2
    if half < FEWEST_FRAMES:
        raise InputError(
            f"{len(positions)} frames: the optimal map is found on one half of them and judged on the other: "
            f"give {2 * FEWEST_FRAMES} or more"
        )
    best = optimal_force_map(
        positions[:half], forces[:half], topology.bonds, projection.position_map, maps["sum"]
    )
    maps["optimal"] = best.force_map
    beads = projection.positions(positions[half:])
    mapped = {name: force_map(forces[half:]) for name, force_map in maps.items()}
    least = min(float((values**2).mean()) for values in mapped.values())
    pairs = _near_pairs(system.bonds, system.n_beads)
    checks = [
        MapCheck(
            name=name,
            net_force=float(np.sqrt((values.sum(axis=1) ** 2).mean())),
            rms_force=float(np.sqrt((values**2).mean())),
            excess_noise=float(np.sqrt(max(0.0, (values**2).mean() - least))),
            disagreement=disagreement(values - mapped["sum"], beads, pairs),
            forces=values,
        )
        for name, values in mapped.items()
    ]
    with_hydrogen = (topology.element[topology.bonds] == "H").any(axis=1)
    n_rigid = len(rigid_bonds(positions, topology.bonds[with_hydrogen]))
    return ForceCheck(len(beads), n_rigid, int(with_hydrogen.sum()), checks)


def _read(inputs: list[Path]) -> tuple[Topology, np.ndarray, np.ndarray]:
    if is_mdcath_path(inputs[0]):
        with MdcathFile(inputs[0]) as file:
            domain = file.domains[0]
            topology = file.topology(domain)
            bonded = Bonded.from_bonds(topology.bonds, len(topology.element))
            chunks = (chunk for replica in file.replicas(domain) for chunk in file.chunks(replica, bonded))
            return (topology, *sample_frames(chunks, _CHECK_FRAMES))
    sources = [AtomSource(inputs[0], [path]) for path in inputs[1:]]
    chunks = (chunk for source in sources for chunk in source.chunks())
    return (sources[0].topology, *sample_frames(chunks, _CHECK_FRAMES))


def _near_pairs(bonds: np.ndarray, n_beads: int) -> np.ndarray:
    """(n_pairs, 2) int, ordered pairs of beads within two bonds."""
    near = neighbours_of(bonds, n_beads)
    pairs = [(i, j) for i in range(n_beads) for j in {*near[i]}.union(*(near[k] for k in near[i])) if i != j]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def disagreement(difference: np.ndarray, beads: np.ndarray, pairs: np.ndarray) -> float:
    """Root mean square z-score of the mean difference of two force maps along near beads.

    Parameters
    ----------
    difference : (n_frames, n_beads, 3) [kcal/mol/Å]
    beads : (n_frames, n_beads, 3) [Å]
    pairs : (n_pairs, 2) int, the force on the first along the vector to the second

    Returns
    -------
    about 1 if the conditional means are the same, 0 if the maps are
    """
    if len(pairs) == 0 or not difference.any():
        return 0.0
    vectors = beads[:, pairs[:, 1]] - beads[:, pairs[:, 0]]
    along = (difference[:, pairs[:, 0]] * vectors).sum(axis=-1) / np.linalg.norm(vectors, axis=-1)
    means = np.array([block.mean(axis=0) for block in np.array_split(along, _BLOCKS)])
    error = means.std(axis=0, ddof=1) / np.sqrt(_BLOCKS)
    moving = error > 1e-9
    # Student's t of 9 degrees of freedom has the variance 9 / 7.
    z = means.mean(axis=0)[moving] / error[moving]
    return float(np.sqrt((z**2).mean() * (_BLOCKS - 3) / (_BLOCKS - 1)))


def as_table(check: ForceCheck) -> str:
    """The comparison as text."""
    lines = [
        f"{check.n_frames} held-out frames; {check.n_rigid} of {check.n_hydrogen_bonds} X-H bonds are rigid",
        "map      net force  rms force  excess noise  mean against sum",
        "         kcal/mol/Å kcal/mol/Å kcal/mol/Å    rms z-score",
    ]
    for one in check.maps:
        verdict = "same mean" if one.disagreement < _AGREE else "ANOTHER MEAN"
        lines.append(
            f"{one.name:<8} {one.net_force:9.2f}  {one.rms_force:9.2f}  {one.excess_noise:12.2f}  "
            f"{one.disagreement:6.2f}  {verdict}"
        )
    return "\n".join(lines)


def plot_forces(check: ForceCheck, path: Path) -> None:
    """Histogram of the bead force components under every map, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    widest = max(np.abs(one.forces).max() for one in check.maps)
    edges = np.linspace(-widest, widest, 121)
    for one in check.maps:
        density = np.histogram(one.forces, edges, density=True)[0]
        axes.stairs(density, edges, label=f"{one.name}, rms {one.rms_force:.1f}")
    axes.set(xlabel="bead force component (kcal/mol/Å)", ylabel="density (Å mol/kcal)", yscale="log")
    axes.legend(frameon=False)
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=150))
