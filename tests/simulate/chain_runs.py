"""Runs of the chain that tests kill, resume and compare."""

import pytest
from chain import chain_forces, chain_start

from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.run import simulate
from cgprot.simulate.state import CHECKPOINT

REPLICAS = 3


def config(**changed):
    settings = {"temperature": 300.0, "time_ps": 0.4, "replicas": REPLICAS, "output_every_ps": 0.02}
    return SimulateConfig(**(settings | {"checkpoint_every_ps": 0.1, "seed": 5} | changed))


def simulate_chain(folder, forces=chain_forces, start=None, **changed):
    changed = {name.rstrip("_"): value for name, value in changed.items()}
    simulate(start or chain_start(), forces, config(**changed), folder, {"model": {"name": "chain"}}, [])


def results(folder):
    names = [path.name for path in folder.iterdir() if path.suffix in (".dcd", ".csv", ".psf", ".pdb")]
    return {name: (folder / name).read_bytes() for name in [*names, CHECKPOINT]}


class At:
    """chain_forces, but for one call."""

    def __init__(self, call, action):
        self.call, self.action, self.calls = call, action, 0

    def __call__(self, positions):
        self.calls += 1
        energy, forces = chain_forces(positions)
        return self.action(energy, forces) if self.calls == self.call else (energy, forces)


class Killed(Exception):
    pass


def kill(*_):
    raise Killed


def killed(folder, call, **changed):
    """The folder of a run that ended in a call of its forces."""
    with pytest.raises(Killed):
        simulate_chain(folder, At(call, kill), **changed)
    return folder


def too_strong(energy, forces):
    """What a network gives where it knows nothing."""
    forces[1, 3] = [0.0, 3000.0, 4000.0]
    return energy, forces
