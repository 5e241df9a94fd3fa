"""Going down to the nearest minimum of the energy before dynamics starts."""

import sys
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cgprot.beads import Forces
from cgprot.errors import UnstableError

LARGEST_FORCE = 1.0  # kcal/mol/Å on any bead; at 300 K their rms is about 26
MOST_STEPS = 5000
# FIRE 2.0's own constants (Guénolé et al. 2020, table 2); steps are in units in which beads have mass 1.
_DELAY, _GROWTH, _SHRINK, _MIXING, _MIXING_SHRINK = 20, 1.1, 0.5, 0.25, 0.99
_FIRST_STEP, _LONGEST_STEP, _SHORTEST_STEP = 0.01, 0.1, 1e-4
_FARTHEST_MOVE = 0.1  # Å a step, so that beads which overlap are not shot through their neighbours


class Minimum(NamedTuple):
    """Where the replicas came to rest, and how.

    Attributes
    ----------
    positions : (n_replicas, n_beads, 3) [Å]
    steps : (n_replicas,) int
    energy_before, energy_after : (n_replicas,) [kcal/mol]
    force_before, force_after : (n_replicas,) [kcal/mol/Å], the largest on any bead
    """

    positions: np.ndarray
    steps: np.ndarray
    energy_before: np.ndarray
    energy_after: np.ndarray
    force_before: np.ndarray
    force_after: np.ndarray

    def record(self) -> dict:
        """What run.json says of it."""
        lists = {name: values.tolist() for name, values in self._asdict().items() if name != "positions"}
        return {"method": "FIRE 2.0", "units": "kcal/mol, kcal/mol/Å"} | lists


class _Motion(NamedTuple):
    velocities: np.ndarray  # (n_replicas, n_beads, 3)
    step: np.ndarray  # (n_replicas,)
    mixing: np.ndarray  # (n_replicas,)
    downhill: np.ndarray  # (n_replicas,) int, steps since the last one uphill


def minimise(
    forces: Forces,
    positions: np.ndarray,
    largest_force: float = LARGEST_FORCE,
    most_steps: int = MOST_STEPS,
) -> Minimum:
    """Every replica on its own to a minimum, by FIRE 2.0 with semi-implicit Euler steps.

    Guénolé et al. 2020 (doi:10.1016/j.commatsci.2020.109584), after Bitzek et al. 2006
    (doi:10.1103/PhysRevLett.97.170201): downhill the velocity turns towards the force and the step
    grows; uphill the replica goes back by half a step, halts, and the step is halved. A replica that has
    arrived stays where it is; what becomes of it does not depend on the others.

    Parameters
    ----------
    forces : as for `cgprot.simulate.run.simulate`
    positions : (n_replicas, n_beads, 3) [Å]
    largest_force : on any bead at the end [kcal/mol/Å]
    most_steps : at which to give up

    Raises
    ------
    UnstableError
        if a replica has not arrived by then, went up in energy, or its energy is not finite
    """
    positions = np.array(positions, dtype=np.float64)
    energy_before, force = forces(positions)
    energy, before = energy_before, _largest(force)
    steps = np.zeros(len(positions), dtype=np.int64)
    motion = _at_rest(positions)
    with tqdm(desc="minimise", total=most_steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        for _ in range(most_steps):
            moving = ~(_largest(force) <= largest_force)  # nan is moving
            if not moving.any():
                break
            moved, motion = _step(positions, force, motion)
            positions = np.where(moving[:, None, None], moved, positions)
            energy, force = forces(positions)
            _refuse_not_finite(energy, force)
            steps += moving
            bar.update()
    found = Minimum(positions, steps, energy_before, energy, before, _largest(force))
    _refuse_not_arrived(found, largest_force, most_steps)
    return found


def _at_rest(positions: np.ndarray) -> _Motion:
    n = len(positions)
    return _Motion(
        np.zeros_like(positions), np.full(n, _FIRST_STEP), np.full(n, _MIXING), np.zeros(n, np.int64)
    )


def _step(positions: np.ndarray, force: np.ndarray, motion: _Motion) -> tuple[np.ndarray, _Motion]:
    velocities, step, mixing, downhill = motion
    is_downhill = _dot(force, velocities) > 0
    downhill = np.where(is_downhill, downhill + 1, 0)
    grows = downhill > _DELAY
    step = np.where(grows, np.minimum(_GROWTH * step, _LONGEST_STEP), step)
    mixing = np.where(grows, _MIXING_SHRINK * mixing, mixing)
    # At rest nothing is undone: the first step, or the one after a halt.
    overshot = ~is_downhill & (_dot(velocities, velocities) > 0)
    back = np.where(overshot, 0.5 * step, 0.0)[:, None, None] * velocities
    step = np.where(overshot, np.maximum(_SHRINK * step, _SHORTEST_STEP), step)
    mixing = np.where(overshot, _MIXING, mixing)
    velocities = np.where(is_downhill[:, None, None], velocities, 0.0) + step[:, None, None] * force
    size = np.maximum(_dot(force, force), np.finfo(float).tiny)  # 0 where a start is at rest
    turn = mixing * np.sqrt(_dot(velocities, velocities) / size)
    velocities = (1 - mixing)[:, None, None] * velocities + turn[:, None, None] * force
    move = step[:, None, None] * velocities - back
    shortened = np.minimum(1.0, _FARTHEST_MOVE / np.maximum(_largest(move), _FARTHEST_MOVE))[:, None, None]
    return positions + shortened * move, _Motion(shortened * velocities, step, mixing, downhill)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n_replicas,); summed replica by replica, so that the others do not touch the last bit."""
    return (a * b).reshape(len(a), -1).sum(axis=1)


def _largest(vectors: np.ndarray) -> np.ndarray:
    """(n_replicas,), the longest of (n_replicas, n_beads, 3); nan if one is."""
    return np.sqrt((vectors**2).sum(axis=2)).max(axis=1)


def _refuse_not_finite(energy: np.ndarray, force: np.ndarray) -> None:
    finite = np.isfinite(energy) & np.isfinite(force).all(axis=(1, 2))
    if not finite.all():
        raise UnstableError(
            f"minimisation of replica {int(finite.argmin())}: energy or forces are not finite: "
            f"repair the start or try another model"
        )


def _refuse_not_arrived(found: Minimum, largest_force: float, most_steps: int) -> None:
    late = found.force_after > largest_force
    if late.any():
        replica = int(late.argmax())
        raise UnstableError(
            f"minimisation of replica {replica}: after {most_steps} steps still "
            f"{found.force_after[replica]:.3g} kcal/mol/Å on a bead, more than {largest_force:g}: "
            f"allow more by --minimise-force, or start from a structure that the model knows"
        )
    # Energies in single precision are good to about 1e-6 of their size.
    risen = found.energy_after > found.energy_before + 1e-5 * (1 + np.abs(found.energy_before))
    if risen.any():
        replica = int(risen.argmax())
        raise UnstableError(
            f"minimisation of replica {replica}: the energy rose from {found.energy_before[replica]:.6g} to "
            f"{found.energy_after[replica]:.6g} kcal/mol: the forces are not the slope of the energy"
        )
