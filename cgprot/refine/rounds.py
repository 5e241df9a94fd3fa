"""Closing the loop: simulate, pick, label, train, until nothing trips; read from top to bottom.

A refinement's folder holds run.json, structures/, rounds.csv, for every round a folder, and at the end
model.safetensors (of a committee member_0, member_1, ... too). A round's folder holds

    simulations/NAME_300K   a run of `cgprot simulate` for each protein and temperature
    data/NAME.h5            labelled frames, a dataset a protein
    picked.csv              which frames were tried, why, and what became of each
    train/                  a run of `cgprot train` that begins from the weights before

A step that is done stays; one that was ended on its way is done anew (a training is resumed).
"""

import math
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cgprot.files.dataset import write_dataset
from cgprot.files.folder import RUN_FILE, write_whole
from cgprot.files.stop import Interrupted
from cgprot.model.checkpoint import MODEL_FILE, load_model
from cgprot.model.committee import committee_paths, load_committee, member_folder
from cgprot.refine.candidates import candidates_of, usual_forces
from cgprot.refine.config import RefineConfig
from cgprot.refine.dynamics import Trajectory, read_dynamics, simulate_with
from cgprot.refine.labels import label_picks
from cgprot.refine.log import PICKED_FILE, Round, count_picked, read_rounds, write_picked, write_rounds
from cgprot.refine.pick import pick
from cgprot.refine.proteins import Protein
from cgprot.refine.retrain import model_of, retrain, validation_error
from cgprot.train.batches import read_datasets
from cgprot.train.config import recorded_config
from cgprot.train.evaluate import ErrorRow, force_errors

TRAIN = "train"


def refine_to_end(output: Path, run: Path, proteins: Sequence[Protein], config: RefineConfig) -> Path:
    """Do the rounds that are left.

    Parameters
    ----------
    output : folder of the refinement
    run : the training that the first round goes on from

    Returns
    -------
    the training run of the final model

    Raises
    ------
    Interrupted
        after SIGINT or SIGTERM in a simulation or a training
    """
    rounds = read_rounds(output)
    run = _newest(output, run, len(rounds))
    while len(rounds) < config.rounds and not (rounds and rounds[-1].trips == 0):
        number = len(rounds) + 1
        try:
            found = one_round(number, output / f"round_{number}", run, proteins, config)
        except Interrupted as error:
            stopped = Interrupted(f"round {number} was stopped: cgprot refine --resume {output} goes on", 0)
            stopped.exit_code = error.exit_code
            raise stopped
        rounds.append(found)
        write_rounds(output, rounds)
        print(f"cgprot refine: {in_words(found)}", file=sys.stderr)
        run = _newest(output, run, number)
    _copy_model(run, output)
    return run


def one_round(
    number: int, folder: Path, run: Path, proteins: Sequence[Protein], config: RefineConfig
) -> Round:
    """Simulate with the model of `run`, label what it does not know, and train on."""
    trajectories, owners = simulate_all(number, folder, run, proteins, config)
    if not (folder / PICKED_FILE).exists():
        label_all(number, folder, run, proteins, trajectories, owners, config)
    labelled, refused = count_picked(folder / PICKED_FILE)
    datasets = sorted((folder / "data").glob("*.h5"))
    before = validation_error(run)
    seen = unseen = None
    after = before
    if datasets:
        unseen = errors_on(datasets, run)
        retrain(run, datasets, folder / TRAIN, config)
        seen, after = errors_on(datasets, folder / TRAIN), validation_error(folder / TRAIN)
    tripped = [one for one in trajectories if one.trip is not None]
    return Round(
        round=number,
        simulated_ps=sum(one.simulated_ps for one in trajectories),
        replicas=len(trajectories),
        trips=len(tripped),
        broken_bonds=sum(one.broken for one in tripped),
        unminimised_starts=sum(not one.minimised for one in trajectories),
        picked=labelled + refused,
        labelled=labelled,
        refused=refused,
        new_rmse_before_kcal_mol_A=unseen.rmse if unseen else math.nan,
        new_rmse_after_kcal_mol_A=seen.rmse if seen else math.nan,
        new_noise_floor_kcal_mol_A=unseen.noise_floor if unseen else math.nan,
        new_signal_kcal_mol_A=unseen.signal if unseen else math.nan,
        validation_rmse_before_kcal_mol_A=before,
        validation_rmse_after_kcal_mol_A=after,
        first_trip_ps=first_trips(trajectories),
    )


