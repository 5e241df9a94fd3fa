"""The numbers of a report: its verdict, its headline table and its CSV files."""

from typing import NamedTuple

import numpy as np

from cgprot.analyse.dihedrals import phi_psi_beads
from cgprot.analyse.measure import Ensemble, Event, Measurement, events, not_finite
from cgprot.analyse.sampling import blocks_of_both, residue_divergence, residue_divergence_by_chance
from cgprot.files.folder import csv_text
from cgprot.units import FS_PER_PS

_RESULTS_HEADER = (
    "source", "replica", "time_ps", "backbone_rmsd_A", "radius_of_gyration_A", "native_contacts",
    "broken_bonds", "chirality_flips", "cis_flips",
)  # fmt: skip
_EVENTS_HEADER = ("source", "replica", "event", "beads", "first_time_ps", "share_of_frames", "at_end")
_STOPS_TOLD = 10  # in a verdict; run.json has all
_DAMAGE = (
    ("broken", "bond", "broke"),
    ("inverted", "stereocentre", "inverted"),
    ("isomerised", "peptide bond", "changed between cis and trans"),
)


class Row(NamedTuple):
    """A line of the headline table."""

    label: str
    meaning: str
    cells: list[str]


class Verdict(NamedTuple):
    """What to think of a run, in a sentence."""

    name: str
    sound: bool
    sentence: str


class Divergence(NamedTuple):
    """How far the angles of a run are from a reference's, and how alike their RMSF along the chain is.

    Divergences are medians over residues, each beside what too little sampling alone would make.
    """

    run: str
    reference: str
    phi_psi: float
    phi_psi_by_chance: float
    chi1: float
    chi1_by_chance: float
    fluctuation: float  # correlation, -1 to 1
    note: str


def n_damaged(ensemble: Ensemble, quantity: str) -> int:
    """Bonds or centres that were wrong at any time, counted in every replica."""
    return sum(int(getattr(replica, quantity).any(axis=0).sum()) for replica in ensemble.replicas)


def n_not_finite(ensemble: Ensemble) -> int:
    """Frames of all replicas in which a position is not a number."""
    return sum(int(not_finite(replica.frames).sum()) for replica in ensemble.replicas)


def verdict(ensemble: Ensemble) -> Verdict:
    """One sentence on whether the run kept its chemistry, which replicas stopped, and how far it went."""
    faults = [
        f"{count} {noun}{'s' if count > 1 else ''} {verb}"
        for quantity, noun, verb in _DAMAGE
        if (count := n_damaged(ensemble, quantity))
    ]
    if count := n_not_finite(ensemble):
        faults.append(f"{count} frame{'s' if count > 1 else ''} not finite")
    whose = "the backbone of a molecule" if ensemble.replicas[0].n_molecules > 1 else "the backbone"
    distance = f"{whose} came up to {_largest(ensemble.pooled('backbone_rmsd'))} Å from its start"
    # A stopped replica's frames are all sane: the guard stops it before a bad one is written.
    stopped = _stopped(ensemble)
    chemistry = f"the chemistry did not hold: {', '.join(faults)}" if faults else _kept(ensemble)
    sentence = "; ".join([*stopped, f"otherwise {chemistry}" if stopped and not faults else chemistry])
    return Verdict(ensemble.name, not (faults or stopped), f"{sentence}; {distance}.")


def _stopped(ensemble: Ensemble) -> list[str]:
    """What the guard stopped, as run.json has it, or nothing."""
    record = ensemble.source.provenance or {}
    entries = record.get("stopped", [])
    if not entries:
        return []
    step_ps = record["config"]["timestep_fs"] / FS_PER_PS
    told = [f"{entry['reason']} at {entry['step'] * step_ps:g} ps" for entry in entries[:_STOPS_TOLD]]
    more = f" and {len(entries) - len(told)} more" if len(entries) > len(told) else ""
    return [f"{len(entries)} of {len(ensemble.replicas)} replicas stopped: {', '.join(told)}{more}"]


