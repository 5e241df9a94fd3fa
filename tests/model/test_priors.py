"""Each prior against its closed form, OpenMM or TorchMD-Net; what they share is in test_laws."""

import laws
import numpy as np
import openmm
import pytest
import torch
from openmm import unit
from scipy.integrate import quad
from torchmdnet.priors import ZBL as PeerZBL

from cgprot.errors import InputError
from cgprot.model.checkpoint import load_model, save_model
from cgprot.model.graph import build_graph, join_graphs
from cgprot.model.pairs import bonded, edge_vectors
from cgprot.model.potential import ModelConfig, Potential
from cgprot.model.priors import ZBL, BondTerm, Coulomb, ExcludedVolume, HarmonicBonds, Priors, atomic_numbers
from cgprot.units import COULOMB

CHAIN = np.array([[i, i + 1] for i in range(9)])
CHARGES = np.array([1.0, 0, -1, 0.5, -0.5, 0, 1, -1, 0.5, 0])


def pair(prior, distance: float, types=(1, 2), **attributes) -> tuple[float, float]:
    """Energy and the force along the line of two beads at a distance [Å]."""
    positions = np.array([[[0.0, 0, 0], [0.6 * distance, 0, 0.8 * distance]]])
    reach = max(prior.reach, 0.1)
    graph = build_graph(positions, np.array(types), reach, torch.float64, **attributes)
    where = graph.positions.requires_grad_()
    energy = prior.energy(graph)
    (gradient,) = torch.autograd.grad(energy.sum(), where)
    return energy.item(), float(-(gradient[1] @ torch.tensor([0.6, 0, 0.8], dtype=torch.float64)))


def test_harmonic_bond_is_half_k_times_the_stretch_squared():
    prior = HarmonicBonds(terms=(BondTerm(k=300.0, length=1.5),))
    energy, force = pair(prior, 1.7, bonds=np.array([[0, 1]]))
    assert energy == pytest.approx(0.5 * 300 * 0.2**2, rel=1e-12)
    assert force == pytest.approx(-300 * 0.2, rel=1e-12)


def test_bond_terms_count_in_order_and_for_either_order_of_types():
    prior = HarmonicBonds(terms=(BondTerm(types=(2, 1), k=300.0, length=1.5), BondTerm(k=10.0, length=1.0)))
    bonds = np.array([[0, 1]])
    assert pair(prior, 1.7, bonds=bonds)[0] == pytest.approx(0.5 * 300 * 0.2**2)
    assert pair(prior, 1.7, types=(3, 1), bonds=bonds)[0] == pytest.approx(0.5 * 10 * 0.7**2)


def test_bond_without_a_term_is_named():
    prior = HarmonicBonds(terms=(BondTerm(types=(1, 2), k=300.0, length=1.5),))
    with pytest.raises(InputError, match=r"bead types \[3, 1\]"):
        pair(prior, 1.7, types=(3, 1), bonds=np.array([[0, 1]]))


def test_bond_through_the_box_is_short():
    prior = HarmonicBonds(terms=(BondTerm(k=300.0, length=1.5),))
    box = np.array([[12.0, 0, 0], [3.0, 11.0, 0], [-2.0, 4.0, 10.0]])
    positions = np.array([[[0.0, 0, 0], [0.0, 0, 1.7]]])
    far = positions + np.array([[0.0, 0, 0], 2 * box[0] - box[2]])
    for where in (positions, far):
        graph = build_graph(where, np.array([1, 2]), 0.1, torch.float64, box=box, bonds=np.array([[0, 1]]))
        assert float(prior.energy(graph)) == pytest.approx(0.5 * 300 * 0.2**2, rel=1e-9)


def test_excluded_volume_is_lennard_jones_at_its_minimum_lifted_to_zero():
    prior = ExcludedVolume(epsilon=0.3, sigma=3.0)
    kwargs = {"bonds": np.empty((0, 2), dtype=int)}
    assert pair(prior, 3.0, **kwargs)[0] == pytest.approx(0.3)
    assert pair(prior, 3.0, **kwargs)[1] == pytest.approx(24 * 0.3 / 3.0)
    lowest = 2 ** (1 / 6) * 3
    assert pair(prior, lowest - 1e-6, **kwargs) == pytest.approx((0, 0), abs=1e-5)
    assert pair(prior, lowest + 1e-6, **kwargs) == (0, 0)


def test_radii_by_bead_type_are_averaged():
    prior = ExcludedVolume(epsilon=0.3, sigma=(3.0, 4.0, 9.0), exclude_bonds=0)
    assert pair(prior, 3.5)[0] == pytest.approx(0.3)
    assert pair(prior, 3.55)[0] == pytest.approx(
        pair(ExcludedVolume(epsilon=0.3, sigma=3.5), 3.55, bonds=[])[0]
    )
    with pytest.raises(InputError, match=r"excluded_volume\.sigma has 3 entries"):
        pair(prior, 3.5, types=(1, 4))


