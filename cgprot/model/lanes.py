"""Sixteen neighbouring channels as one value inside compiled loops.

A compiler that meets `out[m, c] += f[c] * X[m, c]` must first prove that the arrays do not overlap, and sends
every sum through memory. Held as values of this type, sums stay in vector registers, whatever their width is,
and multiply-adds are fused by name. Wherever an index is asked for, it is the element's number from the start
of a contiguous array of any shape.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

LANES = 16


class Lanes(types.Type):
    """Numba's type of sixteen floating-point numbers."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        super().__init__(f"Lanes({scalar})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes.scalar))


def _vector(scalar: types.Float) -> ir.VectorType:
    return ir.VectorType(ir.DoubleType() if scalar == types.float64 else ir.FloatType(), LANES)


@intrinsic
def load(context, array, index):
    """array[index ... index + 16]."""

    def generate(context, builder, signature, values):
        return builder.load(_place(context, builder, signature, values), align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, index), generate


@intrinsic
def store(context, array, index, value):
    """array[index ... index + 16] = value."""

    def generate(context, builder, signature, values):
        place = _place(context, builder, signature, values)
        builder.store(values[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def everywhere(context, array, index):
    """array[index], sixteen times."""

    def generate(context, builder, signature, values):
        data = context.make_array(array)(context, builder, values[0]).data
        vector, number = _vector(array.dtype), ir.IntType(32)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(
            undefined, builder.load(builder.gep(data, [values[1]])), ir.Constant(number, 0)
        )
        return builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(number, LANES), [0] * LANES)
        )

    return Lanes(array.dtype)(array, index), generate


@intrinsic
def constant(context, array, value):
    """A number, sixteen times, in the precision of `array`."""

    def generate(context, builder, signature, values):
        vector, number = _vector(array.dtype), ir.IntType(32)
        scalar = context.cast(builder, values[1], value, array.dtype)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.Constant(number, 0))
        return builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(number, LANES), [0] * LANES)
        )

    return Lanes(array.dtype)(array, value), generate


@intrinsic
def fma(context, a, b, c):
    """a b + c, rounded once."""

    def generate(context, builder, signature, values):
        vector = values[0].type
        name = f"llvm.fma.v{LANES}f{a.scalar.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return builder.call(function, values)

    return a(a, a, a), generate


@intrinsic
def total(context, value):
    """The sum of the sixteen numbers: the upper half onto the lower one until one is left."""

    def generate(context, builder, signature, values):
        (left,) = values
        count = LANES
        while count > 1:
            count //= 2
            undefined, numbers = ir.Constant(left.type, ir.Undefined), ir.VectorType(ir.IntType(32), count)
            halves = [
                builder.shuffle_vector(
                    left, undefined, ir.Constant(numbers, list(range(first, first + count)))
                )
                for first in (0, count)
            ]
            left = builder.fadd(*halves)
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return value.scalar(value), generate


def _place(context, builder, signature, values):
    """The address of an element, as that of a vector."""
    array = signature.args[0]
    data = context.make_array(array)(context, builder, values[0]).data
    return builder.bitcast(builder.gep(data, [values[1]]), _vector(array.dtype).as_pointer())


def _arithmetic(symbol, instruction: str) -> None:
    """Let numba know a + b, a += b, a - b, a * b or a / b of this type."""

    @type_callable(symbol)
    def _type(context):
        return lambda a, b: a if isinstance(a, Lanes) and a == b else None

    @lower_builtin(symbol, Lanes, Lanes)
    def _lower(context, builder, signature, values):
        return getattr(builder, instruction)(*values)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.iadd, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")
