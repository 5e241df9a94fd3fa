"""What a network learns with and without charge and spin as inputs, from labels.npz.

    python compare.py ../../docs/charge-and-spin.png        trains four small networks, in a minute or two

Positions and bead types are the same in all states of a system, and so is the answer of a network that sees
nothing else: no such network can come below the floor, which is the spread of the labels over the states.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch

from cgprot.model.graph import Graph, build_graph, join_graphs
from cgprot.model.potential import ModelConfig, Potential

CUTOFF = 4.0  # Å
N_TRAINING = 24  # frames; the others are held out


class Study(NamedTuple):
    """One system: its states, and the inputs that tell them apart."""

    name: str
    types: tuple[int, ...]
    states: tuple[str, ...]
    inputs: tuple[dict, ...]  # of build_graph, one for each state
    config: dict  # of ModelConfig, the model that sees them
    layers: int
    schedule: tuple[float, float, float]  # of the model that sees them, see `fit`
    own_zero: bool  # whether the energies of each state count from their own mean


STUDIES = (
    Study(
        name="methylene",
        types=(1, 2, 2),
        states=("singlet", "triplet", "cation, doublet", "cation, quartet"),
        inputs=tuple({"total_charge": Q, "spin": S} for Q, S in ((0, 0), (0, 1), (1, 0.5), (1, 1.5))),
        config={"charge": "total", "spin": True},
        layers=1,
        schedule=(0.03, 0.99, 0.2),
        own_zero=False,
    ),
    Study(
        name="formic",
        types=(2, 9, 9),
        states=("acid", "anion"),
        inputs=({"total_charge": 0}, {"total_charge": -1}),
        config={"charge": "total"},
        layers=2,
        schedule=(0.01, 0.999, 0.3),
        own_zero=True,  # the proton that left is in no bead
    ),
)


class Labels(NamedTuple):
    """All states of some frames as one batch, state by state."""

    graph: Graph
    energy: torch.Tensor  # (n_states, n_frames) [kcal/mol]
    forces: torch.Tensor  # (n_states, n_frames, n_beads, 3) [kcal/mol/Å]


def read_labels(study: Study, chosen: slice) -> Labels:
    """Some frames of a study, its energies about the mean of the training frames."""
    with np.load(Path(__file__).with_name("labels.npz")) as file:
        positions, energy, forces = (file[f"{study.name}_{key}"] for key in ("positions", "energy", "forces"))
    zero = energy[:, :N_TRAINING].mean(axis=1 if study.own_zero else None, keepdims=True)
    graphs = [
        build_graph(positions[chosen], np.array(study.types), CUTOFF, torch.float64, **inputs)
        for inputs in study.inputs
    ]
    return Labels(
        graph=join_graphs(graphs),
        energy=torch.from_numpy((energy - zero)[:, chosen]),
        forces=torch.from_numpy(forces[:, chosen]),
    )


def fit(
    study: Study, config: dict, steps: int, schedule: tuple = (0.03, 0.99, 0.2), seed: int = 0
) -> Potential:
    """A small TensorNet after so many steps of Adam over all training frames at once; in float64.

    `schedule`: the largest learning rate, the second β of Adam, and the part of the steps before the largest.
    """
    learning_rate, beta, rise = schedule
    torch.manual_seed(seed)
    labels = read_labels(study, slice(N_TRAINING))
    potential = Potential(
        ModelConfig(channels=16, layers=study.layers, rbf=12, cutoff=CUTOFF, **config)
    ).double()
    potential.energy_scale.copy_(labels.forces.square().mean().sqrt())
    optimiser = torch.optim.Adam(potential.parameters(), betas=(0.9, beta))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=steps, pct_start=rise
    )
    scales = labels.energy.square().mean(), labels.forces.square().mean()
    for _ in range(steps):
        energy, forces = potential.energy_and_forces(labels.graph, create_graph=True)
        loss = (energy - labels.energy.ravel()).square().mean() / scales[0]
        loss = loss + (forces - labels.forces.reshape(-1, 3)).square().mean() / scales[1]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(potential.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return potential


class Errors(NamedTuple):
    """Root mean square errors of every state; (n_states,)."""

    energy: np.ndarray  # [kcal/mol]
    forces: np.ndarray  # [kcal/mol/Å]


def root_mean_square(difference: torch.Tensor) -> np.ndarray:
    """One number for each state."""
    return difference.flatten(1).square().mean(1).sqrt().numpy()


def held_out_errors(study: Study, potential: Potential) -> Errors:
    labels = read_labels(study, slice(N_TRAINING, None))
    energy, forces = potential.energy_and_forces(labels.graph)
    return Errors(
        root_mean_square(energy.reshape(labels.energy.shape) - labels.energy),
        root_mean_square(forces.reshape(labels.forces.shape) - labels.forces),
    )


def floor(study: Study) -> Errors:
    """The least error, over all states together, of any function of positions and bead types."""
    labels = read_labels(study, slice(N_TRAINING, None))
    return Errors(
        root_mean_square(labels.energy - labels.energy.mean(0)),
        root_mean_square(labels.forces - labels.forces.mean(0)),
    )


def total(errors: np.ndarray) -> float:
    """The root mean square over the states."""
    return float(np.sqrt(np.mean(errors**2)))


class Row(NamedTuple):
    """Errors over all states of a system."""

    system: str
    model: str  # "without", "floor" or "with"
    energy: float  # [kcal/mol]
    forces: float  # [kcal/mol/Å]


def draw(rows: list[Row], path: Path) -> None:
    """Held-out errors beside the floor of what sees positions and bead types alone, on a log scale."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.4))
    labels = {"without": "without", "floor": "floor without", "with": "with charge and spin"}
    colours = {"without": "#b0b0b0", "floor": "#606060", "with": "#1f6f8b"}
    systems = list(dict.fromkeys(row.system for row in rows))
    units = {"energy": "kcal/mol", "forces": "kcal/mol/Å"}
    for panel, (quantity, unit) in zip(panels, units.items(), strict=True):
        for k, model in enumerate(labels):
            values = [getattr(row, quantity) for row in rows if row.model == model]
            x = np.arange(len(systems)) + 0.27 * (k - 1)
            bars = panel.bar(x, values, 0.25, color=colours[model], label=labels[model])
            panel.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        panel.set_xticks(np.arange(len(systems)), systems)
        panel.set_yscale("log")
        panel.set_ylabel(f"RMSE of {quantity} ({unit})")
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    figure.savefig(path, dpi=150)


def main(path: Path, steps: int = 1000) -> None:
    torch.set_num_threads(1)
    rows = []
    print("system      inputs    energy RMSE [kcal/mol]   force RMSE [kcal/mol/Å]")
    for study in STUDIES:
        without = held_out_errors(study, fit(study, {}, steps))
        with_inputs = held_out_errors(study, fit(study, study.config, steps, study.schedule))
        for name, errors in (("without", without), ("floor", floor(study)), ("with", with_inputs)):
            rows.append(Row(study.name, name, total(errors.energy), total(errors.forces)))
            print(f"{study.name:<11} {name:<8} {rows[-1].energy:>12.2f} {rows[-1].forces:>22.2f}", flush=True)
    draw(rows, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
