"""Arithmetic that leaves a compiler no choice, as intrinsics for the compiled loops.

The same loop may be compiled twice, inlined or not, fresh or from the cache. With fast mathematics each copy
may add in another order, and a resumed run would drift from an unbroken one. So nothing here or in the loops
is left to choice: fused multiply-adds are asked for by name, sums over channels run in sixteen lanes that
are added as a tree, on a machine of any vector width.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16


def vector_fma(builder, kind, *values):
    """values[0] * values[1] + values[2], rounded once, for a scalar or vector type."""
    scalar = kind.element if isinstance(kind, ir.VectorType) else kind
    suffix = "f64" if isinstance(scalar, ir.DoubleType) else "f32"
    name = f"llvm.fma.v{kind.count}{suffix}" if isinstance(kind, ir.VectorType) else f"llvm.fma.{suffix}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, values)


def load_vector(builder, pointer, index, vector, align):
    """`vector.count` elements from index on."""
    return builder.load(builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer()), align=align)


def everywhere(builder, element, vector):
    """A vector with this element in every lane."""
    number, undefined = ir.IntType(32), ir.Constant(vector, ir.Undefined)
    first_lane = builder.insert_element(undefined, element, ir.Constant(number, 0))
    return builder.shuffle_vector(
        first_lane, undefined, ir.Constant(ir.VectorType(number, vector.count), [0] * vector.count)
    )


def _tree_sum(builder, value):
    """The sum of all lanes, the upper half onto the lower one until one is left."""
    count = value.type.count
    while count > 1:
        count //= 2
        halves = [
            ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(first, first + count)))
            for first in (0, count)
        ]
        undefined = ir.Constant(value.type, ir.Undefined)
        value = builder.fadd(*(builder.shuffle_vector(value, undefined, half) for half in halves))
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


@intrinsic
def fma(typing_context, a, b, c):
    """a b + c, rounded once; all of one floating-point type."""
    if not (isinstance(a, types.Float) and a == b == c):
        return None

    def generate(context, builder, signature, values):
        return vector_fma(builder, values[0].type, *values)

    return a(a, a, a), generate


@intrinsic
def dot(typing_context, x, y):
    """Σ x y over two contiguous rows of equal length, a multiple of 16."""

    def generate(context, builder, signature, values):
        scalar = context.get_data_type(x.dtype)
        vector, size = ir.VectorType(scalar, LANES), context.get_abi_sizeof(scalar)
        rows = [context.make_array(t)(context, builder, v) for t, v in zip((x, y), values, strict=True)]
        length = builder.extract_value(rows[0].shape, 0)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [ir.Constant(scalar, 0.0)] * LANES))
        step = ir.Constant(length.type, LANES)
        with cgutils.for_range_slice(builder, ir.Constant(length.type, 0), length, step) as (index, _):
            pair = [load_vector(builder, row.data, index, vector, size) for row in rows]
            builder.store(vector_fma(builder, vector, *pair, builder.load(total)), total)
        return _tree_sum(builder, builder.load(total))

    return x.dtype(x, y), generate
