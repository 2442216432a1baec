"""Rows walk through decision trees: the innermost loop of scoring.

A walk is a chain of loads, each of which waits for the one before. So eight walks are taken in
turn: of eight rows through one tree, or, where fewer rows are left, of one row through eight trees.
Whichever it is, a row's leaves are added in the trees' order, so that a row scores the same to the
last bit alone and anywhere in a batch.

A node is eight bytes (its threshold, and in one word where it leads and what it asks for), so that
a step reads one cache line of the tree. Walks of a tree are all as long as its deepest, for a leaf
leads to itself. About 0.8 microseconds a row for 100 trees of depth 8, 1.4 for one row alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

_NODE = np.dtype([("threshold", "f4"), ("link", "u4")])  # link: left child << 8 | feature
_SHIFT, _FEATURE = np.uint32(8), np.uint32(255)
_WIDTH = 256  # floats kept for each of the rows that walk together: one for each possible feature
_MOST_NODES = 1 << 24
_BLOCK = 8


class Paths(NamedTuple):
    """Trees in the form that walks fastest: `nodes` and `value` (k,), `roots` and `depths` (t,)."""

    nodes: NDArray[Any]
    value: NDArray[np.float64]
    roots: NDArray[np.uint32]
    depths: NDArray[np.int32]


def paths(
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    left: NDArray[np.int32],
    value: NDArray[np.float64],
    roots: NDArray[np.int32],
) -> Paths:
    """The walkable form of flat trees (see `trees.Trees`), k nodes and t roots.

    Raises ValueError for trees that ask for more than 256 features or have 2^24 nodes.
    """
    if len(left) >= _MOST_NODES or feature.max() >= _WIDTH:
        raise ValueError("The trees have too many nodes or features to be walked.")
    nodes = np.empty(len(left), _NODE)
    nodes["threshold"] = threshold
    nodes["link"] = left.astype(np.uint32) << _SHIFT | feature.astype(np.uint32)
    reached = np.zeros(len(left), np.int32)
    _measure(left, reached)
    return Paths(nodes, value, roots.astype(np.uint32), np.maximum.reduceat(reached, roots))


@kernel
def _measure(left, reached):  # type: ignore[no-untyped-def]
    """Each node's depth into reached (k,), which is 0 before; parents come before children."""
    for place in range(len(left)):
        child = left[place]
        if child != place:
            reached[child] = reached[child + 1] = reached[place] + 1


@kernel
def add_up(nodes, value, roots, depths, rows, sums):  # type: ignore[no-untyped-def]
    """Sum of the leaves' values over all trees into sums (n,), for each of rows (n, d)."""
    count, width = rows.shape
    together = np.zeros(_BLOCK * _WIDTH, np.float32)
    whole = count - count % _BLOCK
    for first in range(0, whole, _BLOCK):
        for k in range(_BLOCK):
            for place in range(width):
                together[k * _WIDTH + place] = rows[first + k, place]
        _eight_rows(nodes, value, roots, depths, together, sums[first:])
    for row in range(whole, count):
        sums[row] = one_row(nodes, value, roots, depths, rows[row])


@kernel
def _step(nodes, x, place, begin):  # type: ignore[no-untyped-def]
    """The node after `place` for the row that begins at x[begin]."""
    node = nodes[place]
    asked = np.uint64(node.link & _FEATURE) + np.uint64(begin)
    return np.uint32((node.link >> _SHIFT) + np.uint32(x[asked] > node.threshold))


@kernel
def _eight_rows(nodes, value, roots, depths, x, sums):  # type: ignore[no-untyped-def]
    """Sums of eight rows, which lie _WIDTH apart in x, into sums[:8]."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for tree in range(len(roots)):
        a = b = c = d = e = f = g = h = roots[tree]
        for _ in range(depths[tree]):
            a = _step(nodes, x, a, 0)
            b = _step(nodes, x, b, _WIDTH)
            c = _step(nodes, x, c, 2 * _WIDTH)
            d = _step(nodes, x, d, 3 * _WIDTH)
            e = _step(nodes, x, e, 4 * _WIDTH)
            f = _step(nodes, x, f, 5 * _WIDTH)
            g = _step(nodes, x, g, 6 * _WIDTH)
            h = _step(nodes, x, h, 7 * _WIDTH)
        s0 += value[a]
        s1 += value[b]
        s2 += value[c]
        s3 += value[d]
        s4 += value[e]
        s5 += value[f]
        s6 += value[g]
        s7 += value[h]
    sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
    sums[4], sums[5], sums[6], sums[7] = s4, s5, s6, s7


@kernel
def one_row(nodes, value, roots, depths, x):  # type: ignore[no-untyped-def]
    """The sum of the leaves' values over all trees for one row x (d,)."""
    total = 0.0
    whole = len(roots) - len(roots) % _BLOCK
    for first in range(0, whole, _BLOCK):
        a, b, c, d = roots[first], roots[first + 1], roots[first + 2], roots[first + 3]
        e, f, g, h = roots[first + 4], roots[first + 5], roots[first + 6], roots[first + 7]
        deepest = depths[first]
        for k in range(1, _BLOCK):
            deepest = max(deepest, depths[first + k])
        for _ in range(deepest):
            a, b = _step(nodes, x, a, 0), _step(nodes, x, b, 0)
            c, d = _step(nodes, x, c, 0), _step(nodes, x, d, 0)
            e, f = _step(nodes, x, e, 0), _step(nodes, x, f, 0)
            g, h = _step(nodes, x, g, 0), _step(nodes, x, h, 0)
        for leaf in (a, b, c, d, e, f, g, h):
            total += value[leaf]
    for tree in range(whole, len(roots)):
        place = roots[tree]
        for _ in range(depths[tree]):
            place = _step(nodes, x, place, 0)
        total += value[place]
    return total