@pytest.mark.parametrize("numbers", [(6, 6), (6, 8), (7, 16)])
@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5])
def test_zbl_is_the_peers_to_the_digits_of_its_constants(numbers, distance):
    ours = pair(ZBL(cutoff=4.0, atomic_numbers=numbers), distance)[0]
    theirs = PeerZBL(
        4.0, 100, atomic_number=[0, *numbers], distance_scale=1e-10, energy_scale=4184 / 6.02214076e23
    )
    positions = torch.tensor([[0.0, 0, 0], [0, 0, distance]])
    z, batch = torch.tensor([1, 2]), torch.tensor([0, 0])
    expected = theirs.post_reduce(torch.zeros(1), z, positions, batch)
    assert ours == pytest.approx(float(expected), rel=3e-3)


def test_zbl_of_touching_nuclei_is_bare():
    energy, _ = pair(ZBL(cutoff=4.0, atomic_numbers=(6, 8)), 1e-5)
    assert energy == pytest.approx(COULOMB * 48 / 1e-5, rel=1e-3)


def test_zbl_without_elements_is_refused():
    with pytest.raises(InputError, match="atomic_numbers"):
        pair(ZBL(), 1.0)


def test_elements_are_read_from_the_names_of_bead_types():
    names = {"CH3": 2, "NH1": 1, "OH0": 3, "SH1": 5}
    assert atomic_numbers(names, 6) == (7, 6, 8, 6, 16, 6)
    for residue_or_bead in ("CA", "CYS.N", "HIS.CB", "SC.ALA", "NT.NH3"):
        with pytest.raises(InputError, match=residue_or_bead):
            atomic_numbers({residue_or_bead: 1}, 1)


def openmm_reaction_field(positions, charges, bonds, cutoff: float, continuum: float, box=None):
    """Energy [kcal/mol] and forces of OpenMM's NonbondedForce with exceptions up to three bonds apart."""
    system, force = openmm.System(), openmm.NonbondedForce()
    for charge in charges:
        system.addParticle(1.0)
        force.addParticle(charge, 1.0, 0.0)
    force.createExceptionsFromBonds([tuple(map(int, bond)) for bond in bonds], 0.0, 0.0)
    periodic = openmm.NonbondedForce.CutoffPeriodic
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic if box is None else periodic)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*(box / 10))
    force.setCutoffDistance(cutoff / 10)
    force.setReactionFieldDielectric(continuum)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
    return energy, state.getForces(asNumpy=True).value_in_unit(unit.kilocalorie_per_mole / unit.angstrom)


@pytest.mark.parametrize("box", [None, np.array([[14.0, 0, 0], [3.0, 13.0, 0], [-2.0, 4.0, 12.5]])])
def test_reaction_field_is_openmms(box):
    positions = laws.cluster()[0] * 1.4
    prior = Coulomb(cutoff=6.0, continuum=78.5)
    graph = build_graph(positions[None], laws.TYPES, 6.0, torch.float64, charge=CHARGES, bonds=CHAIN, box=box)
    where = graph.positions.requires_grad_()
    energy = prior.energy(graph)
    (gradient,) = torch.autograd.grad(energy.sum(), where)
    expected, forces = openmm_reaction_field(positions, CHARGES, CHAIN, 6.0, 78.5, box)
    # OpenMM rounds the Coulomb constant to nine digits.
    assert energy.item() == pytest.approx(expected, rel=2e-7)
    np.testing.assert_allclose(-gradient, forces, rtol=0, atol=1e-6 * np.abs(forces).max())


def test_a_medium_between_the_charges_screens_and_matches_the_continuum():
    vacuum, alike = Coulomb(cutoff=9.0, continuum=1.0), Coulomb(cutoff=9.0, permittivity=78.5, continuum=78.5)
    attributes = {"charge": np.array([1.0, -0.5]), "bonds": []}
    assert pair(alike, 5.0, **attributes)[0] == pytest.approx(pair(vacuum, 5.0, **attributes)[0] / 78.5)
    plain = -0.5 * COULOMB * (1 / 5 - 1 / 9)
    assert pair(vacuum, 5.0, **attributes)[0] == pytest.approx(plain)


def test_force_at_the_cutoff_vanishes_for_a_conductor_and_jumps_as_stated_for_water():
    attributes = {"charge": np.array([1.0, 1.0]), "bonds": []}
    assert pair(Coulomb(cutoff=9.0), 9 - 1e-7, **attributes) == pytest.approx((0, 0), abs=1e-6)
    energy, force = pair(Coulomb(cutoff=9.0, continuum=78.5), 9 - 1e-9, **attributes)
    assert energy == pytest.approx(0, abs=1e-7)
    assert force == pytest.approx(3 / (2 * 78.5 + 1) * COULOMB / 81, rel=1e-6)


