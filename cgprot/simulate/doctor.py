"""What this computer has and lacks, and how fast it runs a small model."""

import os
import time
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

import numpy as np
import torch
from packaging.requirements import Requirement

from cgprot.engine.cpu import engine_forces
from cgprot.engine.device import compiled, gpu_record, import_cupy
from cgprot.engine.tables import tabulate
from cgprot.errors import CgprotError
from cgprot.model.checkpoint import available_models, load_model
from cgprot.reference.forcefield import openmm_platforms
from cgprot.simulate.crossing import shared
from cgprot.simulate.cuda import SOURCE, compile_options
from cgprot.simulate.forces import TABLE_INTERVALS
from cgprot.simulate.integrator import Integrator
from cgprot.units import FS_PER_PS, PS_PER_NS, SECONDS_PER_DAY

_TIMED_SECONDS = 2.0
_TIMESTEP_PS = 0.002
# 125 beads as far apart as the heavy atoms of a protein: one in 17 Å³.
_EDGE, _SPACING = 5, 2.57  # Å
_BYTES_PER_GIB = 2**30


class Finding(NamedTuple):
    """One line of the report; `mend` says what to do where something is missing."""

    what: str
    state: str
    mend: str = ""
    needed: bool = False  # nothing works without it


def examine() -> Iterator[Finding]:
    """Everything worth knowing before a simulation, one finding after the other."""
    yield from installed_packages()
    yield Finding("processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {_free_memory()}")
    yield Finding("OpenMM platforms", ", ".join(openmm_platforms()))
    yield from graphics_processor()
    yield speed()


def installed_packages() -> Iterator[Finding]:
    """The packages that cgprot requires, each against the version it asks for."""
    yield Finding("cgprot", metadata.version("cgprot"))
    for line in metadata.requires("cgprot") or []:
        requirement = Requirement(line)
        if requirement.marker is None:
            yield check_requirement(requirement)


def check_requirement(requirement: Requirement) -> Finding:
    """Whether a package is there, in a version that will do."""
    mend = f"pip install '{requirement}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, "missing", mend, needed=True)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(requirement.name, f"{version}, needs {requirement.specifier}", mend, needed=True)
    return Finding(requirement.name, version)


def graphics_processor() -> Iterator[Finding]:
    """The GPU as CuPy sees it, for simulations, and as torch does, for training; neither is needed."""
    yield crossing_finding("numpy and torch", np.zeros((1, 4, 3)), torch.from_dlpack)
    try:
        compiled(import_cupy(), SOURCE.read_text(), compile_options("float"))
        gpu = gpu_record()
    except CgprotError as error:
        yield Finding("GPU, simulations", "none", f"{error}; simulations run on the processor")
    else:
        yield Finding("GPU, simulations", ", ".join(f"{name} {value}" for name, value in gpu.items()))
    if not torch.cuda.is_available():
        yield Finding(
            "GPU, training", "none that torch can use", "install a CUDA build of torch, if there is one"
        )
        return
    free, total = (n_bytes / _BYTES_PER_GIB for n_bytes in torch.cuda.mem_get_info())
    yield Finding("GPU, training", f"{torch.cuda.get_device_name()}, {free:.1f} of {total:.1f} GiB free")


def crossing_finding(what: str, array, from_dlpack) -> Finding:
    """Whether an array of one library is the very memory of the other's."""
    name = f"{what} share memory"
    try:
        shared(array, from_dlpack)
    except (CgprotError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        return Finding(name, f"no ({reason})", "install both for the same CUDA version", needed=True)
    return Finding(name, "yes")


def speed(seconds: float = _TIMED_SECONDS) -> Finding:
    """Steps of the smallest shipped model on 125 beads, by the compressed engine."""
    name = min(available_models(), key=lambda model: load_model(model)[0].config.channels)
    potential, _ = load_model(name)
    rng = np.random.default_rng(0)
    lattice = np.stack(np.meshgrid(*[np.arange(_EDGE)] * 3, indexing="ij"), axis=-1).reshape(1, -1, 3)
    positions = lattice * _SPACING + rng.uniform(-0.2, 0.2, size=lattice.shape)
    bead_type = rng.integers(1, potential.config.n_types + 1, size=(positions.shape[1],))
    forces = engine_forces(tabulate(potential, TABLE_INTERVALS), bead_type, replicas=1)
    mass = np.full(positions.shape[1], 14.0)
    # No temperature, and friction without end: the lattice is no protein and is to stay where it is.
    integrator = Integrator("langevin", mass, _TIMESTEP_PS, 1e4, 0.0, seed=1, replicas=[0])
    velocities = np.zeros_like(positions)
    integrator.step(positions, velocities, forces(positions)[1], 0)  # compiles
    n_steps, begun = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < seconds:
        integrator.step(positions, velocities, forces(positions)[1], n_steps)
        n_steps += 1
    ns_per_day = n_steps * _TIMESTEP_PS / PS_PER_NS * SECONDS_PER_DAY / elapsed
    per_step = f"{1000 * elapsed / n_steps:.2f} ms a step"
    return Finding(
        f"speed of {name}",
        f"{per_step}, {ns_per_day:.2g} ns/day at {_TIMESTEP_PS * FS_PER_PS:g} fs, {mass.size} beads",
    )


def _free_memory() -> str:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _BYTES_PER_GIB
    return f"{free:.1f} GiB of memory free"
