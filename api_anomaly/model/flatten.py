"""scikit-learn's trees as `FlatTrees`.

Thresholds are rounded down to float32, which changes no comparison because rows are float32.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.trees import MAX_FEATURES, MAX_NODES, NODE, FlatTrees


class Tree(NamedTuple):
    """One tree's k nodes, the root first and a parent before its children.

    `left` < 0 marks a leaf, `value` is what a leaf gives.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]


def flatten(trees: list[Tree]) -> FlatTrees:
    """The flat form of `trees` (at least one).

    Raises ValueError for more than 256 features, or 2^24 nodes or more.
    """
    sizes = [len(tree.left) for tree in trees]
    features = 1 + max(int(tree.feature.max()) for tree in trees)
    if sum(sizes) >= MAX_NODES or features > MAX_FEATURES:
        raise ValueError("The trees have too many nodes or features.")
    roots = np.cumsum([0, *sizes[:-1]])
    flat = [_breadth_first(tree, int(root)) for tree, root in zip(trees, roots, strict=True)]
    return FlatTrees(
        nodes=np.concatenate([nodes for nodes, _ in flat]),
        value=np.concatenate([value for _, value in flat]),
        roots=roots.astype(np.uint32),
        depths=np.array([node_depths(tree).max() for tree in trees], np.int32),
    )


def node_depths(tree: Tree) -> NDArray[np.int64]:
    """Depth of each node (k,); the root's is 0."""
    depths = np.zeros(len(tree.left), np.int64)
    for node in np.flatnonzero(tree.left >= 0):
        depths[[tree.left[node], tree.right[node]]] = depths[node] + 1
    return depths


def _breadth_first(tree: Tree, root: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """One tree's nodes (k,) breadth first, numbered from `root`, and their values (k,)."""
    order = [0]
    left = np.empty(len(tree.left), np.uint32)
    for position, node in enumerate(order):  # grows while it is read: a queue
        if tree.left[node] < 0:
            left[position] = root + position
            continue
        left[position] = root + len(order)
        order += [int(tree.left[node]), int(tree.right[node])]
    leaf = tree.left[order] < 0
    nodes = np.empty(len(order), NODE)
    nodes["threshold"] = np.where(leaf, np.inf, _round_down(tree.threshold[order]))
    nodes["link"] = left << np.uint32(8) | np.where(leaf, 0, tree.feature[order]).astype(np.uint32)
    return nodes, np.where(leaf, tree.value[order], 0.0)


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each value: for every float32 x, ``x <= value`` and
    ``x <= rounded`` agree.
    """
    rounded = values.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > values, below, rounded)
