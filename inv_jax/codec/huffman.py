"""How many bits a Huffman code takes; nothing is stored with one here.

The original NeRV reports the size of its quantised networks by it: one code for all codes of
weights that are not zero, without the table that a decoder would need. Files take the better coder
in `entropy.py`; this is for the comparison.
"""

import heapq
from collections.abc import Sequence

import numpy as np

Counts = Sequence[int] | np.ndarray  # how often each symbol is met, (n,)


def lengths(counts: Counts) -> np.ndarray:
    """Bits of each symbol's code word (Huffman 1952), (n,) int64.

    A symbol that is not met has no word, 0 bits. A single one takes 1 bit, so that how often it
    came can be read. Among equal counts the tree with the lowest symbol goes first.
    """
    counts = np.asarray(counts, np.int64)
    found = np.zeros(counts.shape, np.int64)
    met = np.flatnonzero(counts)
    if met.size == 1:
        found[met] = 1
        return found
    # Nodes: the symbols first, then the trees of two, each with the node that it became a part of.
    parents = np.zeros(max(2 * met.size - 1, 0), np.int64)
    heap = [(int(counts[symbol]), node, node) for node, symbol in enumerate(met)]
    heapq.heapify(heap)
    for node in range(met.size, parents.size):
        (left, first, a), (right, _, b) = heapq.heappop(heap), heapq.heappop(heap)
        parents[a] = parents[b] = node
        heapq.heappush(heap, (left + right, first, node))
    depths = np.zeros_like(parents)
    for node in range(parents.size - 2, -1, -1):  # the last one is the root
        depths[node] = depths[parents[node]] + 1
    found[met] = depths[: met.size]
    return found


def average_bits(counts: Counts) -> float:
    """Mean bits of a symbol as the original reports it; 0 where there are none.

    Its library (dahuffman) also gives a word to an end mark that is met once; the mark's own bits
    are not counted.
    """
    counts = np.asarray(counts, np.int64)
    total = int(counts.sum())
    return int(counts @ lengths([1, *counts])[1:]) / total if total else 0.0
