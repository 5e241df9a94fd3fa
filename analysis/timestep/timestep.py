"""Which time steps chignolin bears: temperatures and bond lengths at 1, 2 and 4 fs.

    python analysis/timestep/timestep.py [--time-ps 8] [--replicas 2] [--model heavy-demo]

Every step size starts from the same structure and thermalises for 2 ps with a friction of 10/ps. Compared are
the kinetic temperature, the temperature by the virial theorem, which sees the positions alone, and mean and
spread of every kind of bond. Standard errors are those of blocks of 1 ps.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cgprot.model.checkpoint import load_model
from cgprot.simulate.forces import choose_forces
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import kinetic_temperature
from cgprot.simulate.start import load_start
from cgprot.units import BOLTZMANN, FS_PER_PS

STRUCTURE = Path(__file__).parents[2] / "examples" / "chignolin_300K.pdb"
TEMPERATURE, FRICTION, RELAXATION_PS, BLOCK_PS = 300.0, 10.0, 2.0, 1.0
TIMESTEPS_FS = (1.0, 2.0, 4.0)
SAMPLE_PS = 0.02


def virial_temperature(positions, forces):
    """[K] by the virial theorem, -Σ F·(x - centre) / (3 (n - 1) k): of the positions alone."""
    centred = positions - positions.mean(axis=1, keepdims=True)
    virial = -(forces * centred).sum(axis=(1, 2))
    return virial / (3 * (positions.shape[1] - 1) * BOLTZMANN)


def run(system, forces, start, timestep_fs, time_ps):
    """Temperatures (n_samples, 2, n_replicas), bond lengths (n_samples, n_replicas, n_bonds), energies."""
    timestep = timestep_fs / FS_PER_PS
    integrator = Integrator(
        "langevin", system.mass, timestep, FRICTION, TEMPERATURE, 5, np.arange(len(start))
    )
    x, v = start, integrator.starting_velocities()
    relaxation, every = round(RELAXATION_PS / timestep), round(SAMPLE_PS / timestep)
    force, samples = forces(x)[1], []
    steps = tqdm(
        range(relaxation + round(time_ps / timestep)), f"{timestep_fs:g} fs", disable=not sys.stderr.isatty()
    )
    for step in steps:
        x, v = integrator.step(x, v, force, step)
        energy, force = forces(x)
        if step >= relaxation and step % every == 0:
            bonds = np.linalg.norm(x[:, system.bonds[:, 0]] - x[:, system.bonds[:, 1]], axis=-1)
            kinetic = kinetic_temperature(v, system.mass)
            samples.append((kinetic, virial_temperature(x, force), energy, bonds))
    return [np.array(values) for values in zip(*samples, strict=True)]


def mean_and_error(values):
    """Over samples and replicas (n_samples, n_replicas), by blocks."""
    blocks = max(1, round(len(values) * SAMPLE_PS / BLOCK_PS))
    means = np.concatenate([block.mean(axis=0) for block in np.array_split(values, blocks)])
    return means.mean(), means.std(ddof=1) / np.sqrt(len(means))


def kinds_of_bonds(system):
    """Name of the two bead types -> the bonds between them."""
    names = ["-".join(sorted(system.type_name[bond].tolist())) for bond in system.bonds]
    return {name: np.flatnonzero(np.array(names) == name) for name in sorted(set(names))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="heavy-demo")
    parser.add_argument("--time-ps", type=float, default=8.0)
    parser.add_argument("--replicas", type=int, default=2)
    options = parser.parse_args()
    potential, metadata = load_model(options.model)
    start = load_start(STRUCTURE, metadata["mapping"])
    system = start.system
    forces, _ = choose_forces(
        "compressed", potential, system.bead_type, system.charge, start.positions, options.replicas
    )
    positions = np.repeat(start.positions[:1].astype(np.float64), options.replicas, 0)
    results = {
        timestep: run(system, forces, positions, timestep, options.time_ps) for timestep in TIMESTEPS_FS
    }
    show(results, kinds_of_bonds(system))


def show(results, kinds):
    """Print the tables."""
    print("| Δt [fs] | kinetic T [K] | virial T [K] | potential energy [kcal/mol] |\n|---|---|---|---|")
    for timestep, (kinetic, virial, energy, _) in results.items():
        cells = ["{:.1f} ± {:.1f}".format(*mean_and_error(values)) for values in (kinetic, virial, energy)]
        print(f"| {timestep:g} | {' | '.join(cells)} |")
    print("\n| bond | number |" + "".join(f" {timestep:g} fs |" for timestep in results))
    print("|---|---|" + "---|" * len(results))
    for name, bonds in kinds.items():
        cells = [
            f"{lengths[..., bonds].mean():.4f} ({lengths[..., bonds].std(axis=(0, 1)).mean():.4f})"
            for *_, lengths in results.values()
        ]
        print(f"| {name} | {len(bonds)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
