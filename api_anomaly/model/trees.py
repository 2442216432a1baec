"""Decision trees as flat arrays, and the kernels that walk them: the innermost loop of scoring.

A node takes eight bytes: its threshold, and one word with the index of its left child and the
feature it tests. A row x at node i goes to ``left(i)``, plus one if ``x[feature(i)] >
threshold(i)``. A leaf leads to itself, so that all walks of a tree take as many steps as its
deepest one and need no branch.

A walk is a chain of loads of which each waits for the one before, so eight walks run side by side:
eight rows through one tree or, for the rows left over, one row through eight trees. Either way the
leaves of a row are added in the order of the trees, so that a row's sum is the same to the last
bit alone and anywhere in a batch.

Cost: about 0.8 microseconds a row for 100 trees of depth 8 in batches, 1.4 for a single row.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.model.executor import Executor, serial

#: A node; link = left child << 8 | feature.
NODE = np.dtype([("threshold", "f4"), ("link", "u4")])
#: Bounds that the packing of a node sets.
MAX_NODES, MAX_FEATURES = 1 << 24, 256
_SHIFT, _FEATURE_BITS = np.uint32(8), np.uint32(255)
_STRIDE = MAX_FEATURES  # floats between two of the rows that are walked together
_BLOCK = 8  # walks side by side
_ROWS_PER_TASK = 65_536  # about 50 milliseconds


class FlatTrees(NamedTuple):
    """The k nodes of t trees, tree by tree and breadth first, two children side by side.

    `nodes` (k,) of `NODE`; `value` (k,) of a leaf is what it gives, of an inner node 0 or what
    `with_expectations` has filled in; `roots` (t,) index the nodes, `depths` (t,) count steps.
    """

    nodes: NDArray[Any]
    value: NDArray[np.float64]
    roots: NDArray[np.uint32]
    depths: NDArray[np.int32]

    def sums(self, rows: NDArray[np.float32], executor: Executor = serial) -> NDArray[np.float64]:
        """The sum of the leaves' values over all trees (n,) for rows (n, d)."""
        sums = np.empty(len(rows))
        slices = [slice(i, i + _ROWS_PER_TASK) for i in range(0, len(rows), _ROWS_PER_TASK)]
        executor([partial(sum_leaves, self, rows[part], sums[part]) for part in slices])
        return sums

    def with_expectations(self, rows: NDArray[np.float32]) -> "FlatTrees":
        """The same trees whose inner nodes hold the mean leaf value of those of `rows` (n, d) that
        reach them; where none does, the mean of both children."""
        reached, expected = np.zeros(len(self.value)), np.zeros(len(self.value))
        _compute_expectations(self, rows, reached, expected)
        return self._replace(value=expected)

    def add_contributions(
        self,
        rows: NDArray[np.float32],
        weights: NDArray[np.float64],
        added: NDArray[np.float64],
    ) -> None:
        """Add to `added` (n, d) how much each feature of `rows` (n, d) changes their sums, times
        `weights` (n,).

        Each split on the path of a row changes the expected value (see `with_expectations`); the
        feature that it tests gets the difference (Saabas, "Interpreting random forests", 2014).
        The contributions of a row add up to its sum less the mean sum of the rows behind the
        expectations.
        """
        _add_contributions(self, rows, weights, added)


