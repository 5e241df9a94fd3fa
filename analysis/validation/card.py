"""The tables of a model's card, in Markdown, from results.json. Every table says how much was really run."""

from targets import targets
from text import DAMAGE, Rows, median, number, table, times


def card(results: dict) -> str:
    """The whole text; parts that were not measured say so."""
    model = results["model"]
    about = ", ".join(f"{key} {value}" for key, value in model["config"].items())
    lines = [
        f"# {model['name']}: validation",
        f"{model['parameters']:,} parameters ({about}); SHA-256 `{model['sha256'][:16]}`. Made by "
        "`analysis/validation/validate.py`; the all-atom side is ff14SB with OBC2, by `reference.sh`. A test "
        "protein is held out only if it is not in the model's training data, which its file does not tell.",
    ]
    if reached := targets(results):
        lines += ["## Against the targets of a release", table(["what", "target", "reached", "met"], reached)]
    for part, write in PARTS.items():
        found = results["parts"].get(part)
        lines += [f"## {TITLES[part]}", *(write(found) if found else ["Not measured."])]
        if found:
            lines += [f"Scale: `{found['scale']}`."]
            lines += [f"![{path.split('/')[-1]}]({path})" for path in found.get("figures", [])]
    return "\n\n".join(lines) + "\n"


def errors(found: dict) -> list[str]:
    """By group and name."""
    if not found["proteins"]:
        return [f"No labelled frames of {', '.join(found['missing'])}."]
    header = [
        "mean force [kcal/mol/Å]",
        "RMSE",
        "MAE",
        "noise floor",
        "RMSE less noise",
        "signal",
        "explained",
    ]
    rows = [
        [
            f"**{row['group']}**" if row["group"] == "all" else f"{row['group']} {row['name']}",
            *(number(row[key], 3) for key in ("rmse", "mae", "noise_floor", "mean_force_rmse")),
            number(row["signal"], 1),
            "–" if row["explained"] is None else f"{100 * row['explained']:.2f} %",
        ]
        for row in found["rows"]
    ]
    text = f"Labelled frames of {len(found['proteins'])} proteins. " + "; ".join(found["statement"]) + "."
    lacking = [f"No labels yet: {', '.join(found['missing'])}."] if found["missing"] else []
    return [text, *lacking, table(header, rows)]


def stability(found: dict) -> list[str]:
    """A line a protein and temperature, the sum, and why replicas stopped."""
    header = ["protein", "residues", "K", "alive", "time", "broken bonds", "chirality flips", "cis flips"]
    header += ["RMSD median / largest [Å]", "all-atom largest [Å] (time)", "within + 1 Å", "ns/day"]
    rows = [line for protein in found["proteins"] for line in _stability_rows(protein)]
    stops = [
        f"- {protein['name']}, {row['temperature']:g} K: {reason}"
        for protein in found["proteins"]
        for row in protein["rows"]
        for reason in row["stops"]
    ]
    stops += [
        f"- {p['name']}: refused at the start: {p['refused']}" for p in found["proteins"] if p["refused"]
    ]
    return [_stability_sum(found), table(header, rows), *(["Stopped:", "\n".join(stops)] if stops else [])]


def _stability_sum(found: dict) -> str:
    every = [row for protein in found["proteins"] for row in protein["rows"]]
    alive, replicas = (sum(row[key] for row in every) for key in ("alive", "replicas"))
    refused = sum(bool(protein["refused"]) for protein in found["proteins"])
    damage = {key: sum(row[key] for row in every) for key in DAMAGE}
    n = len(found["proteins"])
    return (
        f"{n} proteins, {found['timestep_fs']:g} fs; {alive} of {replicas} replicas alive at their ends, "
        f"{refused} of {n} proteins refused; {damage['broken_bonds']} broken bonds, "
        f"{damage['chirality_flips']} chirality flips, {damage['cis_flips']} cis flips. The all-atom range "
        "is that of its trajectory at 300 K, from the same frame, in the time beside it; ns/day is that of "
        "all replicas together, wall clock, whatever else the machine did."
    )


def _stability_rows(protein: dict) -> Rows:
    reference = "–"
    if protein["reference_rmsd"]:
        reference = f"{protein['reference_rmsd'][2]:.2f} ({protein['reference_ps']:g} ps)"
    head = [protein["name"], str(protein["residues"])]
    if protein["refused"]:
        return [[*head, "–", "refused", *["–"] * 5, reference, "–", "–"]]
    return [
        [
            *head,
            f"{row['temperature']:g}",
            f"{row['alive']} of {row['replicas']}",
            times(row["lasted_ps"]),
            *(str(row[key]) for key in DAMAGE),
            f"{row['rmsd'][1]:.2f} / {row['rmsd'][2]:.2f}",
            reference,
            {True: "yes", False: "no", None: "–"}[row["near_native"]],
            number(protein["ns_per_day"], 1),
        ]
        for row in protein["rows"]
    ]


