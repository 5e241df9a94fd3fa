"""The all-atom force field: ff14SB with implicit solvent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import openmm
from openmm import app, unit
from pydantic import BaseModel, ConfigDict, Field

from cgprot.errors import InputError, UnstableError, UsageError

Implicit = Literal["obc2", "gbn2"]
_PROTEIN = "amber14/protein.ff14SB.xml"
# Born radius offset of OBC's model, doi:10.1002/prot.20033; the parameters below contain it already.
_OBC_OFFSET_NM = 0.009
_WATER_DIELECTRIC = 78.5  # the force field file's; the native force defaults to 78.3


class OpenmmConfig(BaseModel):
    """What every all-atom job is told: the solvent, where it runs, and its random numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    implicit: Implicit = "obc2"
    platform: Literal["CPU", "CUDA", "OpenCL", "Reference"] = "CPU"
    workers: int = Field(default=1, ge=1)
    seed: int = Field(default=1, ge=0, lt=2**20)


def protein_forcefield(implicit: Implicit) -> app.ForceField:
    """ff14SB (doi:10.1021/acs.jctc.5b00255) with the chosen implicit solvent."""
    return app.ForceField(_PROTEIN, f"implicit/{implicit}.xml")


def create_system(topology: app.Topology, implicit: Implicit, constrain_hydrogens: bool) -> openmm.System:
    """The OpenMM System of a protein in implicit solvent, without a cutoff.

    OBC2 (doi:10.1002/prot.20033) runs as OpenMM's native GBSAOBCForce, several times faster on a
    CPU than the generic force that the force field file builds; the energies are the same.

    Parameters
    ----------
    topology : hydrogens included
    implicit : "obc2" or "gbn2" (doi:10.1021/ct3010485)
    constrain_hydrogens : hold X-H bonds rigid

    Raises
    ------
    InputError
        if the force field has no parameters for a residue
    """
    constraints = app.HBonds if constrain_hydrogens else None
    try:
        system = protein_forcefield(implicit).createSystem(
            topology, nonbondedMethod=app.NoCutoff, constraints=constraints, removeCMMotion=False
        )
    except ValueError as error:
        raise InputError(
            f"ff14SB does not fit this structure ({str(error).splitlines()[0]}): check that residue"
        )
    if implicit == "obc2":
        _use_native_obc2(system)
    return system


def _use_native_obc2(system: openmm.System) -> None:
    index, generic = next(
        (i, force) for i, force in enumerate(system.getForces()) if isinstance(force, openmm.CustomGBForce)
    )
    native = openmm.GBSAOBCForce()
    native.setSolventDielectric(_WATER_DIELECTRIC)
    native.setNonbondedMethod(openmm.GBSAOBCForce.NoCutoff)
    for particle in range(system.getNumParticles()):
        charge, offset_radius, scaled_radius = generic.getParticleParameters(particle)
        native.addParticle(charge, offset_radius + _OBC_OFFSET_NM, scaled_radius / offset_radius)
    system.removeForce(index)
    system.addForce(native)


def partial_charges(system: openmm.System) -> list[float]:
    """The force field's partial charges [e], one per atom."""
    nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    charges = [nonbonded.getParticleParameters(i)[0] for i in range(system.getNumParticles())]
    return [charge.value_in_unit(unit.elementary_charge) for charge in charges]


def openmm_platforms() -> list[str]:
    """The platforms that OpenMM has here."""
    return [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]


def refuse_missing_platform(platform: str) -> None:
    """Raise UsageError if OpenMM has no such platform here."""
    there = openmm_platforms()
    if platform not in there:
        raise UsageError(f"--platform {platform}: not on this computer: choose from {', '.join(there)}")


def single_thread_context(
    system: openmm.System, integrator: openmm.Integrator, platform: str
) -> openmm.Context:
    """A Context on `platform`; on the CPU with one thread, so that one process fills one core.

    Raises
    ------
    UsageError
        if the platform is not there or does not start
    """
    refuse_missing_platform(platform)
    properties = {"Threads": "1"} if platform == "CPU" else {}
    try:
        return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)
    except openmm.OpenMMException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--platform {platform}: OpenMM does not start on it ({reason}): choose another")


@contextmanager
def openmm_errors_in_one_line() -> Iterator[None]:
    """Turn what OpenMM raises into UnstableError: a job of good input fails by its dynamics alone."""
    try:
        yield
    except openmm.OpenMMException as error:
        reason = str(error).splitlines()[0]
        raise UnstableError(f"OpenMM stopped ({reason}): use a shorter time step or a better structure")


def openmm_seeds(*keys: int) -> tuple[int, int]:
    """Seeds of the integrator and of the starting velocities; zero would mean a random one to OpenMM."""
    one, two = np.random.SeedSequence(keys).generate_state(2)
    return int(one % (2**31 - 1)) + 1, int(two % (2**31 - 1)) + 1
