"""Laws of the projection, each with a planted mistake that it catches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cgprot.errors import InputError
from cgprot.mapping.project import Projection


@pytest.fixture(scope="module")
def projection(chignolin_atoms, chignolin):
    return Projection(chignolin_atoms.topology, chignolin.system)


def matrices(project, n_atoms: int) -> np.ndarray:
    """The linear map behind a projection, (n_beads, n_atoms), found by feeding unit vectors."""
    unit = np.repeat(np.eye(n_atoms)[:, :, None], 3, axis=2)
    return project(unit)[:, :, 0].T


def is_consistent(position_map: np.ndarray, force_map: np.ndarray) -> bool:
    """Position map times force map transposed is the identity (doi:10.1063/1.2938860)."""
    return np.array_equal(position_map @ force_map.T, np.eye(len(position_map)))


def test_maps_are_consistent(projection):
    position_map = matrices(projection.positions, projection.n_atoms)
    force_map = matrices(projection.forces, projection.n_atoms)
    assert is_consistent(position_map, force_map)
    average = force_map / force_map.sum(axis=1, keepdims=True)
    assert not is_consistent(position_map, average)


def test_net_force_is_conserved(projection, chignolin_atoms):
    for frame in chignolin_atoms:
        beads = projection.forces(frame.forces)
        np.testing.assert_allclose(beads.sum(axis=0), frame.forces.sum(axis=0), atol=1e-9)
        heavy_alone = frame.forces[chignolin_atoms.topology.element != "H"]
        assert np.abs(heavy_alone.sum(axis=0) - frame.forces.sum(axis=0)).max() > 1


def test_every_hydrogen_counts_once(projection):
    assert np.array_equal(
        matrices(projection.forces, projection.n_atoms).sum(axis=0), np.ones(projection.n_atoms)
    )


def test_mass_is_conserved(chignolin_atoms, chignolin):
    assert chignolin.system.mass.sum() == pytest.approx(chignolin_atoms.topology.mass.sum(), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(angles=st.tuples(*[st.floats(-3.0, 3.0)] * 3), shift=st.tuples(*[st.floats(-50.0, 50.0)] * 3))
def test_rigid_motion_commutes_with_mapping(projection, chignolin_atoms, angles, shift):
    rotation = Rotation.from_euler("xyz", angles).as_matrix()
    frame = next(iter(chignolin_atoms))
    moved = projection.positions(frame.positions @ rotation.T + shift)
    np.testing.assert_allclose(moved, projection.positions(frame.positions) @ rotation.T + shift, atol=1e-10)
    turned = projection.forces(frame.forces @ rotation.T)
    np.testing.assert_allclose(turned, projection.forces(frame.forces) @ rotation.T, atol=1e-9)


def test_wrong_shape_and_nan_are_refused(projection):
    with pytest.raises(InputError, match="do not fit 166 atoms"):
        projection.positions(np.zeros((165, 3)))
    bad = np.zeros((2, 166, 3))
    bad[1, 7, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        projection.forces(bad)
