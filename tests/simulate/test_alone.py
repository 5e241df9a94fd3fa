"""A replica is the same, to the last bit, alone and among 64."""

import numpy as np
import pytest
import torch
from chain import N_BEADS, chain_forces, chain_start, chain_system

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import tabulate
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import forces_from
from cgprot.simulate.run import simulate

MANY, LAST = 64, 63


def _springs(n_replicas):
    return chain_forces


def _potential():
    torch.manual_seed(3)
    return Potential(ModelConfig(channels=8, layers=1, rbf=8)).double()


def _engine(n_threads):
    compressed = tabulate(_potential(), 256)

    def forces(n_replicas):
        return CpuEngine(compressed, chain_system().bead_type, n_replicas, n_threads=n_threads)

    return forces


def _network(n_replicas):
    return forces_from(_potential(), chain_system().bead_type)


def _on_springs(forces):
    """An untrained network would blow up: springs hold it."""

    def both(positions):
        energy, force = forces(positions)
        spring_energy, spring_force = chain_forces(positions)
        return energy + spring_energy, force + spring_force

    return both


@pytest.mark.parametrize("kind", ["springs", "engine", "engine on 2 threads"])
def test_replica_is_the_same_alone_and_among_64(tmp_path, kind):
    forces_of = _springs if kind == "springs" else _engine(2 if "2" in kind else 1)
    config = SimulateConfig(
        time_ps=0.04, replicas=MANY, output_every_ps=0.01, checkpoint_every_ps=0.04, friction_per_ps=5.0
    )
    simulate(chain_start(), _on_springs(forces_of(MANY)), config, tmp_path / "many", {}, [])
    alone = config.model_copy(update={"replicas": 1})
    simulate(chain_start(), _on_springs(forces_of(1)), alone, tmp_path / "alone", {}, [])
    name = "replica_000.dcd"
    assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert (tmp_path / "many" / "replica_063.dcd").read_bytes() != (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize("kind", ["engine", "engine on 2 threads", "network"])
@pytest.mark.parametrize("place", [1, 37, LAST])
def test_forces_do_not_depend_on_the_company(kind, place):
    """Any place among 64, and whatever the others are at."""
    forces_of = _network if kind == "network" else _engine(2 if "2" in kind else 1)
    shake = np.random.default_rng(1).normal(scale=0.1, size=(MANY, N_BEADS, 3))
    positions = chain_start().positions + shake
    energy, forces = forces_of(MANY)(positions)
    alone_energy, alone_forces = forces_of(1)(positions[place : place + 1])
    assert energy[place] == alone_energy[0]
    np.testing.assert_array_equal(forces[place], alone_forces[0])
