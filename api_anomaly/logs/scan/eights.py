"""Eight bytes at a time: loads and stores at any place, and finding the first byte of interest.

A text is mostly plain ASCII, so that eight bytes are judged with a few operations on one word
(Warren, "Hacker's Delight", 6-1). The first byte in memory is the lowest of a word, as on every
machine that Numba is built for.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from api_anomaly.kernels import bare_kernel

_ONES = np.uint64(0x0101_0101_0101_0101)
_TOPS = np.uint64(0x8080_8080_8080_8080)
_SPACES, _QUOTES, _BACKSLASHES = (np.uint64(0x0101_0101_0101_0101 * byte) for byte in b' "\\')
_WORD = ir.IntType(64)
_intrinsic: Any = intrinsic  # its own type knows nothing of the signature without the context


def _pointer(context: Any, builder: Any, kind: Any, array: Any, position: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [position]), _WORD.as_pointer())


@_intrinsic
def eight(_typing: Any, data: Any, _position: Any) -> Any:
    """The bytes data[position:position + 8] as a word; the caller knows that they are there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=1)

    return types.uint64(data, types.intp), generate


@_intrinsic
def put_eight(_typing: Any, out: Any, _position: Any, _word: Any) -> Any:
    """Store a word at out[position:position + 8]; the caller knows that there is room."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.uint64), generate


@_intrinsic
def first_marked(_typing: Any, _word: Any) -> Any:
    """How many bytes stand before the first one that is marked in a word of `marked`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zeros = builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(zeros, ir.Constant(_WORD, 3))

    return types.intp(types.uint64), generate


@bare_kernel
def marked(word):  # type: ignore[no-untyped-def]
    """Nonzero when one of eight bytes is not plain: a quote, a backslash, a control character or
    not ASCII. The first such byte has its top bit set, and none before it has."""
    quotes, backslashes = word ^ _QUOTES, word ^ _BACKSLASHES
    low = (word - _SPACES) & ~word
    found = ((quotes - _ONES) & ~quotes) | ((backslashes - _ONES) & ~backslashes)
    return (low | found | word) & _TOPS