def _kept(ensemble: Ensemble) -> str:
    """What stayed as it was, and what a mapping leaves nothing of to be watched."""
    watched: list[str] = []
    absent: list[str] = []
    for quantity, noun, _ in _DAMAGE:
        (watched if getattr(ensemble.replicas[0], quantity).shape[1] else absent).append(f"{noun}s")
    parts = [f"no {' or '.join(absent)} among the beads to watch"] if absent else []
    if watched:
        parts.insert(0, f"all {' and '.join(', '.join(watched).rsplit(', ', 1))} stayed as they were")
    return "; ".join(parts)


def headline(ensembles: list[Ensemble]) -> list[Row]:
    """The lines of the headline table, a cell for each source."""
    rows = [
        ("frames", "of all replicas together", _n_frames),
        ("replicas", "independent trajectories", lambda ensemble: str(len(ensemble.replicas))),
        ("time per replica [ps]", "from the first to the last frame", _duration),
        ("temperature [K]", "as recorded with the frames", _temperature),
        ("largest backbone RMSD [Å]", "after superposition on the start; N, CA, C, O", _largest_rmsd),
        ("radius of gyration [Å]", "mean ± standard deviation over all frames", _mean("radius_of_gyration")),
        ("native contacts Q", "fraction of the start's, mean ± standard deviation", _mean("contacts")),
        ("broken bonds", "ever longer by 0.5 Å than at the start", _counter("broken")),
        ("chirality flips", "stereocentres ever inverted; none should be", _counter("inverted")),
        ("cis/trans flips", "peptide bonds whose ω ever crossed ±90°", _counter("isomerised")),
        ("frames not finite", "a position is not a number: the run exploded", lambda e: str(n_not_finite(e))),
    ]
    return [Row(label, meaning, [cell(each) for each in ensembles]) for label, meaning, cell in rows]


def divergence_table(ensembles: list[Ensemble]) -> list[Divergence]:
    """Every run against every reference."""
    references = [ensemble for ensemble in ensembles if ensemble.is_reference]
    runs = [ensemble for ensemble in ensembles if not ensemble.is_reference]
    return [_divergence(run, reference) for run in runs for reference in references]


def _divergence(run: Ensemble, reference: Ensemble) -> Divergence:
    phi_psi = chi1 = (float("nan"), float("nan"))
    if _residues(run) == _residues(reference):
        interval_ps = (_interval(run), _interval(reference))
        phi_psi = _with_chance(run.phi_psi, reference.phi_psi, interval_ps)
        chi1 = _with_chance(run.chi1, reference.chi1, interval_ps)
    note = "; ".join(filter(None, (_what_differs(run, reference), _temperatures_differ(run, reference))))
    return Divergence(
        run.name, reference.name, *phi_psi, *chi1, fluctuation_correlation(run, reference), note
    )


def _with_chance(
    ours: list[np.ndarray], theirs: list[np.ndarray], interval_ps: tuple[float, float]
) -> tuple[float, float]:
    blocks = blocks_of_both(ours, theirs, interval_ps)
    return residue_divergence(ours, theirs), residue_divergence_by_chance(*blocks)


def _interval(ensemble: Ensemble) -> float:
    """Between frames [ps]; those of a dataset may have no order."""
    steps = np.concatenate([np.diff(replica.frames.time) for replica in ensemble.replicas])
    return float(np.median(np.abs(steps))) or 1.0 if len(steps) else 1.0


def _temperatures_differ(run: Ensemble, reference: Ensemble) -> str:
    ours, theirs = _temperature(run), _temperature(reference)
    if ours == theirs and " to " not in ours:
        return ""
    return f"temperatures [K]: {ours} against {theirs}, all frames together"


def _what_differs(run: Ensemble, reference: Ensemble) -> str:
    if _residues(run) != _residues(reference):
        return "different residues: not the same protein"
    if _all_residues(run) != _all_residues(reference):
        return "different residues at the ends: not the same protein"
    ours, theirs = run.replicas[0].n_molecules, reference.replicas[0].n_molecules
    if ours != theirs:
        return f"{ours} molecules against {theirs}, by their chains: RMSD, radius and RMSF do not compare"
    return ""


