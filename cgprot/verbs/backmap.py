"""`cgprot backmap`: hydrogens back on beads."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "backmap", run, "hydrogens back on hydrogen-free frames")
    parser.add_argument("run", type=Path, help="run folder, dataset, or bead trajectory with its PSF")
    add_output(parser, "new .dcd file (one per replica if there are several), PDB and PSF beside it")
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")


def run(options) -> None:
    """Handle the options."""
    from cgprot.reference.backmap import backmap

    written = backmap(options.run, options.output, options.workers, options.every)
    print(f"{', '.join(map(str, written))}: all atoms; topology {options.output.with_suffix('.pdb')}")
