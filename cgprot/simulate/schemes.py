"""Three schemes, one map: what distinguishes them are the numbers that they put into it."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from cgprot.errors import UsageError
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

Scheme = Literal["langevin", "verlet", "brownian"]


class Coefficients(NamedTuple):
    """What `cgprot.simulate.langevin.middle_step` needs of a scheme; each a number or one a replica.

    Attributes
    ----------
    stride : h [ps]
    damping : a
    thermal : sqrt((1 - a²) kT) [Å/ps √Da]
    """

    stride: Any
    damping: Any
    thermal: Any


REST = Coefficients(stride=0.0, damping=1.0, thermal=0.0)  # no position and no velocity changes


def coefficients(scheme: Scheme, timestep_ps: float, friction_per_ps: Any, temperature: Any) -> Coefficients:
    """The numbers of a scheme; friction [1/ps] and temperature [K] may be one a replica, (n_replicas,).

    | scheme | h | a | exact in a harmonic well, at every stable step |
    |---|---|---|---|
    | langevin | Δt | exp(-γ Δt) | distributions of positions and velocities |
    | verlet | Δt | 1 | a shadow energy, mv²/2 + kx²/2 (1 - (ω Δt)²/4), is kept; v as `on_step_velocities` |
    | brownian | sqrt(2 Δt/γ) | 0 | distribution of positions |

    langevin : the middle scheme of Zhang et al. 2019 (doi:10.1021/acs.jpca.9b02771), stable for ω Δt < 2;
        its velocity is that right after the Ornstein-Uhlenbeck part. Free diffusion exceeds kT/(m γ) by
        the factor (γΔt/2) coth(γΔt/2), 3.3e-7 above 1 at 1/ps and 2 fs.
    verlet : velocity Verlet in its leapfrog form, stable for ω Δt < 2; its velocity is half a step behind
        the position. Constant energy: friction and temperature play no part.
    brownian : overdamped, dx = F/(m γ) dt + sqrt(2 kT/(m γ)) dW, so the mobility of a bead is 1/(m γ). The
        limit a -> 0 of the middle scheme, x <- x + Δt F/(m γ) + sqrt(2 kT Δt/(m γ)) (ξ' + ξ)/2, is that
        of Leimkuhler and Matthews 2013 (doi:10.1093/amrx/abs010). Euler and Maruyama's scheme has a
        variance in a well that is too wide by 1/(1 - Δt k/(2 m γ)), this one's is exact for
        Δt k/(m γ) < 2, at the same price; free diffusion is exactly kT/(m γ). Its velocity is the thermal
        part sqrt(kT/m) ξ of the last step, whose temperature says nothing about the motion.

    Raises
    ------
    UsageError
        if the scheme is unknown, or brownian is asked for without friction
    """
    friction = np.asarray(friction_per_ps, dtype=np.float64)
    # refreshed = 1 - a²; the numbers of verlet are where the others begin.
    stride, damping, refreshed = np.full_like(friction, timestep_ps), np.ones_like(friction), 0.0 * friction
    if scheme == "langevin":
        damping = np.exp(-friction * timestep_ps)
        refreshed = -np.expm1(-2.0 * friction * timestep_ps)
    elif scheme == "brownian":
        if not (friction > 0.0).all():
            raise UsageError("scheme brownian has no motion without friction: give a friction above 0")
        stride = np.sqrt(2.0 * timestep_ps / friction)
        damping, refreshed = refreshed, damping
    elif scheme != "verlet":
        raise UsageError(f"scheme {scheme!r} is unknown: choose one of {', '.join(get_args(Scheme))}")
    energy = BOLTZMANN * np.asarray(temperature, dtype=np.float64) * ENERGY_TO_MASS_VELOCITY_SQUARED
    return Coefficients(stride, damping, np.sqrt(refreshed * energy))
