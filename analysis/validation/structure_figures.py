"""The figures of structure.py, four a protein."""

import numpy as np
from drawing import ALL_ATOM, CHANCE, OURS, SMALL, panels, save
from matplotlib.colors import LogNorm

_EDGES = np.linspace(-180.0, 180.0, 37)
_COLUMNS = 6


def draw(task, name: str, found: dict, maps: dict, kept: list) -> list[str]:
    """File names, relative to the results.

    Parameters
    ----------
    found : numbers of the protein
    maps : distributions in blocks, "phi_psi" and "chi1"
    kept : (time, fraction of native contacts) of every replica, the reference last
    """
    drawn = {
        "ramachandran": _ramachandran(*maps["phi_psi"]),
        "divergence": _divergence(found),
        "chi1": _chi1(found["chi1"]["residues"], *maps["chi1"]),
        "rmsf_contacts": _rmsf_contacts(found, kept),
    }
    return [
        f"figures/{save(figure, task.path('figures', f'{name}_{kind}.png'))}"
        for kind, figure in drawn.items()
        if figure is not None
    ]


def _ramachandran(*maps):
    figure, axes = panels(1, 2, (3.4, 3.2), sharey=True)
    shares = [each.mean(axis=(0, 1)) for each in maps]
    scale = LogNorm(min(share[share > 0].min() for share in shares), max(share.max() for share in shares))
    for each, share, title in zip(axes, shares, ("cgprot", "all-atom"), strict=True):
        masked = np.ma.masked_equal(share.T, 0.0)
        image = each.pcolormesh(_EDGES, _EDGES, masked, norm=scale, cmap="viridis")
        each.set(title=title, xlabel="φ [°]", aspect="equal", xticks=_EDGES[::9], yticks=_EDGES[::9])
    axes[0].set_ylabel("ψ [°]")
    figure.colorbar(image, ax=axes.tolist(), label="share in a bin, all residues", shrink=0.8)
    return figure


def _divergence(found: dict):
    figure, axes = panels(2, 1, (max(4.6, 0.22 * len(found["rmsf"]["residues"]) + 1), 2.3))
    for each, quantity, label in zip(axes, ("phi_psi", "chi1"), ("φ/ψ", "χ1"), strict=True):
        numbers = found[quantity]
        x = np.arange(len(numbers["residues"]))
        each.bar(x, numbers["divergence"], color=OURS, label="divergence from all-atom")
        each.bar(x, numbers["chance_95"], 1.0, color=CHANCE, alpha=0.6, label="chance, 95 %")
        each.set(ylabel=f"{label} JSD", ylim=(0, 1), xticks=x, xlim=(-0.6, len(x) - 0.4))
        each.set_xticklabels(numbers["residues"], rotation=90, fontsize="x-small")
    axes[0].legend(ncols=2, **SMALL)
    return figure


def _chi1(residues, ours, all_atom):
    n = len(residues)
    if n == 0:
        return None
    figure, axes = panels(-(-n // _COLUMNS), min(n, _COLUMNS), (1.5, 1.3), sharex=True)
    for number, each in enumerate(axes):
        if number >= n:
            each.set_axis_off()
            continue
        each.stairs(all_atom[:, number].mean(0), _EDGES, color=ALL_ATOM, fill=True, alpha=0.35)
        each.stairs(ours[:, number].mean(0), _EDGES, color=OURS)
        each.set_title(residues[number], fontsize="small")
        each.set(yticks=[], xticks=[-180, -60, 60, 180])
        each.tick_params(labelsize="x-small")
    figure.supxlabel("χ1 [°]: blue cgprot, grey all-atom", fontsize="small")
    return figure


def _rmsf_contacts(found: dict, kept: list):
    figure, (left, right) = panels(1, 2, (3.8, 2.8))
    rmsf = found["rmsf"]
    x = np.arange(1, len(rmsf["residues"]) + 1)
    left.plot(x, rmsf["ours"], "o-", markersize=3, color=OURS, label="cgprot")
    left.plot(x, rmsf["all_atom"], "s--", markersize=3, color=ALL_ATOM, label="all-atom")
    left.set(xlabel="residue", ylabel="RMSF of CA [Å]", ylim=(0, None))
    left.set_title(f"correlation {rmsf['correlation']:.2f}", fontsize="small")
    left.legend(**SMALL)
    for number, (time, q) in enumerate(kept):
        last = number == len(kept) - 1
        colour = ALL_ATOM if last else OURS
        label = "all-atom" if last else "cgprot" if number == 0 else None
        right.plot(time, q, linewidth=0.8, alpha=0.8, color=colour, label=label)
    right.set(xlabel="time [ps]", ylabel="native contacts Q", ylim=(0, 1.05))
    right.legend(loc="lower right", **SMALL)
    return figure
