"""The optimisers: which there are, and what they remember, as named tensors for a checkpoint.

Adam scales every weight by itself. SOAP (N. Vyas et al., arXiv 2409.11321) is Adam in the eigenbasis of
Shampoo's preconditioners: for the gradient G of a matrix of weights, those of the running means of G Gᵀ and
Gᵀ G, brought up to date every ten steps. For potentials it needs a fraction of Adam's steps (G. Harari et
al., arXiv 2607.02499; docs/benchmarks_training.md), at a rate some times higher.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

OptimiserName = Literal["adam", "soap"]
_SOAP_DECAY = 0.95  # of both moments and of the preconditioners, as its authors have it
_MOMENTS = ("exp_avg", "exp_avg_sq")
_SIDES = ("GG", "Q")  # a matrix for each side of a weight, or an empty list


def build_optimiser(name: OptimiserName, network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Over all weights of the network."""
    if name == "adam":
        return torch.optim.Adam(network.parameters(), lr=learning_rate)
    from pytorch_optimizer.optimizer.soap import SOAP  # seconds, which only those who want it wait

    betas = (_SOAP_DECAY, _SOAP_DECAY)
    return SOAP(network.parameters(), lr=learning_rate, betas=betas, weight_decay=0.0)


def memory(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """What the optimiser remembers of every weight, by "adam.<what>.<weight>" or "soap.<what>.<weight>"."""
    kind, tensors = _kind(optimiser), {}
    for name, weight in network.named_parameters():
        for what, value in optimiser.state.get(weight, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{kind}.{what}.{name}"] = value
            elif what in _SIDES:
                tensors |= {f"{kind}.{what}_{k}.{name}": side for k, side in enumerate(value) if len(side)}
    if kind == "soap":
        tensors["soap.step"] = torch.tensor(optimiser.param_groups[0].get("step", 0))
    return tensors


def remember(optimiser: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take up what `memory` gave; of weights that it did not name there is nothing."""
    (_remember_soap if _kind(optimiser) == "soap" else _remember_adam)(optimiser, network, tensors)


def _remember_adam(
    optimiser: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    for name, weight in network.named_parameters():
        if f"adam.step.{name}" in tensors:
            moments = {what: tensors[f"adam.{what}.{name}"].to(weight.device) for what in _MOMENTS}
            # Adam counts its steps on the CPU.
            optimiser.state[weight] = moments | {"step": tensors[f"adam.step.{name}"].cpu()}


def _remember_soap(
    optimiser: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    group = optimiser.param_groups[0]
    if step := int(tensors["soap.step"]):
        group["step"] = step
    for name, weight in network.named_parameters():
        if f"soap.exp_avg.{name}" not in tensors:
            continue
        state: dict = {what: tensors[f"soap.{what}.{name}"].to(weight.device).clone() for what in _MOMENTS}
        for what in _SIDES:
            sides = [tensors.get(f"soap.{what}_{k}.{name}") for k in range(weight.ndim)]
            state[what] = [[] if side is None else _as_made(what, side.to(weight.device)) for side in sides]
        own = {"precondition_frequency": group["precondition_frequency"], "shampoo_beta": _SOAP_DECAY}
        optimiser.state[weight] = state | own


def _as_made(what: str, side: Tensor) -> Tensor:
    """Laid out and aligned as the optimiser made it: else products differ in their last bit."""
    return side.mT.clone(memory_format=torch.contiguous_format).mT if what == "Q" else side.clone()


def _kind(optimiser: torch.optim.Optimizer) -> OptimiserName:
    return "adam" if isinstance(optimiser, torch.optim.Adam) else "soap"
