"""Every potential obeys the laws, and every law catches potentials that break it."""

import broken
import laws
import pytest
import torch

import cgprot.model.edges
from cgprot.model.heads import OUTPUTS
from cgprot.model.potential import ModelConfig, Potential

BROKEN = {
    laws.forces_are_the_slope_of_the_energy: [broken.ForcesTooLarge],
    laws.derivative_by_the_parameters_is_exact: [broken.ForgetsTheSecondDerivative, broken.HalfDetached],
    laws.the_network_learns_from_every_value: [broken.FrozenNetwork, broken.FrozenOutput],
    laws.rotation_turns_every_value: [broken.PullsAlongX, broken.LeansToX],
    laws.mirror_image_turns_every_value: [broken.Handed, broken.TurnsOneWay],
    laws.translation_changes_nothing: [broken.PullsAlongX, broken.DipoleFromTheOrigin],
    laws.order_of_beads_is_meaningless: [broken.CountsBeads, broken.NumbersTheBeads],
    laws.systems_of_a_batch_do_not_meet: [broken.MixesTheBatch, broken.MixesTheMean],
    laws.nothing_jumps_at_a_cutoff: [broken.CountsEdges, broken.TellsOfEdges],
    laws.edges_beyond_the_reach_add_nothing: [broken.CountsEdges, broken.TellsOfEdges],
    laws.far_apart_values_add: [broken.ReachesFar, broken.AveragesBeads],
    laws.a_single_bead_has_no_direction: [broken.NeedsNeighbours, broken.AlwaysAVector],
    laws.no_beads_have_no_energy: [broken.StartsFromOne, broken.AlwaysAVector],
    laws.net_force_vanishes: [broken.PullsAlongX],
    laws.net_torque_vanishes: [broken.PullsToTheX],
    laws.tensors_are_symmetric: [broken.SkewTensor],
    laws.single_precision_loses_little: [broken.RoundsToHalf, broken.RoundedOutput],
    laws.forces_alone_are_the_predicted_ones: [broken.ForgetsAPart],
    laws.images_of_beads_are_the_beads: [broken.SeesTheOrigin, broken.PointsFromTheCentre],
    laws.two_boxes_hold_twice_as_much: [broken.AddsARoot, broken.AveragesBeads],
}
LAWS = [*BROKEN, laws.coincident_beads_are_named]

PRIORS = {
    "bonds": {"terms": [{"types": [1, 4], "k": 30.0, "length": 1.5}, {"k": 20.0, "length": 2.0}]},
    "excluded_volume": {"epsilon": 0.3, "sigma": 2.5},
    "zbl": {"cutoff": 3.5, "atomic_numbers": range(1, 13)},
    "coulomb": {"cutoff": 6.0},
}
CHARGED = tuple(name for name in OUTPUTS if name != "dipole")  # which has no charges in a box
KINDS = {
    **{
        f"{group}-{layers}": {"layers": layers, "group": group, "outputs": OUTPUTS}
        for group in ("O(3)", "SO(3)")
        for layers in (0, 1, 2)
    },
    **{name: {"priors": {name: prior}, "outputs": ("dipole",)} for name, prior in PRIORS.items()},
    "coulomb": {"priors": {"coulomb": PRIORS["coulomb"]}, "outputs": CHARGED[:1]},
    "all-priors": {"priors": PRIORS, "outputs": CHARGED},
    "bead-charge": {"charge": "bead", "outputs": CHARGED},
    "bead-charge-SO(3)": {"charge": "bead", "group": "SO(3)", "outputs": CHARGED},
    "total-charge": {"charge": "total", "outputs": OUTPUTS},
    "total-charge-SO(3)": {"charge": "total", "group": "SO(3)", "outputs": CHARGED},
    "total-charge-and-spin": {"charge": "total", "spin": True, "outputs": OUTPUTS},
    "spin": {"spin": True, "outputs": OUTPUTS},
    "gauss": {"basis": "gauss", "outputs": OUTPUTS},
}


SIZE_EXTENSIVE = (laws.far_apart_values_add, laws.two_boxes_hold_twice_as_much)


def potential_of(kind: type[Potential] = Potential, **config) -> Potential:
    torch.manual_seed(0)
    return kind(ModelConfig(**{"channels": 8, "rbf": 8, "cutoff": 4.0, **config})).double()


def is_a_law_for(law, config) -> bool:
    """SO(3) may tell a mirror image apart; a total charge changes beads however far from each other."""
    if law is laws.mirror_image_turns_every_value:
        return config.get("group") != "SO(3)"
    return law not in SIZE_EXTENSIVE or config.get("charge") != "total"


CASES = [(law, kind) for law in LAWS for kind, config in KINDS.items() if is_a_law_for(law, config)]
PLANTS = [(law, plant) for law, plants in BROKEN.items() for plant in plants]


@pytest.mark.parametrize(("law", "kind"), CASES, ids=[f"{law.__name__}-{kind}" for law, kind in CASES])
def test_law_holds(law, kind):
    law(potential_of(**KINDS[kind]))


@pytest.mark.parametrize(
    ("law", "plant"), PLANTS, ids=[f"{law.__name__}-{plant.__name__}" for law, plant in PLANTS]
)
def test_law_catches_a_broken_potential(law, plant):
    with pytest.raises(AssertionError):
        law(potential_of(plant, outputs=OUTPUTS))


def test_law_catches_a_blind_search_for_neighbours(monkeypatch):
    monkeypatch.setattr(cgprot.model.edges, "COINCIDENT", 0.0)
    with pytest.raises(AssertionError, match="unnoticed"):
        laws.coincident_beads_are_named(potential_of())


def test_law_catches_a_reaction_field_that_jumps():
    """The force of a continuum that is no conductor does, as its docstring says."""
    priors = {"coulomb": {"cutoff": 6.0, "continuum": 78.5}}
    with pytest.raises(AssertionError, match="forces"):
        laws.nothing_jumps_at_a_cutoff(potential_of(priors=priors))


@pytest.mark.parametrize("law", SIZE_EXTENSIVE, ids=lambda law: law.__name__)
def test_a_total_charge_is_not_size_extensive(law):
    with pytest.raises(AssertionError):
        law(potential_of(charge="total", outputs=CHARGED))


@pytest.mark.parametrize("layers", [1, 2])
def test_so3_tells_a_mirror_image_apart(layers):
    with pytest.raises(AssertionError):
        laws.mirror_image_turns_every_value(potential_of(layers=layers, group="SO(3)"))
