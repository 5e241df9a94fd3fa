"""What the model obeys the engine obeys."""

import numpy as np
import pytest
from engines import TYPES, cluster, cuda_on_c, cuda_on_gpu, each_engine, forces_by, model_forces, potential_of

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError

every_way = pytest.mark.parametrize(
    "make",
    [
        model_forces,
        forces_by(CpuEngine),
        forces_by(cuda_on_c),
        pytest.param(forces_by(cuda_on_gpu), marks=pytest.mark.gpu),
    ],
    ids=["model", "cpu", "cuda on c", "cuda"],
)


def rotation(seed: int = 3) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.linalg.det(matrix)


@every_way
@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
def test_turns_with_the_beads(make, group):
    forces_of, positions = make(potential_of(layers=1, group=group), TYPES), cluster()
    energy, forces = forces_of(positions)
    turned_energy, turned = forces_of(positions @ rotation() + 100.0)
    np.testing.assert_allclose(turned_energy, energy, rtol=1e-11)
    np.testing.assert_allclose(turned, forces @ rotation(), atol=1e-10)


@every_way
def test_mirror_image(make):
    positions = cluster()
    for group, same in (("O(3)", True), ("SO(3)", False)):
        forces_of = make(potential_of(layers=1, group=group), TYPES)
        energy, mirrored = forces_of(positions)[0], forces_of(positions * [1, 1, -1])[0]
        assert (abs(energy - mirrored) < 1e-10 * abs(energy)).all() == same


@every_way
def test_order_of_the_beads(make):
    potential, positions, order = potential_of(layers=1), cluster(), np.random.default_rng(5).permutation(10)
    energy, forces = make(potential, TYPES)(positions)
    permuted_energy, permuted = make(potential, TYPES[order])(positions[:, order])
    np.testing.assert_allclose(permuted_energy, energy, rtol=1e-12)
    np.testing.assert_allclose(permuted, forces[:, order], atol=1e-12)


@every_way
def test_lone_bead_and_far_groups(make):
    potential = potential_of(layers=1)
    alone, none = make(potential, TYPES[:1])(np.zeros((1, 1, 3)))
    assert np.isfinite(alone).all()
    assert (none == 0).all()
    near, far = cluster(0), cluster(1) + 1e4
    apart = make(potential, np.concatenate([TYPES, TYPES]))(np.concatenate([near, far], axis=1))[0]
    each = make(potential, TYPES)(near)[0] + make(potential, TYPES)(far)[0]
    np.testing.assert_allclose(apart, each, rtol=1e-11)


@every_way
def test_no_jump_at_the_cutoff(make):
    forces_of = make(potential_of(layers=1), TYPES[:2])
    energies, sizes = [], []
    for r in (5.0 - 1e-6, 5.0, 5.0 + 1e-6):
        energy, forces = forces_of(np.array([[[0, 0, 0], [r, 0, 0.0]]]))
        energies.append(energy[0])
        sizes.append(np.abs(forces).max())
    assert np.ptp(energies) < 1e-12
    assert max(sizes) < 1e-6  # the envelope's slope is linear in what is left to the cutoff


@every_way
def test_coincident_beads_are_named(make):
    positions = cluster()
    positions[0, 7] = positions[0, 2]
    with pytest.raises(InputError, match=r"beads 2 and 7 coincide"):
        make(potential_of(), TYPES)(positions)


@every_way
def test_positions_that_are_not_finite_are_named(make):
    positions = cluster()
    positions[0, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"bead 4 has a position that is not finite"):
        make(potential_of(), TYPES)(positions)


@every_way
def test_unknown_bead_types_are_refused(make):
    with pytest.raises(InputError, match=r"bead type 13 is unknown"):
        make(potential_of(), np.array([1, 13]))(np.array([[[0, 0, 0], [2.0, 0, 0]]]))


@each_engine
def test_wrong_shape_is_refused(engine):
    forces_of = engine(tabulate(potential_of(), 64), TYPES, 2)
    with pytest.raises(InputError, match=r"expected \(2, 10, 3\)"):
        forces_of(cluster())