def simulate_all(
    number: int, folder: Path, run: Path, proteins: Sequence[Protein], config: RefineConfig
) -> tuple[list[Trajectory], list[int]]:
    """All trajectories of a round, and the number of the protein of each."""
    (folder / "simulations").mkdir(parents=True, exist_ok=True)
    trajectories: list[Trajectory] = []
    owners: list[int] = []
    for index, protein in enumerate(proteins):
        for place, kelvin in enumerate(config.temperature):
            own = config.simulation(kelvin, (number, index, place))
            simulation = folder / "simulations" / f"{protein.name}_{kelvin:g}K"
            if not simulation.exists():
                simulate_with(model_of(run), protein.start, own, simulation)
            found = read_dynamics(simulation, model_of(run), protein.start, own)
            trajectories += found
            owners += [index] * len(found)
    return trajectories, owners


def label_all(
    number: int,
    folder: Path,
    run: Path,
    proteins: Sequence[Protein],
    trajectories: Sequence[Trajectory],
    owners: Sequence[int],
    config: RefineConfig,
) -> None:
    """Pick frames and write their labels, a dataset a protein, and picked.csv last."""
    learnt = recorded_config(run).data
    usual = usual_forces(read_datasets([*learnt.train, *learnt.extra]))
    candidates = candidates_of(trajectories, owners, load_committee(run), usual)
    picks = pick(candidates.scores, config.frames_per_round)
    used, outcomes = {one.candidate for one in picks}, []
    (folder / "data").mkdir(exist_ok=True)
    for index, protein in enumerate(proteins):
        own = config.labelling((number, index))
        entries, said = label_picks(
            protein, index, candidates, picks, used, own, config.largest_force, config.label_temperature
        )
        outcomes += said
        if entries:
            write_dataset(folder / "data" / f"{protein.name}.h5", entries)
    write_picked(folder / PICKED_FILE, [protein.name for protein in proteins], candidates, outcomes)


def errors_on(datasets: Sequence[Path], run: Path) -> ErrorRow:
    """Of all forces in the datasets, by the model that simulates."""
    return force_errors(load_model(model_of(run))[0], read_datasets(datasets))[0]


def first_trips(trajectories: Sequence[Trajectory]) -> str:
    """By temperature, when the first replica tripped [ps]; "none in" the shortest time otherwise."""
    said = []
    for kelvin in sorted({one.temperature for one in trajectories}):
        own = [one for one in trajectories if one.temperature == kelvin]
        trips = [one.trip for one in own if one.trip is not None]
        end = min(one.simulated_ps for one in own)
        said.append(f"{kelvin:g} K: {f'{min(trips):g}' if trips else f'none in {end:g}'}")
    return "; ".join(said)


def in_words(found: Round) -> str:
    """A round in one line."""
    line = (
        f"round {found.round}: {found.trips} of {found.replicas} replicas tripped in "
        f"{found.simulated_ps:.4g} ps (first trip [ps] {found.first_trip_ps}), "
        f"{found.labelled} frames labelled, {found.refused} refused"
    )
    if not found.labelled:
        return line
    return (
        f"{line}; force RMSE on them {found.new_rmse_before_kcal_mol_A:.3g} before, "
        f"{found.new_rmse_after_kcal_mol_A:.3g} after training, on validation data "
        f"{found.validation_rmse_before_kcal_mol_A:.3g} before, "
        f"{found.validation_rmse_after_kcal_mol_A:.3g} kcal/mol/Å after"
    )


def _newest(output: Path, run: Path, done: int) -> Path:
    """The training of the last finished round that had one."""
    for number in range(done, 0, -1):
        if (output / f"round_{number}" / TRAIN / RUN_FILE).exists():
            return output / f"round_{number}" / TRAIN
    return run


def _copy_model(run: Path, output: Path) -> None:
    for number, path in enumerate(committee_paths(run)):
        member_folder(output, number).mkdir(exist_ok=True)
        write_whole(member_folder(output, number) / MODEL_FILE, partial(shutil.copyfile, path))
    write_whole(output / MODEL_FILE, partial(shutil.copyfile, model_of(run)))
