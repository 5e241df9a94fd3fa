"""In a periodic box the network and the compressed engine feel the same images."""

import numpy as np
import pytest
from engines import TYPES, cluster, potential_of

from cgprot.engine.cpu import engine_forces
from cgprot.engine.tables import tabulate
from cgprot.simulate.forces import choose_forces, forces_from, recorded_forces

# Edges of two cutoffs and more, and of much less: there a bead meets several images of another, and its own.
BOXES = {
    "large": np.diag([10.4, 10.1, 11.0]),
    "small": np.diag([8.0, 7.0, 9.0]),
    "smaller than the cutoff": np.array([[4.7, 0, 0], [1.3, 6.0, 0], [-0.8, 2.0, 5.5]]),
}
CHARGE = np.zeros(len(TYPES))


@pytest.fixture(scope="module")
def potential():
    return potential_of(layers=1)


@pytest.mark.parametrize("name", BOXES)
def test_network_and_compressed_engine_agree(potential, name):
    box, positions = BOXES[name], (1.5 if name == "large" else 0.9) * cluster(n_replicas=2)
    positions = positions + np.random.default_rng(1).integers(-2, 3, size=(2, 1, 3)) @ box
    energy, force = forces_from(potential.double(), TYPES, box=box)(positions)
    fast = engine_forces(tabulate(potential, 2048), TYPES, 2, np.float64, box)(positions)
    np.testing.assert_allclose(fast[0], energy, rtol=1e-6)
    np.testing.assert_allclose(fast[1], force, atol=1e-6 * np.abs(force).max())
    free = forces_from(potential, TYPES)(positions)[1]
    assert np.abs(force - free).max() > 1e-3 * np.abs(force).max()  # the images are felt


def test_which_image_a_bead_is_does_not_matter(potential):
    box, positions = BOXES["small"], 0.9 * cluster()
    moved = positions + np.random.default_rng(2).integers(-3, 4, size=positions.shape) @ box
    for forces in (
        forces_from(potential.double(), TYPES, box=box),
        engine_forces(tabulate(potential, 2048), TYPES, 1, np.float64, box),
    ):
        np.testing.assert_allclose(forces(moved)[0], forces(positions)[0], rtol=1e-10)
        np.testing.assert_allclose(forces(moved)[1], forces(positions)[1], atol=1e-9)


def test_forces_in_a_box_are_the_slope_of_the_energy(potential):
    forces, positions, h = forces_from(potential.double(), TYPES, box=BOXES["small"]), 0.9 * cluster(), 1e-5
    force = forces(positions)[1]
    for bead, axis in ((0, 0), (7, 2)):
        shift = np.zeros_like(positions)
        shift[0, bead, axis] = h
        slope = (forces(positions + shift)[0] - forces(positions - shift)[0]) / (2 * h)
        np.testing.assert_allclose(force[0, bead, axis], -slope[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("engine", ["network", "compressed"])
def test_the_box_is_passed_on(potential, engine):
    box, positions = BOXES["small"], 0.9 * cluster()
    exact = forces_from(potential.double(), TYPES, box=box)(positions)
    forces, record = choose_forces(engine, potential.float(), TYPES, CHARGE, positions, 1, box=box)
    again = recorded_forces(record, potential, TYPES, CHARGE, 1, box=box)
    np.testing.assert_allclose(forces(positions)[1], exact[1], atol=1e-4 * np.abs(exact[1]).max())
    np.testing.assert_array_equal(again(positions)[1], forces(positions)[1])
