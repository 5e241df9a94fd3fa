"""Sixteen neighbouring channels as one value inside compiled loops, and arithmetic that leaves no choice.

A compiler that meets `out[m, c] += f[c] * X[m, c]` must first prove that the arrays do not overlap, and sends
every sum through memory. Held as values of this type, sums stay in vector registers, whatever their width is.
Multiply-adds are fused by name, and sixteen numbers are added as a tree: the same bits in every copy of a
loop. Wherever an index is asked for, it is the element's number from the start of a contiguous array of any
shape.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_jitable,
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


def repeat(builder, element, vector: ir.VectorType):
    """A vector of any length with this element in every lane."""
    number, undefined = ir.IntType(32), ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, element, ir.Constant(number, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(number, vector.count), [0] * vector.count)
    )


def fuse(builder, *values):
    """values[0] * values[1] + values[2], rounded once; scalars, or vectors of any length."""
    kind = values[0].type
    scalar, lanes = (kind.element, f"v{kind.count}") if isinstance(kind, ir.VectorType) else (kind, "")
    name = f"llvm.fma.{lanes}{'f64' if isinstance(scalar, ir.DoubleType) else 'f32'}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, values)


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
        return repeat(builder, builder.load(builder.gep(data, [values[1]])), _vector(array.dtype))

    return Lanes(array.dtype)(array, index), generate


@intrinsic
def constant(context, array, value):
    """A number, sixteen times, in the precision of `array`."""

    def generate(context, builder, signature, values):
        scalar = context.cast(builder, values[1], value, array.dtype)
        return repeat(builder, scalar, _vector(array.dtype))

    return Lanes(array.dtype)(array, value), generate


@intrinsic
def fma(context, a, b, c):
    """a b + c, rounded once; of sixteen numbers or one, all of the same type."""
    if not (isinstance(a, Lanes | types.Float) and a == b == c):
        return None
    return a(a, a, a), lambda context, builder, signature, values: fuse(builder, *values)


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


@register_jitable
def dot(x, y):
    """Σ x y over two contiguous rows of equal length, a multiple of 16, sixteen sums at a time."""
    sums = constant(x, 0.0)
    for place in range(0, x.size, LANES):
        sums = fma(load(x, place), load(y, place), sums)
    return total(sums)


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
