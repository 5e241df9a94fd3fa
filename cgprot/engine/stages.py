"""The network and its derivative in stages; within a stage every bead minds only its own rows.

    stage 0            the edges
    stage 1            embedding
    stage 2 ... L + 1  one interaction each; the last also reads out the energy and turns round
    then L stages      the same interactions backwards; the last also goes back through the embedding
    last stage         forces from the edges

Threads share the beads of a stage and begin the next when all are done. A row's bits depend on the rows it
reads and on nothing else: neither on the number of threads nor on the other replicas.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

from cgprot.compiled import kernel
from cgprot.engine.channels import (
    FIRST,
    activate,
    add_square,
    add_square_backward,
    anticommute,
    anticommute_backward,
    dot_of,
    gate,
    normalise,
    normalise_backward,
    parts_dot,
    shrink,
    shrink_backward,
    store_parts,
)
from cgprot.engine.edges import find_edges
from cgprot.engine.grid import horizon_of
from cgprot.engine.kernels import (
    compare_messages,
    differentiate_embedding,
    sum_embedding,
    sum_forces,
    sum_messages,
)
from cgprot.engine.products import multiply
from cgprot.engine.tickets import DONE, TAKEN, VERDICT, count_up, wait_for
from cgprot.model.kernels import load_rows
from cgprot.model.lanes import LANES, dot, fma, load, store

BLOCK = 48  # beads worked on together, so that their rows stay in the cache


@kernel
def run_stages(
    n_threads, tickets, positions, bead_type, pairs, shifts, cutoff, n_real, mirror,
    edges, net, work, scratch, lanes,
):  # fmt: skip
    """All stages, shared with the other threads that call this; returns find_edges' code.

    The edges are the first ticket; of every later stage each block of beads is one.
    """
    n_beads = len(positions)
    n_blocks = n_threads * max(1, -(-n_beads // (n_threads * BLOCK)))
    size = -(-n_beads // n_blocks)
    n_tickets = 1 + (2 * len(net.map_in) + 2) * n_blocks
    n_intervals = len(net.embedding_table)
    shape = (n_real, mirror, horizon_of(cutoff, n_intervals))
    while True:
        ticket = count_up(tickets, TAKEN)
        stage, block = (ticket - 1) // n_blocks + 1, (ticket - 1) % n_blocks
        verdict = wait_for(tickets, min(1 + (stage - 1) * n_blocks, n_tickets))
        if verdict != 0 or ticket >= n_tickets:
            return verdict
        if stage == 0:
            tickets[VERDICT] = find_edges(positions, pairs, shifts, cutoff, n_intervals, edges)
        else:
            first, last = min(block * size, n_beads), min((block + 1) * size, n_beads)
            run_block(stage, first, last, bead_type, shape, edges, net, work, scratch, lanes)
        count_up(tickets, DONE)


@kernel
def run_block(stage, first, last, bead_type, shape, edges, net, work, scratch, lanes):
    """One stage over the beads [first, last)."""
    n_layers = len(net.map_in)
    if stage == 1:
        embed(first, last, bead_type, shape, edges, net, work, scratch, lanes)
    elif stage < n_layers + 2:
        interact(stage - 2, first, last, shape, edges, net, work, scratch, lanes)
    elif stage < 2 * n_layers + 2:
        layer = 2 * n_layers + 1 - stage
        go_back(layer, first, last, bead_type, shape, edges, net, work, scratch, lanes)
    else:
        for i in range(first, last):
            sum_forces(i, edges, work.forces[i])


@kernel
def part_product(first, last, rows, row_first, maps, out, out_first):
    """out = W_I I + W_A A + W_S S for each bead; the row of bead b is number b - *_first."""
    P = maps.shape[1]
    for part in range(3):
        for m in range(FIRST[part], FIRST[part + 1]):
            multiply(
                last - first, rows, (9 * (first - row_first) + m) * P, 9 * P, maps[part],
                out, (9 * (first - out_first) + m) * P, 9 * P,
            )  # fmt: skip


@kernel
def embed(first, last, bead_type, shape, edges, net, work, scratch, lanes):
    """X of layer 0, held as `mapped` and `gate`, and Y of the first interaction."""
    P, n = net.own.shape[1], last - first
    for i in range(first, last):
        X = work.sums[i]
        sum_embedding(i, edges, net.embedding_table, net.species, bead_type, X, lanes)
        squares, own = scratch.narrow[i - first], net.own[bead_type[i]]
        for c in range(0, P, LANES):
            store(X, c, load(X, c) + load(own, c))
            x = load_rows(X, c, P)
            store(squares, c, dot_of(x, x))
        work.inverse[i] = normalise(squares, shape[0], scratch.ones, work.standard[i])
        _affine(work.standard[i], net.gate_scale, net.gate_shift, squares)
    part_product(first, last, work.sums, 0, net.embedding_map, work.mapped, 0)
    multiply(n, scratch.narrow, 0, P, net.gate_1, scratch.middle, 0, 2 * P)
    for i in range(first, last):
        activate(scratch.middle[i - first], net.gate_1_bias, work.gate_1_slope[i])
    multiply(n, scratch.middle, 0, 2 * P, net.gate_2, work.gate, 3 * P * first, 3 * P)
    for i in range(first, last):
        activate(work.gate[i], net.gate_2_bias, work.gate_slope[i])
        gate(work.mapped[i], work.gate[i], scratch.X[i - first])
    if len(net.map_in) == 0:
        read_out(first, last, shape, net, work, scratch)
        embed_backward(first, last, bead_type, shape, edges, net, work, scratch, lanes)
    else:
        send(0, first, last, net, work, scratch)


@kernel
def send(layer, first, last, net, work, scratch):
    """Y of the next interaction from scratch.X."""
    for b in range(last - first):
        shrink(scratch.X[b], scratch.T[b])
    part_product(first, last, scratch.T, first, net.map_in[layer], work.Y[layer], 0)


@kernel
def recall(layer, i, work, out):
    """out = X of bead i before this layer."""
    if layer == 0:
        gate(work.mapped[i], work.gate[i], out)
    else:
        out[:] = work.X[layer - 1, i]


@kernel
def interact(layer, first, last, shape, edges, net, work, scratch, lanes):
    """Messages, products, X of the next layer and its Y; after the last layer, energy and the turn round."""
    for i in range(first, last):
        b = i - first
        recall(layer, i, work, scratch.T[b])
        shrink(scratch.T[b], scratch.G[b])
        gate(work.Y[layer, i], net.own_message[layer], scratch.M[b])
        sum_messages(i, edges, net.message_table[layer], work.Y[layer], scratch.M[b], lanes)
        anticommute(work.Y[layer, i], scratch.M[b], work.factor[i], scratch.T[b], shape[1])
        shrink(scratch.T[b], scratch.D[b])
    part_product(first, last, scratch.D, first, net.map_out[layer], scratch.dX, first)
    for b in range(last - first):
        add_square(scratch.G[b], scratch.dX[b], work.factor[first + b], scratch.X[b])
    if layer == len(net.map_in) - 1:
        read_out(first, last, shape, net, work, scratch)
        turn(layer, first, last, shape, net, work, scratch)
    else:
        for i in range(first, last):
            work.X[layer, i], work.M[layer, i] = scratch.X[i - first], scratch.M[i - first]
            work.dX[layer, i] = scratch.dX[i - first]
        send(layer + 1, first, last, net, work, scratch)


@kernel
def read_out(first, last, shape, net, work, scratch):
    """The energy of each bead from scratch.X; scratch.G <- dE/dX."""
    P, n, H = net.own.shape[1], last - first, len(net.head_2)
    for b in range(n):
        X, invariants = scratch.X[b], scratch.wide[b]
        for c in range(0, P, LANES):
            x = load_rows(X, c, P)
            store_parts(invariants, c, P, parts_dot(x, x))
        scratch.inverse[b] = normalise(invariants, 3 * shape[0], scratch.ones, scratch.standard[b])
        _affine(scratch.standard[b], net.read_scale, net.read_shift, invariants)
    multiply(n, scratch.wide, 0, 3 * P, net.read, scratch.narrow, 0, P)
    for b in range(n):
        activate(scratch.narrow[b], net.read_bias, scratch.read_slope[b])
    multiply(n, scratch.narrow, 0, P, net.head_1, scratch.hidden, 0, H)
    for b in range(n):
        hidden, slope = scratch.hidden[b], scratch.hidden_slope[b]
        activate(hidden, net.head_1_bias, slope)
        work.energy[first + b] = dot(net.head_2, hidden) + net.head_2_bias[0]
        for c in range(H):
            hidden[c] = net.head_2[c] * slope[c]
    multiply(n, scratch.hidden, 0, H, net.head_1_back, scratch.narrow, 0, P)
    for b in range(n):
        _scale(scratch.narrow[b], scratch.read_slope[b])
    multiply(n, scratch.narrow, 0, P, net.read_back, scratch.wide, 0, 3 * P)
    for b in range(n):
        upstream = scratch.wide[b]
        _scale(upstream, net.read_scale)
        normalise_backward(scratch.standard[b], scratch.inverse[b], upstream, 3 * shape[0], scratch.ones)
        for c in range(3 * P):
            upstream[c] += upstream[c]  # the 2 of d(X²)/dX
        gate(scratch.X[b], upstream, scratch.G[b])


@kernel
def turn(layer, first, last, shape, net, work, scratch):
    """From scratch.G = dE/dX after the layer to dE/dX̂, dE/dY and dE/dM within it, of the bead itself.

    scratch.M and scratch.dX are those of the layer.
    """
    for b in range(last - first):
        add_square_backward(scratch.dX[b], work.factor[first + b], scratch.G[b], scratch.T[b])
        work.to_X[first + b] = scratch.G[b]
    part_product(first, last, scratch.T, first, net.map_out_back[layer], scratch.G, first)
    for i in range(first, last):
        b = i - first
        D, T, Y, M = scratch.D[b], scratch.T[b], work.Y[layer, i], scratch.M[b]
        anticommute(Y, M, work.factor[i], D, shape[1])
        shrink_backward(D, scratch.G[b], T)
        anticommute_backward(Y, M, work.factor[i], T, work.to_Y[i], work.to_M[layer % 2, i], shape[1])


@kernel
def go_back(layer, first, last, bead_type, shape, edges, net, work, scratch, lanes):
    """dE/dY from the neighbours, dE/dr of the edges, then down to the layer below or the embedding."""
    to_M = work.to_M[layer % 2]
    for i in range(first, last):
        gate(to_M[i], net.own_message[layer], scratch.T[i - first])
        _add(work.to_Y[i], scratch.T[i - first])
        sum_messages(i, edges, net.message_table[layer], to_M, work.to_Y[i], lanes)
        compare_messages(i, edges, net.message_table[layer], to_M, work.Y[layer], lanes)
    part_product(first, last, work.to_Y, 0, net.map_in_back[layer], scratch.T, first)
    for i in range(first, last):
        _add(work.to_X[i], scratch.T[i - first])
        recall(layer, i, work, scratch.X[i - first])
        shrink_backward(scratch.X[i - first], work.to_X[i], scratch.G[i - first])
    if layer == 0:
        embed_backward(first, last, bead_type, shape, edges, net, work, scratch, lanes)
    else:
        for i in range(first, last):
            scratch.M[i - first], scratch.dX[i - first] = work.M[layer - 1, i], work.dX[layer - 1, i]
        turn(layer - 1, first, last, shape, net, work, scratch)


@kernel
def embed_backward(first, last, bead_type, shape, edges, net, work, scratch, lanes):
    """From scratch.G = dE/dX of layer 0 to the gradient of every edge."""
    P, n = net.own.shape[1], last - first
    for i in range(first, last):
        b = i - first
        G, X, to_gate = scratch.G[b], work.mapped[i], scratch.wide[b]
        for c in range(0, P, LANES):
            store_parts(to_gate, c, P, parts_dot(load_rows(G, c, P), load_rows(X, c, P)))
        _scale(to_gate, work.gate_slope[i])
        gate(G, work.gate[i], scratch.T[b])
    multiply(n, scratch.wide, 0, 3 * P, net.gate_2_back, scratch.middle, 0, 2 * P)
    for b in range(n):
        _scale(scratch.middle[b], work.gate_1_slope[first + b])
    multiply(n, scratch.middle, 0, 2 * P, net.gate_1_back, scratch.narrow, 0, P)
    part_product(first, last, scratch.T, first, net.embedding_map_back, scratch.G, first)
    for i in range(first, last):
        b = i - first
        to_square, G, X = scratch.narrow[b], scratch.G[b], work.sums[i]
        _scale(to_square, net.gate_scale)
        normalise_backward(work.standard[i], work.inverse[i], to_square, shape[0], scratch.ones)
        for c in range(0, P, LANES):
            twice = load(to_square, c) + load(to_square, c)
            for k in range(c, 9 * P, P):
                store(G, k, fma(twice, load(X, k), load(G, k)))
        differentiate_embedding(i, edges, net.embedding_table, shape[2], net.species, bead_type, G, lanes)


@kernel
def _affine(x, scale, shift, out):
    for c in range(x.size):
        out[c] = scale[c] * x[c] + shift[c]


@kernel
def _scale(x, factor):
    for c in range(x.size):
        x[c] *= factor[c]


@kernel
def _add(x, y):
    for c in range(x.size):
        x[c] += y[c]
