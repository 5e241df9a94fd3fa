"""Functions of the distance between two beads."""

import math

import torch
from torch import Tensor, nn


def cosine_cutoff(distance: Tensor, cutoff: float) -> Tensor:
    """½ (cos(π r / cutoff) + 1) inside the cutoff [Å], 0 outside; value and slope vanish at the cutoff."""
    inside = (distance < cutoff).to(distance.dtype)
    return 0.5 * (torch.cos(distance * (math.pi / cutoff)) + 1) * inside


class ExpNormalBasis(nn.Module):
    """Gaussians in exp(-α r), hence narrow where beads touch and wide at the cutoff.

    φ_k(r) = f_cut(r) exp(-β (exp(-α r) - μ_k)²), with α = 5 / cutoff, the centres μ_k evenly spaced from
    exp(-cutoff / Å) to 1 and β = (2 / K (1 - exp(-cutoff / Å)))⁻².  PhysNet (doi:10.1021/acs.jctc.9b00181,
    eq. 8), with the α of TorchMD-Net.

    Parameters
    ----------
    n_basis : K
    cutoff : [Å]
    """

    centres: Tensor
    widths: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.alpha = 5.0 / cutoff
        # As TorchMD-Net, in float32: a network in float64 is then the same function to the last bit.
        first = torch.exp(torch.tensor(-cutoff))
        self.register_buffer("centres", torch.linspace(first.item(), 1, n_basis))
        self.register_buffer("widths", ((2 / n_basis * (1 - first)) ** -2).expand(n_basis).clone())

    def forward(self, distance: Tensor) -> Tensor:
        """(P,) [Å] -> (P, K)."""
        distance = distance.unsqueeze(-1)
        gaussian = torch.exp(-self.widths * (torch.exp(-self.alpha * distance) - self.centres) ** 2)
        return cosine_cutoff(distance, self.cutoff) * gaussian


class GaussianBasis(nn.Module):
    """Gaussians of one width, evenly spaced from 0 to the cutoff.

    φ_k(r) = exp(-½ (r - μ_k)² / δ²), with the centres μ_k spaced by δ.  SchNet (arXiv 1706.08566, eq. 4);
    "gauss" in TorchMD-Net. It does not vanish at the cutoff: the networks on it are cut off themselves.

    Parameters
    ----------
    n_basis : K
    cutoff : [Å]
    """

    centres: Tensor
    exponent: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        # In float32, as the centres of ExpNormalBasis.
        centres = torch.linspace(0, cutoff, n_basis)
        self.register_buffer("centres", centres)
        self.register_buffer("exponent", -0.5 / (centres[1] - centres[0]) ** 2)

    def forward(self, distance: Tensor) -> Tensor:
        """(P,) [Å] -> (P, K)."""
        return torch.exp(self.exponent * (distance.unsqueeze(-1) - self.centres) ** 2)


BASES = {"expnorm": ExpNormalBasis, "gauss": GaussianBasis}
