"""A player of textures that knows nothing but a folder, as one in a browser: numpy and loops.

It is written after `inv_jax/textures/manifest.py`, and shares no code with the package.
"""

import itertools
import json
import pathlib

import numpy as np

CHANNELS = {"RGBA8": 4, "R8": 1}


class Folder:
    """A folder that is played from its first frame on."""

    def __init__(self, path: pathlib.Path):
        self.path, self.said = path, json.loads((path / "manifest.json").read_text())
        self.listed = [texture for part in self.said["parts"] for texture in part["textures"]]
        self.textures: dict[str, np.ndarray] = {}  # (z, y, x, channels) uint8, by name

    def play(self) -> dict[int, tuple[dict[str, np.ndarray], list[tuple[np.ndarray, np.ndarray]]]]:
        """Textures and color network (kernel, bias) of each frame."""
        found = {}
        for frame in self.said["frames"]:
            data = (self.path / frame["file"]).read_bytes()
            if frame["key"]:
                self._key(data)
            else:
                self._update(data)
            textures = {name: texture.copy() for name, texture in self.textures.items()}
            found[frame["frame"]] = textures, self._colors(frame["color"])
        return found

    def _key(self, data: bytes) -> None:
        at = 0
        for one in self.listed:
            x, y, z = one["size"]
            count = x * y * z * CHANNELS[one["format"]]
            texels = np.frombuffer(data, np.uint8, count, at).reshape(z, y, x, -1)
            self.textures[one["name"]], at = texels.copy(), at + count
        assert at == len(data)

    def _update(self, data: bytes) -> None:
        """As `texSubImage3D`, brick by brick."""
        side, number = (
            self.said["brick"],
            lambda i: int.from_bytes(data[4 * i : 4 * i + 4], "little"),
        )
        counts = [number(i) for i in range(len(self.listed))]
        nth, at = len(counts), 4 * (len(counts) + sum(counts))
        for one, count in zip(self.listed, counts, strict=True):
            size = one["size"]
            across = [-(-n // side) for n in size]
            for _ in range(count):
                brick, nth = number(nth), nth + 1
                place = [brick % across[0], brick // across[0] % across[1]]
                place.append(brick // (across[0] * across[1]))
                x, y, z = (
                    slice(side * p, min(side * (p + 1), n))
                    for p, n in zip(place, size, strict=True)
                )
                target = self.textures[one["name"]][z, y, x]
                texels = np.frombuffer(data, np.uint8, target.size, at)
                target[...], at = texels.reshape(target.shape), at + target.size
        assert at == len(data)

    def _colors(self, color: int) -> list[tuple[np.ndarray, np.ndarray]]:
        (name,) = (one["file"] for one in self.said["colors"] if one["id"] == color)
        flat, at, leaves = np.fromfile(self.path / name, "<f4"), 0, {}
        for path, shape in self.said["header"]["color_layout"]:
            count = int(np.prod(shape))
            leaves[path], at = flat[at : at + count].reshape(shape), at + count
        assert at == flat.size
        layers = sorted({path.rsplit("/", 1)[0] for path in leaves})
        return [(leaves[f"{layer}/kernel"], leaves[f"{layer}/bias"]) for layer in layers]

    # Pictures.

    def color(
        self,
        textures: dict[str, np.ndarray],
        network: list[tuple[np.ndarray, np.ndarray]],
        start: np.ndarray,
        span: np.ndarray,
        direction: np.ndarray,
    ) -> np.ndarray:
        """What a ray through the box sees."""
        said = self.said["field"]
        (guide,) = (part for part in self.said["parts"] if part["kind"] == "guide")
        levels = [part for part in self.said["parts"] if part["kind"] != "guide"]
        thickness = []
        for i in range(said["probes"]):
            at = self._squeeze(start + (i + 0.5) / said["probes"] * span)
            cell = [min(int(p * n), n - 1) for p, n in zip(at, guide["size"], strict=True)]
            texel = textures[guide["name"]][cell[2], cell[1], cell[0], 0] / 255.0
            code = guide["offset"][0] + guide["scale"][0] * texel
            thickness.append(guide["knee"] * (np.exp(code) - 1.0) / said["probes"])
        ends = [0.0, *_ends(thickness), 0.0]
        blurred = np.convolve(ends, [0.25, 0.5, 0.25], "valid") + said["floor"]
        share = (1 - said["even"]) * blurred / sum(blurred) + said["even"] / said["probes"]
        cumulative = np.concatenate([[0.0], np.cumsum(share)])
        wanted = np.linspace(0.0, 1.0, said["samples"] + 1)
        edges = np.interp(wanted, cumulative, np.linspace(0.0, 1.0, said["probes"] + 1))
        thickness, features = [], []
        for first, last in itertools.pairwise(edges):
            at = self._squeeze(start + 0.5 * (first + last) * span)
            raw, *rest = sum(_sample(textures, level, at) for level in levels)
            density = said["density"]["scale"] * np.log1p(np.exp(raw + said["density"]["shift"]))
            thickness.append(density * (last - first))
            features.append(rest)
        weights = _ends(thickness)
        weights[-1] += np.exp(-sum(thickness))
        seen = np.array(weights) @ np.array(features)
        hidden = np.concatenate([seen, direction])
        for kernel, bias in network[:-1]:
            hidden = np.maximum(hidden @ kernel + bias, 0.0)
        kernel, bias = network[-1]
        return 1.0 / (1.0 + np.exp(-(seen[:3] + hidden @ kernel + bias)))

    def _squeeze(self, point: np.ndarray) -> np.ndarray:
        box = self.said["field"]["box"]
        made, margin = point.copy(), box["margin"]
        for axis in range(2 if box["kind"] == "projective" else 3):
            x = 2.0 * point[axis] - 1.0
            if abs(x) <= 1.0:
                x *= 1.0 - margin
            else:
                x = np.sign(x) * (1.0 - margin / (1.0 + (abs(x) - 1.0) * (1.0 - margin) / margin))
            made[axis] = 0.5 + 0.5 * x
        return made


def _ends(thickness: list[float]) -> list[float]:
    """How much light ends in each part."""
    before, found = 0.0, []
    for one in thickness:
        found.append(np.exp(-before) * (1.0 - np.exp(-one)))
        before += one
    return found


def _sample(textures: dict[str, np.ndarray], level: dict, point: np.ndarray) -> np.ndarray:
    """A level with linear filtering, clamped to its edge."""
    size, total = np.array(level["size"]), np.zeros(len(level["offset"]))
    at = (np.clip(point, 0.0, 1.0) * (size - 1) + 0.5) - 0.5
    first = np.floor(at).astype(int)
    for corner in np.ndindex(2, 2, 2):
        node = _node(textures, level, np.clip(first + corner, 0, size - 1))
        total += np.prod(np.where(corner, at - first, 1 - at + first)) * node
    return total


def _node(textures: dict[str, np.ndarray], level: dict, node: np.ndarray) -> np.ndarray:
    """The numbers of a node."""
    first, *others = (textures[one["name"]] for one in level["textures"])
    if level["kind"] == "bricks":
        x, y, z = node // 4
        slot = sum(int(byte) << 8 * i for i, byte in enumerate(first[z, y, x])) - 1
        if slot < 0:
            return np.zeros(len(level["offset"]))
        across = [n // 4 for n in level["textures"][1]["size"]]
        place = slot % across[0], slot // across[0] % across[1], slot // (across[0] * across[1])
        node = 4 * np.array(place) + node % 4
    else:
        others = [first, *others]
    x, y, z = node
    texel = np.concatenate([texture[z, y, x] for texture in others])[: len(level["offset"])]
    return np.array(level["offset"]) + np.array(level["scale"]) * texel / 255.0