@kernel
def sum_leaves(trees: FlatTrees, rows: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    """Sum of the leaves' values over all trees into sums (n,), for each of rows (n, d)."""
    count, width = rows.shape
    block = np.zeros(_BLOCK * _STRIDE, np.float32)
    blocked = count - count % _BLOCK
    for first in range(0, blocked, _BLOCK):
        for k in range(_BLOCK):
            for j in range(width):
                block[k * _STRIDE + j] = rows[first + k, j]
        _sum_block(trees, block, sums[first:])
    for row in range(blocked, count):
        sums[row] = _sum_row(trees, rows[row])


@kernel
def _next_node(
    nodes: NDArray[Any], x: NDArray[np.float32], place: np.uint32, offset: int
) -> np.uint32:
    """The node after `place` for the row that begins at x[offset]."""
    node = nodes[place]
    tested = np.uint64(node.link & _FEATURE_BITS) + np.uint64(offset)
    return np.uint32((node.link >> _SHIFT) + np.uint32(x[tested] > node.threshold))


@kernel
def _sum_block(trees: FlatTrees, x: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    """Sums of eight rows, which lie _STRIDE apart in x, into sums[:8]."""
    nodes, value, roots, depths = trees.nodes, trees.value, trees.roots, trees.depths
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for tree in range(len(roots)):
        a = b = c = d = e = f = g = h = roots[tree]
        for _ in range(depths[tree]):
            a = _next_node(nodes, x, a, 0)
            b = _next_node(nodes, x, b, _STRIDE)
            c = _next_node(nodes, x, c, 2 * _STRIDE)
            d = _next_node(nodes, x, d, 3 * _STRIDE)
            e = _next_node(nodes, x, e, 4 * _STRIDE)
            f = _next_node(nodes, x, f, 5 * _STRIDE)
            g = _next_node(nodes, x, g, 6 * _STRIDE)
            h = _next_node(nodes, x, h, 7 * _STRIDE)
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
def _sum_row(trees: FlatTrees, x: NDArray[np.float32]) -> float:
    """The sum of the leaves' values over all trees for one row x (d,)."""
    nodes, value, roots, depths = trees.nodes, trees.value, trees.roots, trees.depths
    total = 0.0
    blocked = len(roots) - len(roots) % _BLOCK
    for first in range(0, blocked, _BLOCK):
        a, b, c, d = roots[first], roots[first + 1], roots[first + 2], roots[first + 3]
        e, f, g, h = roots[first + 4], roots[first + 5], roots[first + 6], roots[first + 7]
        deepest = depths[first]
        for k in range(1, _BLOCK):
            deepest = max(deepest, depths[first + k])
        for _ in range(deepest):
            a, b = _next_node(nodes, x, a, 0), _next_node(nodes, x, b, 0)
            c, d = _next_node(nodes, x, c, 0), _next_node(nodes, x, d, 0)
            e, f = _next_node(nodes, x, e, 0), _next_node(nodes, x, f, 0)
            g, h = _next_node(nodes, x, g, 0), _next_node(nodes, x, h, 0)
        for leaf in (a, b, c, d, e, f, g, h):
            total += value[leaf]
    for tree in range(blocked, len(roots)):
        leaf = roots[tree]
        for _ in range(depths[tree]):
            leaf = _next_node(nodes, x, leaf, 0)
        total += value[leaf]
    return total


@kernel
def _compute_expectations(
    trees: FlatTrees,
    rows: NDArray[np.float32],
    reached: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> None:
    """Mean leaf value of `rows` at every node into expected (k,); `reached` (k,) counts the rows.
    Both are 0 before."""
    nodes, value = trees.nodes, trees.value
    for row in range(len(rows)):
        for root in trees.roots:
            leaf, child = root, _next_node(nodes, rows[row], root, 0)
            while child != leaf:
                leaf, child = child, _next_node(nodes, rows[row], child, 0)
            node = root
            while node != leaf:
                reached[node] += 1.0
                expected[node] += value[leaf]
                node = _next_node(nodes, rows[row], node, 0)
    for i in range(len(nodes) - 1, -1, -1):  # children come after their parent
        left = nodes[i].link >> _SHIFT
        if left == i:
            expected[i] = value[i]
        elif reached[i] > 0.0:
            expected[i] /= reached[i]
        else:
            expected[i] = 0.5 * (expected[left] + expected[left + 1])


@kernel
def _add_contributions(
    trees: FlatTrees,
    rows: NDArray[np.float32],
    weights: NDArray[np.float64],
    added: NDArray[np.float64],
) -> None:
    """See `FlatTrees.add_contributions`."""
    nodes, value = trees.nodes, trees.value
    for row in range(len(rows)):
        for root in trees.roots:
            node, child = root, _next_node(nodes, rows[row], root, 0)
            while child != node:
                tested = nodes[node].link & _FEATURE_BITS
                added[row, tested] += weights[row] * (value[child] - value[node])
                node, child = child, _next_node(nodes, rows[row], child, 0)
