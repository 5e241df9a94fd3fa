"""The same network in TorchMD-Net 3.1.0, with the same weights."""

import torch
from torchmdnet.models.model import TorchMD_Net
from torchmdnet.models.output_modules import Scalar
from torchmdnet.models.tensornet import TensorNet

from cgprot.model.graph import Graph
from cgprot.model.potential import Potential


def peer_of(potential: Potential, static_shapes: bool = False) -> TorchMD_Net:
    """A TorchMD-Net model that carries the weights of `potential`; static shapes are for CUDA graphs."""
    config = potential.config
    network = TensorNet(
        hidden_channels=config.channels,
        num_layers=config.layers,
        num_rbf=config.rbf,
        rbf_type=config.basis,
        cutoff_upper=config.cutoff,
        max_num_neighbors=128,
        max_z=config.n_types + 1,
        equivariance_invariance_group=config.group,
        static_shapes=static_shapes,
    )
    peer = TorchMD_Net(
        network, Scalar(config.channels), std=potential.energy_scale.detach(), derivative=True
    ).to(potential.energy_scale.dtype)
    with torch.no_grad():
        _copy_embedding(network.tensor_embedding, potential.network.embedding)
        for theirs, ours in zip(network.layers, potential.network.layers, strict=True):
            _copy_layers(theirs.linears_scalar, ours.radial[::2])
            _copy_layers(theirs.linears_tensor, [*ours.linear_in.parts, *ours.linear_out.parts])
        _copy_layers(
            [network.out_norm, network.linear, *peer.output_model.output_network.layers[::2]],
            [potential.network.norm, potential.network.linear, *potential.head.network[::2]],
        )
    return peer


def peer_energy_and_forces(peer: TorchMD_Net, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """As charge it gets the total charge, in its place the spin, if there is but one of them."""
    attribute = graph.spin if graph.total_charge is None else graph.total_charge
    positions = graph.positions.clone()
    energy, forces = peer(graph.bead_type, positions, graph.system_index, box=graph.box, q=attribute)
    return energy.squeeze(-1), forces


def _copy_embedding(theirs, ours) -> None:
    theirs.emb.weight[1:] = ours.species.weight
    weights, biases = ours.radial.weight.chunk(3), ours.radial.bias.chunk(3)
    projections = (theirs.distance_proj1, theirs.distance_proj2, theirs.distance_proj3)
    for projection, weight, bias in zip(projections, weights, biases, strict=True):
        projection.weight.copy_(weight)
        projection.bias.copy_(bias)
    _copy_layers(
        [theirs.emb2, theirs.init_norm, *theirs.linears_tensor, *theirs.linears_scalar],
        [ours.species_pair, ours.norm, *ours.linear.parts, *ours.gate[::2]],
    )


def _copy_layers(theirs, ours) -> None:
    for target, source in zip(theirs, ours, strict=True):
        target.load_state_dict(source.state_dict())
