"""What every test may use: the example structures and their beads."""

from pathlib import Path

import numpy as np
import pytest

from cgprot.beads import BeadFrames
from cgprot.cli import main
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules


def pytest_runtest_setup(item) -> None:
    """Tests of a GPU need one."""
    if item.get_closest_marker("gpu"):
        cupy = pytest.importorskip("cupy")
        if not cupy.cuda.is_available():
            pytest.skip("no CUDA device")


EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def chignolin_atoms() -> AtomSource:
    return AtomSource(EXAMPLES / "chignolin.pdb", [EXAMPLES / "chignolin.trr"])


@pytest.fixture(scope="session")
def chignolin(chignolin_atoms) -> BeadFrames:
    """Four mapped frames of chignolin, forces included."""
    system = build_system(chignolin_atoms.topology, load_rules("heavy"))
    projection = Projection(chignolin_atoms.topology, system)
    frames = list(chignolin_atoms)
    return BeadFrames(
        system=system,
        positions=projection.positions(np.array([frame.positions for frame in frames])),
        forces=projection.forces(np.array([frame.forces for frame in frames])),
        time=np.array([frame.time for frame in frames]),
        temperature=300.0,
    )


@pytest.fixture(scope="session")
def chignolin_as(chignolin_atoms):
    """A function: the same frames under any shipped mapping, without forces."""

    def mapped(mapping: str) -> BeadFrames:
        rules = load_rules(mapping)
        system = build_system(chignolin_atoms.topology, rules)
        projection = Projection(chignolin_atoms.topology, system, rules)
        atoms = np.array([frame.positions for frame in chignolin_atoms])
        return BeadFrames(system, projection.positions(atoms))

    return mapped


@pytest.fixture
def call(capsys):
    """Runs one command line; gives its exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            code = exit.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
