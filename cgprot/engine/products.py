"""Dense matrix products for the compiled stages.

A tile of the result is held in vector registers while the sum over k runs, so a product can read and write
rows at any stride, inside a compiled loop and without a thread pool of its own. Every row is summed in the
order of k whatever rows surround it: the same row gives the same bits in any block of any system.
"""

import llvmlite.binding
import numba
from llvmlite import ir
from numba.extending import intrinsic

from cgprot.engine.arithmetic import load_vector, vector_fma

WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
TILE_ROWS = 6
TILE_VECTORS = 4 if WIDE else 2  # 24 of 32 registers with AVX-512, 12 of 16 with AVX2


def _tile(n_rows: int, n_vectors: int):
    """An intrinsic: out[:n_rows, :n_vectors lanes] = rows @ matrix, or that added to what out holds."""

    @intrinsic
    def tile(typing_context, depth, rows, row_0, row_step, matrix, column, columns, out, out_0, out_step, add):
        def generate(context, builder, signature, values):
            depth, rows, row_0, row_step, matrix, column, columns, out, out_0, out_step, add = values
            scalar = context.get_data_type(signature.args[1].dtype)
            size = context.get_abi_sizeof(scalar)
            vector = ir.VectorType(scalar, VECTOR_BYTES // size)
            rows, matrix, out = (
                context.make_array(signature.args[k])(context, builder, values[k]).data for k in (1, 4, 7)
            )
            integer = depth.type
            lanes = [ir.Constant(integer, k * vector.count) for k in range(n_vectors)]
            row_start = [
                builder.gep(rows, [builder.add(row_0, builder.mul(row_step, ir.Constant(integer, r)))])
                for r in range(n_rows)
            ]
            target = [
                builder.bitcast(
                    builder.gep(
                        out,
                        [builder.add(builder.add(out_0, lane), builder.mul(out_step, ir.Constant(integer, r)))],
                    ),
                    vector.as_pointer(),
                )
                for r in range(n_rows)
                for lane in lanes
            ]
            zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * vector.count)
            before = builder.append_basic_block("before")
            body = builder.append_basic_block("sum")
            after = builder.append_basic_block("after")
            builder.branch(before)
            builder.position_at_end(before)
            adds = builder.icmp_signed("!=", add, ir.Constant(add.type, 0))
            first = [builder.select(adds, builder.load(where, align=size), zero) for where in target]
            builder.branch(body)
            builder.position_at_end(body)
            k = builder.phi(integer)
            k.add_incoming(ir.Constant(integer, 0), before)
            total = [builder.phi(vector) for _ in target]
            for phi, value in zip(total, first, strict=True):
                phi.add_incoming(value, before)
            line = builder.add(builder.mul(k, columns), column)
            right = [load_vector(builder, matrix, builder.add(line, lane), vector, size) for lane in lanes]
            new = []
            for r in range(n_rows):
                element = builder.load(builder.gep(row_start[r], [k]))
                left = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), element, ir.Constant(ir.IntType(32), 0)
                )
                left = builder.shuffle_vector(
                    left,
                    ir.Constant(vector, ir.Undefined),
                    ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count),
                )
                new += [
                    vector_fma(builder, vector, left, right[v], total[r * n_vectors + v])
                    for v in range(n_vectors)
                ]
            next_k = builder.add(k, ir.Constant(integer, 1))
            k.add_incoming(next_k, body)
            for phi, value in zip(total, new, strict=True):
                phi.add_incoming(value, body)
            builder.cbranch(builder.icmp_signed("<", next_k, depth), body, after)
            builder.position_at_end(after)
            for where, value in zip(target, new, strict=True):
                builder.store(value, where, align=size)
            return context.get_dummy_value()

        integer = numba.intp
        signature = numba.void(
            integer, rows, integer, integer, matrix, integer, integer, out, integer, integer, numba.boolean
        )
        return signature, generate

    return tile


full_tile = _tile(TILE_ROWS, TILE_VECTORS)
low_tile = _tile(1, TILE_VECTORS)
narrow_tile = _tile(TILE_ROWS, 1)
single_tile = _tile(1, 1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def multiply(n_rows, rows, row_0, row_step, matrix, out, out_0, out_step, add):
    """out = rows @ matrix, or out += rows @ matrix where `add`.

    Parameters
    ----------
    rows : any contiguous array; row r starts at element row_0 + r * row_step
    matrix : (depth, columns), contiguous; columns a multiple of the vector length
    out : any contiguous array; row r starts at element out_0 + r * out_step
    """
    depth, columns = matrix.shape
    lanes = VECTOR_BYTES // matrix.itemsize
    wide = TILE_VECTORS * lanes
    column = 0
    while column + wide <= columns:
        r = 0
        while r + TILE_ROWS <= n_rows:
            full_tile(
                depth, rows, row_0 + r * row_step, row_step, matrix, column, columns,
                out, out_0 + r * out_step + column, out_step, add,
            )  # fmt: skip
            r += TILE_ROWS
        while r < n_rows:
            low_tile(
                depth, rows, row_0 + r * row_step, row_step, matrix, column, columns,
                out, out_0 + r * out_step + column, out_step, add,
            )  # fmt: skip
            r += 1
        column += wide
    while column < columns:
        r = 0
        while r + TILE_ROWS <= n_rows:
            narrow_tile(
                depth, rows, row_0 + r * row_step, row_step, matrix, column, columns,
                out, out_0 + r * out_step + column, out_step, add,
            )  # fmt: skip
            r += TILE_ROWS
        while r < n_rows:
            single_tile(
                depth, rows, row_0 + r * row_step, row_step, matrix, column, columns,
                out, out_0 + r * out_step + column, out_step, add,
            )  # fmt: skip
            r += 1
        column += lanes
