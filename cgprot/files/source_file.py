"""The source file of a folder of datasets, by which torchmd-net chooses proteins."""

from pathlib import Path

import h5py

from cgprot.errors import StorageError
from cgprot.files.dataset import DatasetWriter


def write_source(path: Path, datasets: list[Path]) -> None:
    """The source file of a folder of datasets: what torchmd-net's MDCATH class filters by.

    Raises
    ------
    StorageError
        if a file cannot be read or written
    """
    with DatasetWriter(path) as writer:
        for dataset in datasets:
            try:
                with h5py.File(dataset, "r") as file:
                    _copy_attributes(file, writer.file)
            except OSError as error:
                raise StorageError(f"{dataset}: could not be read ({error}): make it again with `cgprot map`")


def _copy_attributes(old: h5py.Group, new: h5py.Group) -> None:
    for name, group in old.items():
        if isinstance(group, h5py.Group) and name != "beads":
            new.require_group(name).attrs.update(group.attrs)
            _copy_attributes(group, new[name])
