"""Dense matrix products for the compiled stages.

A tile of the result is held in vector registers while the sum over k runs, so a product can read and write
rows at any stride, inside a compiled loop and without a thread pool of its own. Every row is summed in the
order of k whatever rows surround it: the same row gives the same bits in any block of any system.
"""

import llvmlite.binding
import numba
from llvmlite import ir
from numba.extending import intrinsic

from cgprot.compiled import kernel
from cgprot.model.lanes import fuse, repeat

WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
TILE_ROWS = 6
TILE_VECTORS = 4 if WIDE else 2  # 24 of 32 registers with AVX-512, 12 of 16 with AVX2


def _tile(n_rows: int, n_vectors: int):
    """An intrinsic: out[:n_rows, :n_vectors vectors] = left @ right.

    A place in an array is its number of elements from the start: row r of `left` begins at
    left_0 + r * left_step, row k of `right` at right_0 + k * right_step.
    """

    @intrinsic
    def tile(context, depth, left, left_0, left_step, right, right_0, right_step, out, out_0, out_step):
        types = (depth, left, left_0, left_step, right, right_0, right_step, out, out_0, out_step)

        def generate(context, builder, signature, values):
            starts = [context.make_array(types[k])(context, builder, values[k]).data for k in (1, 4, 7)]
            _write_tile(builder, starts, values, left.dtype.bitwidth // 8, n_rows, n_vectors)
            return context.get_dummy_value()

        return numba.void(*types), generate

    return tile


def _write_tile(builder, starts, values, size, n_rows, n_vectors):
    """The instructions of a tile: totals begin, the loop over k adds to them, totals are stored."""
    depth, _, left_0, left_step, _, right_0, right_step, _, out_0, out_step = values
    left, right, out = starts
    integer, scalar = depth.type, left.type.pointee
    vector = ir.VectorType(scalar, VECTOR_BYTES // size)

    def place(first, step, row, lane=0):
        row = row if isinstance(row, ir.Value) else integer(row)
        return builder.add(builder.add(first, builder.mul(step, row)), integer(lane * vector.count))

    rows = [place(left_0, left_step, r) for r in range(n_rows)]
    targets = [place(out_0, out_step, r, v) for r in range(n_rows) for v in range(n_vectors)]
    before, body, after = (builder.append_basic_block(name) for name in ("before", "sum", "after"))
    builder.branch(before)
    builder.position_at_end(before)
    zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * vector.count)
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(integer)
    totals = [builder.phi(vector) for _ in targets]
    lines = [place(right_0, right_step, k, v) for v in range(n_vectors)]
    lines = [
        builder.load(builder.bitcast(builder.gep(right, [line]), vector.as_pointer()), align=size)
        for line in lines
    ]
    new = []
    for r, row in enumerate(rows):
        element = repeat(builder, builder.load(builder.gep(left, [builder.add(row, k)])), vector)
        for v, line in enumerate(lines):
            new.append(fuse(builder, element, line, totals[r * n_vectors + v]))
    next_k = builder.add(k, integer(1))
    for phi, start, step in zip(
        [k, *totals], [integer(0)] + [zero] * len(totals), [next_k, *new], strict=True
    ):
        phi.add_incoming(start, before)
        phi.add_incoming(step, body)
    builder.cbranch(builder.icmp_signed("<", next_k, depth), body, after)
    builder.position_at_end(after)
    for target, value in zip(targets, new, strict=True):
        builder.store(value, builder.bitcast(builder.gep(out, [target]), vector.as_pointer()), align=size)


full_tile = _tile(TILE_ROWS, TILE_VECTORS)
low_tile = _tile(1, TILE_VECTORS)
narrow_tile = _tile(TILE_ROWS, 1)
single_tile = _tile(1, 1)


@kernel
def multiply(n_rows, rows, row_0, row_step, matrix, out, out_0, out_step):
    """out = rows @ matrix.

    Where the rows are no multiple of a tile's, the last tile goes over some a second time: the same bits, and
    faster than rows one by one.

    Parameters
    ----------
    rows : any contiguous array; row r starts at element row_0 + r * row_step
    matrix : (depth, columns), contiguous; columns a multiple of the vector length
    out : any contiguous array but `rows`; row r starts at element out_0 + r * out_step
    """
    depth, columns = matrix.shape
    lanes = VECTOR_BYTES // matrix.itemsize
    wide = TILE_VECTORS * lanes
    height = TILE_ROWS if n_rows >= TILE_ROWS else 1
    column = 0
    while column < columns:
        is_wide = column + wide <= columns
        for tile in range(-(-n_rows // height)):
            r = min(tile * height, n_rows - height)
            row, target = row_0 + r * row_step, out_0 + r * out_step + column
            if is_wide and height > 1:
                full_tile(depth, rows, row, row_step, matrix, column, columns, out, target, out_step)
            elif is_wide:
                low_tile(depth, rows, row, row_step, matrix, column, columns, out, target, out_step)
            elif height > 1:
                narrow_tile(depth, rows, row, row_step, matrix, column, columns, out, target, out_step)
            else:
                single_tile(depth, rows, row, row_step, matrix, column, columns, out, target, out_step)
        column += wide if is_wide else lanes