@each_engine
def test_an_engine_goes_on_after_an_error(engine):
    forces_of, wrong = engine(tabulate(potential_of(), 64), TYPES, 2), cluster(n_replicas=2)
    expected = forces_of(cluster(n_replicas=2))[1]
    wrong[1, 7] = wrong[1, 2]
    with pytest.raises(InputError, match="replica 1: beads 2 and 7 coincide"):
        forces_of(wrong)
    assert (forces_of(cluster(n_replicas=2))[1] == expected).all()


def chain(n_beads: int, n_replicas: int, seed: int = 0) -> np.ndarray:
    """Beads on a noisy lattice, several blocks of them; (n_replicas, n_beads, 3) [Å]."""
    side = int(np.ceil(n_beads ** (1 / 3)))
    lattice = np.stack(np.unravel_index(np.arange(n_beads), (side,) * 3), axis=-1) * 1.9
    return lattice + np.random.default_rng(seed).uniform(-0.3, 0.3, size=(n_replicas, n_beads, 3))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_replica_has_the_same_bits_alone_and_in_company(n_threads):
    compressed, types = tabulate(potential_of(layers=2), 256), np.resize(TYPES, 130)
    positions = chain(130, 7)
    energy, forces = CpuEngine(compressed, types, 7, n_threads=n_threads)(positions)
    for replica in (0, 3, 6):
        alone = CpuEngine(compressed, types, 1, n_threads=1)(positions[replica : replica + 1])
        assert alone[0][0] == energy[replica]
        assert (alone[1][0] == forces[replica]).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_where_rows_lie_leaves_no_trace(monkeypatch, n_threads):
    """Charges, types, named beads and the order of every sum go with the beads, not with their places."""
    import cgprot.engine.cpu as module

    compressed, types = tabulate(potential_of(layers=2, charge="bead"), 256), np.resize(TYPES, 130)
    charge, shuffled = np.linspace(-1, 1, 130), np.random.default_rng(2).permutation(130)
    positions = chain(130, 3)[:, shuffled]
    plain = CpuEngine(compressed, types, 3, charge=charge, n_threads=n_threads)(positions)
    monkeypatch.setattr(module, "ARRANGE_FROM", 100)
    arranged = CpuEngine(compressed, types, 3, charge=charge, n_threads=n_threads)
    for result, expected in zip(arranged(positions), plain, strict=True):
        np.testing.assert_array_equal(result, expected)
    assert (np.diff(arranged.pair_lists[0].order) != 1).any()
    positions[1, 7] = positions[1, 112]
    with pytest.raises(InputError, match="replica 1: beads 7 and 112 coincide"):
        arranged(positions)


def test_history_leaves_no_trace():
    """A list made earlier, of another skin, or afresh: a resumed run must go on to the same bits."""
    compressed, types = tabulate(potential_of(layers=1), 256), np.resize(TYPES, 60)
    path = (
        chain(60, 1) + np.cumsum(np.random.default_rng(1).normal(0, 0.05, size=(20, 60, 3)), axis=0)[:, None]
    )
    engine = CpuEngine(compressed, types, 1, skin=1.0)
    lists = set()
    for positions in path:
        energy, forces = engine(positions)
        lists.add(id(engine.pair_lists[0]))
        fresh = CpuEngine(compressed, types, 1, skin=0.3)(positions)
        assert energy[0] == fresh[0][0]
        assert (forces == fresh[1]).all()
    assert 1 < len(lists) < len(path)  # kept for some steps, remade for others


@each_engine
def test_far_from_the_origin(engine):
    compressed, positions = tabulate(potential_of(layers=1), 256), cluster()
    _, forces = engine(compressed, TYPES, 1)(positions)
    _, moved = engine(compressed, TYPES, 1)(positions + 1e5)
    np.testing.assert_allclose(moved, forces, atol=1e-6 * np.abs(forces).max())
