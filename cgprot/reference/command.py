"""What `cgprot map` does with its inputs: one protein's trajectories, mdCATH files, or a check."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.files.folder import check_new_file, check_new_with_beads
from cgprot.files.mdcath import is_mdcath_path
from cgprot.files.mdtraj_hdf5 import is_mdtraj_path
from cgprot.mapping.rules import MappingRules
from cgprot.reference.campaign import map_campaign, map_files_to
from cgprot.reference.check import as_table, check_forces, plot_forces
from cgprot.reference.streams import map_trajectories_to


def map_inputs(
    inputs: list[Path],
    output: Path,
    rules: MappingRules,
    name: str | None = None,
    temperature: float | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> str:
    """Map what is given; the kind of the inputs and of the output says how.

    Parameters
    ----------
    inputs : topology and trajectories, an mdtraj HDF5 file that holds both, or all-atom mdCATH files
    output : new .h5 file; for mdCATH files also a folder
    name, temperature : of the protein, [K], where the inputs do not say
    workers, scheduler : see `map_campaign`

    Returns
    -------
    one line for the user

    Raises
    ------
    UsageError
        if the options do not fit the inputs
    """
    if workers < 1:
        raise UsageError(f"--workers {workers}: must be 1 or more")
    if not all(is_mdcath_path(path) for path in inputs):
        check_new_dataset(output, name)
        if workers > 1 or scheduler:
            raise UsageError("--workers and --scheduler are for mdCATH files: leave them out")
        topology, *trajectories = _topology_first(inputs)
        return str(
            map_trajectories_to(output, topology, trajectories, rules, name or output.stem, temperature)
        )
    if name or temperature:
        raise UsageError("--name and --temperature are in the mdCATH files: leave them out")
    if output.suffix != ".h5":
        report, n_done = map_campaign(inputs, rules, output, workers, scheduler)
        return f"{report}; {n_done} files were done already" if n_done else str(report)
    if workers > 1 or scheduler:
        raise UsageError("--workers and --scheduler need a folder as -o: one process writes one file")
    return str(map_files_to(check_new_file(output, ".h5"), inputs, rules))


def _topology_first(inputs: list[Path]) -> list[Path]:
    """Topology and trajectories; an mdtraj HDF5 file alone is both."""
    if len(inputs) == 1 and is_mdtraj_path(inputs[0]):
        return inputs * 2
    if len(inputs) < 2:
        raise UsageError("give a topology and trajectories, an mdtraj HDF5 file, or all-atom mdCATH files")
    return inputs


def check_new_dataset(output: Path, name: str | None = None) -> Path:
    """Return `output` if it, its PSF and its PDB can be written and `name` can be a key in it.

    Raises
    ------
    UsageError, StorageError
        if one of the three files is there already, the suffix is not .h5, or the name has a "/"
    """
    check_new_with_beads(output, ".h5")
    if name is not None and ("/" in name or name.strip(". ") == ""):
        raise UsageError(f"--name {name}: must be a plain name without '/'")
    return output


def check_inputs(inputs: list[Path], output: Path, rules: MappingRules) -> str:
    """Compare the force maps on the data: a table for the user, a histogram in `output` (.png).

    Raises
    ------
    UsageError
        if there is nothing to read forces from, or several mdCATH files are given
    """
    check_new_file(output, ".png")
    is_mdcath = is_mdcath_path(inputs[0])
    if is_mdcath and len(inputs) > 1:
        raise UsageError("--check looks at one mdCATH file: give one")
    check = check_forces(inputs if is_mdcath else _topology_first(inputs), rules)
    plot_forces(check, output)
    return as_table(check)
