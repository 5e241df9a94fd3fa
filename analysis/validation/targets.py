"""What a release must show, beside what was reached: nothing is rounded in the model's favour."""

import math

from text import DAMAGE, Rows, median, median_of, number


def targets(results: dict) -> Rows:
    """What a release must show, what was reached, and whether that is enough; of the parts there are."""
    rows: Rows = []
    for part, judge in JUDGES.items():
        if part in results["parts"]:
            rows += judge(results["parts"][part])
    return rows


def verdict(what: str, target: str, reached: str, met: bool) -> list[str]:
    """A row of the targets."""
    return [what, target, reached, "yes" if met else "no"]


def _judge_errors(found: dict) -> Rows:
    """Every protein weighs the same, however many frames of it are labelled; one below the noise counts 0."""
    by_protein = [row["mean_force_rmse"] for row in found["rows"] if row["group"] == "protein"]
    known = [error for error in by_protein if error is not None]
    if not known:
        return []
    error = math.sqrt(sum(each**2 for each in known) / len(known))
    pooled = found["rows"][0]["mean_force_rmse"]
    reached = f"{error:.2f} kcal/mol/Å ({len(known)} proteins, {min(known):.2f} to {max(known):.2f}"
    what = "mean-force RMSE, test proteins"
    return [verdict(what, "≤ 2.0 kcal/mol/Å", f"{reached}; by frames {number(pooled)})", error <= 2.0)]


def _judge_stability(found: dict) -> Rows:
    proteins, rows = found["proteins"], [row for protein in found["proteins"] for row in protein["rows"]]
    refused = sum(bool(protein["refused"]) for protein in proteins)
    alive, replicas = (sum(row[key] for row in rows) for key in ("alive", "replicas"))
    damage = sum(row[key] for row in rows for key in DAMAGE)
    near, judged = (sum(row["near_native"] is each for row in rows) for each in (True, False))
    lasted = [time for row in rows for time in row["lasted_ps"]]
    long = bool(lasted) and min(lasted) >= 1000 and len(proteins) >= 10
    what = "stability at " + " and ".join(f"{kelvin:g}" for kelvin in found["temperatures"]) + " K"
    times_run = f"{min(lasted):g} to {max(lasted):g} ps" if lasted else "no time"
    return [
        verdict(
            what,
            "≥ 10 proteins, each replica alive for 1 ns, no bond broken, no flip",
            f"{len(proteins)} proteins ({refused} refused), {alive} of {replicas} replicas alive after "
            f"{times_run}, {damage} broken or flipped",
            long and alive == replicas and not refused and not damage,
        ),
        verdict(
            "backbone RMSD",
            "within all-atom's range + 1 Å",
            f"{near} of {near + judged} (protein and temperature) that have a reference",
            near > 0 and not judged and not refused,
        ),
    ]


def _judge_structure(found: dict) -> Rows:
    return [row for protein in found["proteins"] for row in _judge_protein(protein)]


def _judge_protein(protein: dict) -> Rows:
    maps, fluctuations = (
        f"{protein['name']}, φ/ψ JSD, median of residues",
        f"{protein['name']}, RMSF correlation",
    )
    if protein["lacks"]:
        lacks = f"no {protein['lacks']}"
        return [verdict(maps, "≤ 0.05", lacks, False), verdict(fluctuations, "≥ 0.8", lacks, False)]
    apart, rmsf = median_of(protein["phi_psi"]["divergence"]), protein["rmsf"]["correlation"]
    reached = f"{number(apart, 3)} (by chance {median(protein['phi_psi']['chance'])})"
    return [
        verdict(maps, "≤ 0.05", reached, apart is not None and apart <= 0.05),
        verdict(fluctuations, "≥ 0.8", number(rmsf), rmsf is not None and rmsf >= 0.8),
    ]


def _judge_free_energy(found: dict) -> Rows:
    peptide, what = found["peptide"], "alanine dipeptide, φ/ψ JSD"
    if peptide["lacks"]:
        return [verdict(what, "≤ 0.02", f"no {peptide['lacks']}", False)]
    apart, stopped = peptide["divergence"], len(peptide["stops"])
    reached = f"{apart:.3f} (by chance {number(peptide['chance'], 3)})"
    if stopped:
        reached += f", {stopped} of {peptide['replicas']} replicas stopped"
    return [verdict(what, "≤ 0.02", reached, apart <= 0.02 and not stopped)]


JUDGES = {
    "errors": _judge_errors,
    "stability": _judge_stability,
    "structure": _judge_structure,
    "free_energy": _judge_free_energy,
}