def structure(found: dict) -> list[str]:
    """A line a protein: medians over residues, what chance makes of them, fluctuations, contacts."""
    header = ["protein", "sampled", "all-atom", "φ/ψ JSD", "by chance (95 %)", "halves: ours, all-atom"]
    header += ["χ1 JSD", "by chance (95 %)", "RMSF correlation (all-atom halves)", "Q ours", "Q all-atom"]
    rows = [_structure_row(protein) for protein in found["proteins"] if not protein["lacks"]]
    lacking = [f"{p['name']}: no {p['lacks']}." for p in found["proteins"] if p["lacks"]]
    text = (
        f"At {found['temperature']:g} K, from native. Divergences are medians over residues (log base 2, "
        "36 × 36 and 36 bins); by chance is what the same amount of sampling of one distribution would give, "
        f"blocks of at most {found['block_ps']:g} ps shuffled (too little where a motion lasts longer); "
        "halves are the first half of the blocks against the second, of ours mostly different replicas."
    )
    return [text, *lacking, *([table(header, rows)] if rows else [])]


def _structure_row(protein: dict) -> list[str]:
    row = [protein["name"], times(protein["sampled_ps"]), f"{protein['reference_ps']:g} ps"]
    for quantity in ("phi_psi", "chi1"):
        numbers = protein[quantity]
        row += [
            median(numbers["divergence"]),
            f"{median(numbers['chance'])} ({median(numbers['chance_95'])})",
        ]
        if quantity == "phi_psi":
            row += [f"{median(numbers['halves_ours'])}, {median(numbers['halves_all_atom'])}"]
    rmsf = protein["rmsf"]
    row += [f"{number(rmsf['correlation'])} ({number(rmsf['correlation_of_halves'])})"]
    q = [protein["contacts"][side] for side in ("ours", "all_atom")]
    return row + [f"{number(mean)} ± {number(spread)}" for mean, spread in q]


def free_energy(found: dict) -> list[str]:
    """The peptide's divergence and states, and the hairpin's."""
    return [*_peptide(found["peptide"]), *_hairpin(found["hairpin"])]


def _divergence(found: dict) -> str:
    error = "" if found["error"] is None else f" ± {found['error']:.3f}"
    halves = [number(found[f"halves_{side}"], 3) for side in ("ours", "all_atom")]
    return (
        f"JSD {found['divergence']:.3f}{error} (by chance {number(found['chance'], 3)}, 95 %: "
        f"{number(found['chance_95'], 3)}; halves: ours {halves[0]}, all-atom {halves[1]}; "
        f"{found['blocks'][0]} and {found['blocks'][1]} blocks of {found['block_ps']:g} ps)"
    )


def _peptide(found: dict) -> list[str]:
    if found["lacks"]:
        return [f"{found['name']}: no {found['lacks']}."]
    text = (
        f"{found['name']}, {times(found['sampled_ps'])} beside {found['reference_ps']:g} ps all-atom, "
        f"{found['replicas'] - len(found['stops'])} of {found['replicas']} replicas alive: "
        f"φ/ψ {_divergence(found)}."
    )
    header = ["state", "share ours", "share all-atom", "free energy ours [kcal/mol]", "all-atom [kcal/mol]"]
    rows = [
        [state["name"], *(number(share, 3) for share in state["share"]), *_energies(state)]
        for state in found["states"]
    ]
    return [text, table(header, rows), *(f"- stopped: {reason}" for reason in found["stops"])]


def _energies(state: dict) -> list[str]:
    pairs = zip(state["energy"], state["error"], strict=True)
    return ["not seen" if e is None else f"{number(e)} ± {number(error)}" for e, error in pairs]


def _hairpin(found: dict) -> list[str]:
    if found["lacks"]:
        return [f"{found['name']}: no {found['lacks']}."]
    shares = [
        f"{name} below 3.5 Å in {100 * ours:.0f} % of frames (all-atom {100 * all_atom:.0f} %)"
        for name, (ours, all_atom) in zip(found["bonds"], found["share_bonded"], strict=True)
    ]
    return [
        f"{found['name']}, {times(found['sampled_ps'])} beside {found['reference_ps']:g} ps all-atom, both "
        f"from native, so of its folded basin alone: {_divergence(found)}; {'; '.join(shares)}."
    ]


PARTS = {"errors": errors, "stability": stability, "structure": structure, "free_energy": free_energy}
TITLES = {
    "errors": "Errors of the mean force, test proteins",
    "stability": "Stability, test proteins",
    "structure": "Structure beside all-atom",
    "free_energy": "Free energies",
}
