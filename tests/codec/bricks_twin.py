"""The plain twin of the decoder of `bricks`: Python's whole numbers, one symbol after another.

Written down from the docstrings of `bricks_codec.py` and `whole_tables.py`, as one would for a
browser; nothing is shared with the fast decoder but the tables that frames begin with, which are
constants. It believes its input.
"""

import itertools
import struct
import zlib

from inv_jax.codec import bricks_tables

_WAVES = ((0, 0, 0), (1, 1, 1), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0))
_AROUND = [at for at in itertools.product((-1, 0, 1), repeat=3) if any(at)]
_SIDES = [at for at in _AROUND if sum(map(abs, at)) == 1]


class _Table:
    def __init__(self, table):
        self.rows = [[int(count) for count in row] for row in table.counts]
        self.gain, self.limit = table.gain, table.limit

    def frequencies(self, row):
        counts = self.rows[row]
        free, total = 2**24 - len(counts), sum(counts)
        made = [count * free // total for count in counts]
        made[counts.index(max(counts))] += free - sum(made)
        return [one + 1 for one in made]

    def learn(self, contexts, tokens):
        for row, token in zip(contexts, tokens, strict=True):
            self.rows[row][token] += self.gain
        for row in set(contexts):
            while sum(self.rows[row]) > self.limit:
                self.rows[row] = [(count + 1) >> 1 for count in self.rows[row]]


class _Stack:
    def __init__(self, data, crc):
        self._words = list(struct.unpack(f"<{len(data) // 4}I", data))
        self._state, self.crc = 0, crc
        self._fill()

    def _take(self, first, frequency):
        self._state = (self._state >> 24) * frequency + self._state % 2**24 - first
        self._fill()

    def _fill(self):
        while self._state < 2**32 and self._words:
            self._state = self._state << 32 | self._words.pop()

    def _plain(self, bits):
        value = self._state % 2**24 >> (24 - bits)
        self._take(value << (24 - bits), 1 << (24 - bits))
        return value

    def tokens(self, contexts, table):
        rows, found = {row: table.frequencies(row) for row in set(contexts)}, []
        for row in contexts:
            first, token, slot = 0, 0, self._state % 2**24
            while slot >= first + rows[row][token]:
                first, token = first + rows[row][token], token + 1
            self._take(first, rows[row][token])
            found.append(token)
        table.learn(contexts, found)
        self.crc = zlib.crc32(bytes(found), self.crc)
        return found

    def symbols(self, contexts, table):
        zigzag = self.tokens(contexts, table)
        bits = [((token - 16) >> 2) + 2 if token >= 16 else 0 for token in zigzag]
        extra = [0] * len(zigzag)
        for count in sorted(set(bits) - {0}):
            for i in [i for i, one in enumerate(bits) if one == count]:
                extra[i] = self._plain(count)
                zigzag[i] = ((4 + (zigzag[i] - 16) % 4) << count) + extra[i]
        self.crc = zlib.crc32(struct.pack(f"<{len(extra)}i", *extra), self.crc)
        return [_signed(z) for z in zigzag]

    def nonzero(self, contexts, small, large):
        tokens = self.tokens(contexts, small)
        count = tokens.count(15)
        rest = iter(self.symbols([0] * count, large) if count else [])
        return [next(rest) if token == 15 else _signed(token + 1) for token in tokens]


def _signed(z):
    return -(z + 1) // 2 if z % 2 else z // 2


def _moved(at, by):
    return (at[0], *(a + b for a, b in zip(at[1:], by, strict=True)))


class _Leaf:
    """Codes by node, a node being (grid, x, y, z)."""

    def __init__(self, shape):
        *outer, x, y, z, channels = (1, 1, 1, 1, *shape)
        grids = 1
        for length in outer:
            grids *= length
        self.size, self.channels = (grids, x, y, z), channels
        self.nodes = list(itertools.product(*map(range, self.size)))
        self.blocks = list(itertools.product(range(grids), *(range(-(-n // 4)) for n in (x, y, z))))
        self.codes = {node: [0] * channels for node in self.nodes}
        self.last: dict[str, dict] = {"block": {}, "node": {}}  # frames that they changed in

    def inside(self, block, local):
        node = _moved((block[0], *(4 * b for b in block[1:])), local)
        return node if node in self.codes else None


class Twin:
    """Decodes payloads in order; gives the codes of each leaf and its exponents."""

    def __init__(self, shapes):
        self._shapes = shapes
        self.leaves: list[_Leaf] = []
        self.exponents: list[list[int]] = []

    def decode(self, payload):
        """All codes, leaf by leaf, as `Layout.ravel` has them; checks the checksum."""
        kind, crc = struct.unpack_from("<BI", payload)
        if kind == 0xB0:
            (words,) = struct.unpack_from("<I", payload, 5)
            layout = tuple((f"net/own/l{i}/x", shape) for i, shape in enumerate(self._shapes))
            stack = _Stack(payload[9 : 9 + 4 * words], zlib.crc32(repr(layout).encode()))
            self._key(stack)
        else:
            stack = _Stack(payload[5:], self.crc)
            self._predicted(stack)
        assert stack.crc == crc
        self.crc = crc
        return [code for leaf in self.leaves for node in leaf.nodes for code in leaf.codes[node]]

    def _key(self, stack):
        self.leaves = [_Leaf(shape) for shape in self._shapes]
        counts = [leaf.channels for leaf in self.leaves]
        firsts = [i == 0 for count in counts for i in range(count)]
        table = _Table(bricks_tables.exponent_tables())
        found = iter(stack.symbols([int(one) for one in firsts], table))
        start, self.exponents = 0, []
        for count in counts:
            start += next(found)
            own = [start]
            for _ in range(count - 1):
                own.append(own[-1] + next(found))
            self.exponents.append(own)
        self.frame = 1
        self._tables = self._fresh()
        blocks = self._blocks(stack)
        tables = {name: _Table(one) for name, one in vars(bricks_tables.KeyTables.fresh()).items()}
        for leaf, own in zip(self.leaves, blocks, strict=True):
            self._key_leaf(stack, leaf, own, tables)
        for leaf in self.leaves:
            leaf.last = {"block": {}, "node": {}}
        self._tables = self._fresh()

    def _fresh(self):
        fresh = vars(bricks_tables.FrameTables.fresh())
        masks = [_Table(one) for one in fresh.pop("masks")]
        return {name: _Table(one) for name, one in fresh.items()} | {"masks": masks}

    def _key_leaf(self, stack, leaf, blocks, tables):
        sizes = {}
        for wave, parity in enumerate(_WAVES):
            near = [
                at
                for at in _AROUND
                if _WAVES.index(tuple((p + a) % 2 for p, a in zip(parity, at, strict=True))) < wave
            ]
            least = min((sum(map(abs, at)) for at in near), default=0)
            near = [at for at in near if sum(map(abs, at)) == least]
            nodes = [
                node
                for block in blocks
                for local in itertools.product(range(4), repeat=3)
                if tuple(i % 2 for i in local) == parity and (node := leaf.inside(block, local))
            ]
            expected, contexts = [], []
            for node in nodes:
                beside = [_moved(node, at) for at in near]
                there = [one for one in beside if one in leaf.codes]
                count = max(len(there), 1)
                active = sum(min(abs(c), 63) for one in there for c in leaf.codes[one])
                for channel in range(leaf.channels):
                    total = sum(leaf.codes[one][channel] for one in there)
                    mean = (2 * total + count) // (2 * count) if wave else 0
                    spread = sum(sizes.get(one, [0] * leaf.channels)[channel] for one in there)
                    row = sum(10 * spread >= tenths * count for tenths in (3, 10, 30))
                    row = 2 * row + (5 * active >= count * leaf.channels)
                    rest = 6 * (total - mean * count)
                    row = 3 * row + (rest > -count) + (rest > count)
                    expected.append(mean)
                    contexts.append(1 + row if wave else 0)
            found = []
            for start in range(0, len(contexts), 4096):
                part = contexts[start : start + 4096]
                flags = stack.tokens(part, tables["flags"])
                rows = [row for row, flag in zip(part, flags, strict=True) if flag]
                rest = iter(stack.nonzero(rows, tables["small"], tables["large"]))
                found += [next(rest) if flag else 0 for flag in flags]
            pairs = iter(zip(found, expected, strict=True))
            for node in nodes:
                own = [next(pairs) for _ in range(leaf.channels)]
                leaf.codes[node] = [symbol + mean for symbol, mean in own]
                sizes[node] = [min(abs(symbol), 63) for symbol, _ in own]

    def _predicted(self, stack):
        blocks = self._blocks(stack)
        changed = self._nodes(stack, blocks)
        counts = [leaf.channels for leaf in self.leaves]
        for channels in dict.fromkeys(counts):
            own = [(i, node) for i, leaf in enumerate(self.leaves) for node in changed[i]
                   if leaf.channels == channels]  # fmt: skip
            self._codes(stack, channels, own)
        for leaf, own, nodes in zip(self.leaves, blocks, changed, strict=True):
            leaf.last["block"].update(dict.fromkeys(own, self.frame))
            leaf.last["node"].update(dict.fromkeys(nodes, self.frame))
        self.frame += 1

    def _codes(self, stack, channels, nodes):
        met, changes = [0] * len(nodes), []
        for first in range(0, channels, 4):
            contexts = []
            for (i, node), count in zip(nodes, met, strict=True):
                four = self.leaves[i].codes[node][first : first + 4]
                mask = sum(1 << bit for bit, code in enumerate(four) if code)
                contexts.append((min(i, 7) * 16 + mask) * 2 + count)
            found = stack.tokens(contexts, self._tables["masks"][min(first // 4, 2)])
            met = [count or int(mask > 0) for count, mask in zip(met, found, strict=True)]
            changes += [
                (n, first + bit)
                for n, mask in enumerate(found)
                for bit in range(4)
                if mask >> bit & 1
            ]
        contexts = []
        for n, channel in sorted(changes):
            code = self.leaves[nodes[n][0]].codes[nodes[n][1]][channel]
            size = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3}[min(abs(code), 4)]
            contexts.append(min(nodes[n][0], 7) * 7 + 3 + (size if code > 0 else -size))
        found = stack.nonzero(contexts, self._tables["small"], self._tables["large"])
        for (n, channel), change in zip(sorted(changes), found, strict=True):
            self.leaves[nodes[n][0]].codes[nodes[n][1]][channel] += change

    def _blocks(self, stack):
        contexts = [min(i, 7) for i in range(len(self.leaves))]
        is_set = stack.tokens(contexts, self._tables["leaves"])
        waves = [
            [
                [at for at in leaf.blocks if one and sum(at[1:]) % 2 == wave]
                for leaf, one in zip(self.leaves, is_set, strict=True)
            ]
            for wave in (0, 1)
        ]
        found = self._flags(stack, "block", waves)
        return [sorted(own) for own in found]

    def _nodes(self, stack, blocks):
        waves = []
        for wave in (0, 1):
            locals_ = [at for at in itertools.product(range(4), repeat=3) if sum(at) % 2 == wave]
            waves.append(
                [
                    [node for block in own for at in locals_ if (node := leaf.inside(block, at))]
                    for leaf, own in zip(self.leaves, blocks, strict=True)
                ]
            )
        return self._flags(stack, "node", waves)

    def _flags(self, stack, kind, waves):
        found: list[list] = [[] for _ in self.leaves]
        table = self._tables["blocks" if kind == "block" else "nodes"]
        for wave, offered in enumerate(waves):
            contexts = []
            for i, (leaf, own) in enumerate(zip(self.leaves, offered, strict=True)):
                last = leaf.last[kind]
                first = set(found[i])
                for at in own:
                    age = min(self.frame - last.get(at, -1000), 5)
                    age = {1: 0, 2: 1, 3: 2, 4: 2, 5: 3}[age]
                    beside = [_moved(at, side) for side in _SIDES]
                    if wave:
                        met = 3 + min(sum(one in first for one in beside), 4)
                    else:
                        count = sum(last.get(one) == self.frame - 1 for one in beside)
                        met = (count > 0) + (count > 2)
                    contexts.append((min(i, 7) * 4 + age) * 8 + met)
            flags = iter(stack.tokens(contexts, table))
            for i, own in enumerate(offered):
                found[i] += [at for at in own if next(flags)]
        return found