def fluctuation_correlation(run: Ensemble, reference: Ensemble) -> float:
    """Pearson's correlation of the RMSF along the chain; nan of other proteins or fewer than 3 residues.

    Residues of a chain too short to be superposed have none.
    """
    if len(run.fluctuation) != len(reference.fluctuation) or _what_differs(run, reference):
        return float("nan")
    pairs = np.array([run.fluctuation, reference.fluctuation])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 3:
        return float("nan")
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(*pairs)[0, 1])


def all_events(ensembles: list[Ensemble]) -> list[tuple[str, int, Event]]:
    """Source, replica and event of everything that went wrong in the runs and the references."""
    return [
        (ensemble.name, number, event)
        for ensemble in ensembles
        for number, replica in enumerate(ensemble.replicas)
        for event in events(replica)
    ]


def results_csv(ensembles: list[Ensemble]) -> str:
    """One line for each frame of each replica; counts are of that frame."""
    rows = (
        (ensemble.name, number, *row)
        for ensemble in ensembles
        for number, replica in enumerate(ensemble.replicas)
        for row in _frame_rows(replica)
    )
    return csv_text(_RESULTS_HEADER, rows)


def events_csv(ensembles: list[Ensemble]) -> str:
    """One line for each bond or centre that went wrong."""
    rows = (
        (name, number, event.kind, event.beads, _ps(event.time), f"{event.share:.4g}", int(event.at_end))
        for name, number, event in all_events(ensembles)
    )
    return csv_text(_EVENTS_HEADER, rows)


def _frame_rows(replica: Measurement):
    counts = [getattr(replica, quantity).sum(axis=1).tolist() for quantity, _, _ in _DAMAGE]
    time = [_ps(value) for value in replica.frames.time]
    values = (replica.backbone_rmsd, replica.radius_of_gyration, replica.contacts)
    return zip(time, *([f"{value:.4f}" for value in each] for each in values), *counts, strict=True)


def _ps(time: float) -> str:
    """A time to 0.1 fs: a DCD keeps its step as float32, and what that adds is no information."""
    return f"{round(float(time), 4):.12g}"


def _counter(quantity: str):
    def cell(ensemble: Ensemble) -> str:
        count = n_damaged(ensemble, quantity)
        total = sum(getattr(replica, quantity).shape[1] for replica in ensemble.replicas)
        return f"{count} of {total}"

    return cell


def _n_frames(ensemble: Ensemble) -> str:
    return str(sum(len(replica.frames) for replica in ensemble.replicas))


def _duration(ensemble: Ensemble) -> str:
    return _span([float(replica.frames.time[-1] - replica.frames.time[0]) for replica in ensemble.replicas])


def _temperature(ensemble: Ensemble) -> str:
    known = [r.frames.temperature for r in ensemble.replicas if r.frames.temperature is not None]
    return _span(known) if known else "not recorded"


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.6g}", f"{max(values):.6g}"
    return low if low == high else f"{low} to {high}"


def _largest_rmsd(ensemble: Ensemble) -> str:
    return _largest(ensemble.pooled("backbone_rmsd"))


def _largest(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.max():.2f}" if len(finite) else "?"


def _mean(quantity: str):
    def cell(ensemble: Ensemble) -> str:
        values = ensemble.pooled(quantity)
        values = values[np.isfinite(values)]
        return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) else "?"

    return cell


def _all_residues(ensemble: Ensemble) -> list[str]:
    system = ensemble.replicas[0].frames.system
    return system.residue_name[np.unique(system.residue_index, return_index=True)[1]].tolist()


def _residues(ensemble: Ensemble) -> list[str]:
    system = ensemble.replicas[0].frames.system
    return system.residue_name[phi_psi_beads(system)[:, 2]].tolist()
