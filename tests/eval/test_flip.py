"""FLIP is NVIDIA's library; tested is that we ask it the right thing."""

import numpy as np
import pytest

from inv_jax.eval import flip

_SRGB_TO_XYZ = np.array(  # IEC 61966-2-1
    [
        [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
        [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
        [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
    ]
)


def _hunt_lab(srgb: np.ndarray) -> np.ndarray:
    """CIELAB of a color, chroma scaled with lightness (Andersson et al. 2020, section 4.1.3)."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x = _SRGB_TO_XYZ @ linear / _SRGB_TO_XYZ.sum(1)
    delta = 6 / 29
    f = np.where(x > delta**3, np.cbrt(x), x / (3 * delta**2) + 4 / 29)
    lightness = 116 * f[1] - 16
    chroma = np.array([500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    return np.array([lightness, *(0.01 * lightness * chroma)])


def _flat_flip(first: np.ndarray, second: np.ndarray) -> float:
    """FLIP of two flat pictures: no edges, nothing to filter, the color difference alone."""

    def power(a: np.ndarray, b: np.ndarray) -> float:
        p, q = _hunt_lab(a), _hunt_lab(b)
        return (abs(p[0] - q[0]) + np.hypot(*(p[1:] - q[1:]))) ** 0.7

    green, blue = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    largest = power(green, blue)
    knee, found = 0.4 * largest, power(first, second)
    if found < knee:
        return 0.95 / knee * found
    return 0.95 + 0.05 * (found - knee) / (largest - knee)


def _flat(color: tuple[float, float, float]) -> np.ndarray:
    return np.broadcast_to(np.array(color, np.float32), (24, 36, 3))


@pytest.fixture(scope="module")
def pair():
    """A picture, and the same with an error in one corner."""
    rng = np.random.default_rng(3)
    reference = np.repeat(np.repeat(rng.random((10, 15, 3)), 12, 0), 12, 1).astype(np.float32)
    image = reference.copy()
    image[:30, -40:] = 1 - image[:30, -40:]
    return image, reference


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ((0.5, 0.5, 0.5), (0.52, 0.5, 0.5)),
        ((0.2, 0.7, 0.1), (0.3, 0.5, 0.9)),
        ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ],
)
def test_flat_pictures_differ_as_their_srgb_colors_do(first, second):
    expected = _flat_flip(np.array(first), np.array(second))
    assert flip.flip(_flat(first), _flat(second)) == pytest.approx(expected, abs=2e-4)


def test_equal_pictures_have_no_flip_and_all_others_at_most_one(pair):
    assert flip.flip(pair[0], pair[0]) == 0.0
    errors = flip.flip_map(*pair)
    assert errors.min() >= 0.0
    assert errors.max() <= 1.0
    assert flip.flip(*pair) == pytest.approx(errors.mean(), rel=1e-5)


def test_the_error_is_where_the_pictures_differ(pair):
    errors = flip.flip_map(*pair)
    assert errors.shape == pair[0].shape[:2]
    assert errors[:30, -40:].mean() > 0.3
    assert errors[60:, :100].max() < 1e-3


def test_flip_is_the_same_from_the_other_side(pair):
    assert flip.flip(*pair) == pytest.approx(flip.flip(*pair[::-1]), rel=1e-4)


def test_colors_outside_the_range_are_clipped_and_nan_is_black():
    white, black = _flat((1.0, 1.0, 1.0)), _flat((0.0, 0.0, 0.0))
    assert flip.flip(white + 3, white) == 0.0
    assert flip.flip(np.full_like(black, np.nan), black) == 0.0


def test_unequal_shapes_are_refused(pair):
    with pytest.raises(ValueError, match=r"want \(H, W, 3\)"):
        flip.flip(pair[0][1:], pair[1])
