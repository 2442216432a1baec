"""Decision trees as flat arrays, walked by one compiled kernel: how forest and ranker score.

A row at node i goes to ``left[i]``, plus one if ``x[feature[i]] > threshold[i]``; a leaf leads to
itself, so that every walk takes the same number of steps and needs no branch. Thresholds are
rounded down to float32, which changes no comparison because the rows are float32.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.model.executor import Executor, serial
from api_anomaly.model.tree_walk import Paths, add_up, paths

_TOGETHER = 65_536  # rows that one task walks through the trees: some 50 milliseconds


class Tree(NamedTuple):
    """One tree's k nodes, the root first and a parent before its children.

    `left` < 0 marks a leaf, `value` is what a leaf gives.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trees:
    """All trees' nodes in one set of arrays: each tree breadth first, two children side by side.

    `value` of a leaf is what it gives; that of an inner node is 0 until `expecting` has filled it.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]
    depth: int

    @cached_property
    def paths(self) -> Paths:
        """The same trees in the form that walks fastest; made at the first use."""
        return paths(self.feature, self.threshold, self.left, self.value, self.roots)

    def sums(self, rows: NDArray[np.float32], executor: Executor = serial) -> NDArray[np.float64]:
        """The sum of the leaves' values over all trees, for each row (n, d)."""
        sums = np.empty(len(rows))
        parts = [slice(first, first + _TOGETHER) for first in range(0, len(rows), _TOGETHER)]
        executor([partial(add_up, *self.paths, rows[part], sums[part]) for part in parts])
        return sums

    def expecting(self, rows: NDArray[np.float32]) -> "Trees":
        """The same trees, whose inner nodes know what the `rows` (n, d) that reach them give.

        That is the mean over their leaves; of a node that none reaches, that of its two children.
        """
        reached, given = np.zeros(len(self.value)), np.zeros(len(self.value))
        nodes = (self.feature, self.threshold, self.left, self.value)
        _expect(*nodes, self.roots, rows, reached, given)
        return replace(self, value=given)

    def contribute(
        self,
        rows: NDArray[np.float32],
        weights: NDArray[np.float64],
        added: NDArray[np.float64],
    ) -> None:
        """Add to `added` (n, d) what each behaviour of `rows` (n, d) moves, times weights (n,).

        Each split on a row's way moves the value that is expected of it, see `expecting`; the
        behaviour that the split asks for gets the difference (Saabas, 2014). With weights of 1 a
        row gets its sum less that of the rows which the trees expect.
        """
        nodes = (self.feature, self.threshold, self.left, self.value)
        _contribute(*nodes, self.roots, rows, weights, added)


def flatten(trees: list[Tree]) -> Trees:
    """The flat form of `trees` (at least one)."""
    flats, roots, total, deepest = [], [], 0, 0
    for tree in trees:
        flat, depth = _breadth_first(tree, total)
        flats.append(flat)
        roots.append(total)
        total += len(tree.left)
        deepest = max(deepest, depth)
    feature, threshold, left, value = (np.concatenate(part) for part in zip(*flats, strict=True))
    return Trees(feature, threshold, left, value, np.array(roots, np.int32), deepest)


def depths(tree: Tree) -> NDArray[np.int64]:
    """Depth of each node (k,); the root's is 0."""
    found = np.zeros(len(tree.left), np.int64)
    for node in np.flatnonzero(tree.left >= 0):
        found[[tree.left[node], tree.right[node]]] = found[node] + 1
    return found


def _breadth_first(tree: Tree, start: int) -> tuple[tuple[NDArray[Any], ...], int]:
    """One tree's arrays breadth first, its nodes numbered from `start`, and its depth."""
    order = [0]
    left = np.empty(len(tree.left), np.int32)
    for place, node in enumerate(order):  # grows while it is read: a queue
        if tree.left[node] < 0:
            left[place] = start + place
            continue
        left[place] = start + len(order)
        order += [int(tree.left[node]), int(tree.right[node])]
    nodes = np.array(order)
    leaf = tree.left[nodes] < 0
    threshold = np.where(leaf, np.inf, _rounded_down(tree.threshold[nodes])).astype(np.float32)
    feature = np.where(leaf, 0, tree.feature[nodes]).astype(np.int32)
    value = np.where(leaf, tree.value[nodes], 0.0)
    return (feature, threshold, left, value), int(depths(tree).max())


def _rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each value: for every float32 x, ``x <= value`` and
    ``x <= rounded`` agree.
    """
    rounded = values.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > values, below, rounded)


@kernel
def _expect(  # type: ignore[no-untyped-def]
    feature, threshold, left, value, roots, rows, reached, given
):
    """Mean leaf value of `rows` at every node into given (nodes,); `reached` counts the rows."""
    for row in range(len(rows)):
        for root in roots:
            place = root
            while left[place] != place:
                place = left[place] + (rows[row, feature[place]] > threshold[place])
            gift, leaf, place = value[place], place, root
            while place != leaf:
                reached[place] += 1.0
                given[place] += gift
                place = left[place] + (rows[row, feature[place]] > threshold[place])
    for place in range(len(left) - 1, -1, -1):  # children come after their parent
        child = left[place]
        if child == place:
            given[place] = value[place]
        elif reached[place] > 0.0:
            given[place] /= reached[place]
        else:
            given[place] = 0.5 * (given[child] + given[child + 1])


@kernel
def _contribute(  # type: ignore[no-untyped-def]
    feature, threshold, left, value, roots, rows, weights, added
):
    """Add what each split on a row's way moves to its behaviour in added (n, d)."""
    for row in range(len(rows)):
        for root in roots:
            place = root
            while left[place] != place:
                asked = feature[place]
                child = left[place] + (rows[row, asked] > threshold[place])
                added[row, asked] += weights[row] * (value[child] - value[place])
                place = child