@pytest.mark.parametrize(
    ("prior", "attributes"),
    [
        (ExcludedVolume(epsilon=0.3, sigma=3.0, exclude_bonds=0), {}),
        (ZBL(cutoff=4.0, atomic_numbers=(6, 8)), {}),
        (Coulomb(cutoff=4.0, exclude_bonds=0), {"charge": np.array([1.0, -0.5])}),
        (HarmonicBonds(terms=(BondTerm(k=3.0, length=1.5),)), {"bonds": np.array([[0, 1]])}),
    ],
)
def test_work_done_is_the_difference_of_energies(prior, attributes):
    work, _ = quad(lambda r: pair(prior, r, **attributes)[1], 2.4, 3.2, epsrel=1e-9)
    difference = pair(prior, 2.4, **attributes)[0] - pair(prior, 3.2, **attributes)[0]
    assert work == pytest.approx(difference, rel=1e-8)


@pytest.mark.parametrize("at_most", [1, 2, 3])
def test_excluded_edges_are_those_along_the_chain(at_most):
    graph = build_graph(laws.cluster(), laws.TYPES, 100.0, bonds=CHAIN)
    assert graph.edges.shape[1] == 90
    near = (graph.edges[0] - graph.edges[1]).abs() <= at_most
    assert torch.equal(bonded(graph, at_most), near)


def test_only_the_bonded_image_is_excluded():
    """A zigzag that leaves the box: only the image at the end of the bond counts as bonded."""
    bead = np.arange(6)[:, None]
    positions = np.array([1.4, 0, 0]) * bead + np.array([0, 0.5, 0]) * (bead % 2)
    box = np.diag([5.5, 6.0, 6.0])
    chain = np.array([[i, i + 1] for i in range(5)])
    wrapped = positions - np.array([5.5, 0, 0]) * (positions[:, :1] > 5.5)
    for where in (positions, wrapped):
        graph = build_graph(where[None], laws.TYPES[:6], 5.0, torch.float64, bonds=chain, box=box)
        excluded = bonded(graph, 2)
        assert excluded.sum() == 2 * (5 + 4)
        receiver, sender = graph.edges[:, excluded]
        distance = torch.linalg.vector_norm(edge_vectors(graph), dim=1)[excluded]
        direct = torch.from_numpy(np.linalg.norm(positions[receiver] - positions[sender], axis=1))
        torch.testing.assert_close(distance, direct)


def test_priors_without_bonds_or_charges_say_what_is_missing():
    graph = build_graph(laws.cluster(), laws.TYPES, 4.0)
    for prior in (
        Coulomb(exclude_bonds=0),
        ExcludedVolume(epsilon=1, sigma=3),
        HarmonicBonds(terms=[{"k": 1, "length": 1}]),
    ):
        with pytest.raises(InputError, match=r"give build_graph `(charge|bonds)`"):
            prior.energy(graph)


PRIORS = Priors(
    bonds=HarmonicBonds(terms=(BondTerm(k=30.0, length=1.5),)),
    excluded_volume=ExcludedVolume(epsilon=0.3, sigma=3.0),
    zbl=ZBL(cutoff=3.0, atomic_numbers=tuple(range(1, 13))),
    coulomb=Coulomb(cutoff=7.0),
)


def graph_with_all(seed: int = 0, cutoff: float = 7.0, dtype=torch.float64):
    return build_graph(laws.cluster(seed), laws.TYPES, cutoff, dtype, charge=CHARGES, bonds=CHAIN)


def test_priors_are_summed_with_the_network_and_with_each_other():
    torch.manual_seed(0)
    plain = Potential(ModelConfig(channels=4, rbf=4, cutoff=4.0)).double()
    config = plain.config.model_copy(update={"priors": PRIORS})
    full = Potential(config).double()
    full.load_state_dict(plain.state_dict())
    assert config.reach == 7.0
    graph = graph_with_all()
    parts = [prior.energy(graph) for prior in PRIORS.chosen.values()]
    assert len(parts) == 4
    assert all(part.abs() > 1e-3 for part in parts)
    learned = plain.energy(graph_with_all(cutoff=4.0))
    torch.testing.assert_close(full.energy(graph), learned + sum(parts))


def test_no_prior_is_the_default():
    assert ModelConfig().priors.chosen == {}
    assert ModelConfig(cutoff=5.0).reach == 5.0


def test_joined_graphs_keep_their_bonds():
    one, two = graph_with_all(0), graph_with_all(1)
    both = PRIORS.energy(join_graphs([one, two]))
    torch.testing.assert_close(both, torch.cat([PRIORS.energy(one), PRIORS.energy(two)]))
    with pytest.raises(InputError, match="bonds"):
        join_graphs([one, two._replace(bonds=None)])


def test_priors_travel_with_the_weights(tmp_path):
    potential = Potential(ModelConfig(channels=4, rbf=4, cutoff=4.0, priors=PRIORS))
    save_model(tmp_path / "some.safetensors", potential, "heavy", "abc", {}, {})
    loaded, _ = load_model(tmp_path / "some.safetensors")
    assert loaded.config.priors == PRIORS
    graph = graph_with_all(dtype=torch.float32)
    assert torch.equal(loaded.energy(graph), potential.energy(graph))
