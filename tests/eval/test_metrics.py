import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from inv_jax.eval import metrics

# Of `_seeded` images of these sizes: SSIM and MS-SSIM by tf.image.ssim and ssim_multiscale of
# TensorFlow 2.21.0 on a CPU. SSIM by scikit-image 0.26.0 (gaussian_weights, sigma 1.5, win_size 11,
# use_sample_covariance=False) is 0.522139, 0.542355 and 0.548013. MS-SSIM by pytorch-msssim 1.0.0
# is 0.894999 on the first; on odd sizes, which it pads with zeros, it is 0.906277 and 0.906384.
_RECORDED = {
    (176, 192): (0.5221364, 0.8949971),
    (161, 163): (0.5423533, 0.9051196),
    (181, 167): (0.5480051, 0.9046264),
}


@pytest.fixture
def pair():
    """A smooth image with noise, and the image without."""
    y, x = np.mgrid[0:17, 0:23] / 23
    reference = np.stack([x, y, 0.5 + 0.4 * np.sin(9 * x * y)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 0.1, reference.shape)
    return np.clip(reference + noise, 0, 1).astype(np.float32), reference.astype(np.float32)


def test_psnr_within_a_mask_is_that_of_its_pixels_alone(pair):
    image, reference = pair
    mask = np.zeros(image.shape[:2], bool)
    mask[:, 7:9] = True
    expected = metrics.psnr(image[:, 7:9], reference[:, 7:9])
    assert metrics.psnr_within(image, reference, mask) == pytest.approx(expected, abs=1e-4)
    whole = metrics.psnr_within(image, reference, np.ones_like(mask))
    assert whole == pytest.approx(metrics.psnr(image, reference), abs=1e-4)
    assert metrics.psnr_within(image, image, mask) == np.inf
    assert metrics.psnr_within(image, reference, np.zeros_like(mask)) is None
    with pytest.raises(ValueError, match="mask of"):
        metrics.psnr_within(image, reference, mask[:, 1:])


def _seeded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with noise that grows to the right, and the picture."""
    y, x = np.mgrid[0:height, 0:width] / width
    reference = np.stack([x, y, 0.5 + 0.4 * np.sin(40 * x * y)], -1)
    noise = np.random.default_rng(0).normal(0, 0.1, reference.shape) * x[..., None]
    return np.clip(reference + noise, 0, 1).astype(np.float32), reference.astype(np.float32)


def _ssim_in_float64(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """SSIM and MS-SSIM by convolutions of scipy, from the papers' formulas."""
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()

    def windows(x: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            x = ndimage.correlate1d(x, weights, axis=axis)
        return x[5:-5, 5:-5]

    def half(x: np.ndarray) -> np.ndarray:
        if x.shape[0] % 2:
            x = np.concatenate([x, x[-1:]])
        if x.shape[1] % 2:
            x = np.concatenate([x, x[:, -1:]], axis=1)
        return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4

    a, b = (x.astype(np.float64) for x in (image, reference))
    ssim, product = [], 1.0
    for exponent in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        p, q = windows(a), windows(b)
        structure = (2 * (windows(a * b) - p * q) + 0.03**2) / (
            windows(a * a) - p * p + windows(b * b) - q * q + 0.03**2
        )
        full = structure * (2 * p * q + 0.01**2) / (p * p + q * q + 0.01**2)
        ssim.append(full.mean())
        last = product * full.mean((0, 1)) ** exponent
        product = product * structure.mean((0, 1)) ** exponent
        a, b = half(a), half(b)
    return ssim[0], last.mean()


def _ssim_by_loops(image: np.ndarray, reference: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13 to 16, one window at a time, in float64."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for channel in range(3):
        a, b = (x[..., channel].astype(np.float64) for x in (image, reference))
        for i in range(a.shape[0] - 10):
            for j in range(a.shape[1] - 10):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mean_p, mean_q = (window * p).sum(), (window * q).sum()
                var_p, var_q = (
                    (window * (p - mean_p) ** 2).sum(),
                    (window * (q - mean_q) ** 2).sum(),
                )
                covariance = (window * (p - mean_p) * (q - mean_q)).sum()
                luminance = (2 * mean_p * mean_q + c1) / (mean_p**2 + mean_q**2 + c1)
                values.append(luminance * (2 * covariance + c2) / (var_p + var_q + c2))
    return float(np.mean(values))


@pytest.mark.parametrize(("offset", "decibel"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_psnr_of_a_constant_offset_is_minus_20_log10_of_it(offset, decibel):
    black = np.zeros((4, 5, 3), np.float32)
    assert metrics.psnr(black + np.float32(offset), black) == pytest.approx(decibel, abs=1e-4)


def test_psnr_averages_over_pixels_and_channels():
    image = np.zeros((5, 4, 3), np.float32)
    image[2, 1, 0] = 0.6  # MSE 0.36 / 60
    expected = -10 * np.log10(0.36 / 60)
    assert metrics.psnr(image, np.zeros_like(image)) == pytest.approx(expected, abs=1e-4)


def test_equal_images_have_infinite_psnr_and_ssim_one(pair):
    assert metrics.psnr(pair[0], pair[0]) == float("inf")
    assert metrics.ssim(pair[0], pair[0]) == pytest.approx(1.0, abs=1e-6)


def test_ssim_equals_a_loop_over_windows(pair):
    assert metrics.ssim(*pair) == pytest.approx(_ssim_by_loops(*pair), abs=1e-5)


def test_ssim_of_one_window_is_its_value(pair):
    image, reference = (x[:11, :11] for x in pair)
    assert metrics.ssim(image, reference) == pytest.approx(
        _ssim_by_loops(image, reference), abs=1e-5
    )


def test_ssim_of_flat_images_compares_their_brightness_alone():
    dark, bright = (np.full((12, 12, 3), value, np.float32) for value in (0.2, 0.6))
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert metrics.ssim(dark, bright) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shape", [(10, 40, 3), (40, 10, 3)])
def test_an_image_smaller_than_the_window_has_no_ssim(shape):
    assert metrics.ssim(np.zeros(shape, np.float32), np.ones(shape, np.float32)) is None


@pytest.mark.parametrize("size", _RECORDED)
def test_the_formulas_in_float64_give_what_other_libraries_do(size):
    assert _ssim_in_float64(*_seeded(*size)) == pytest.approx(_RECORDED[size], abs=2e-5)


def test_ssim_and_ms_ssim_of_an_odd_size_are_those_of_other_libraries():
    images = _seeded(161, 163)
    found = metrics.ssim(*images), metrics.ms_ssim(*images)
    assert found == pytest.approx(_RECORDED[161, 163], abs=2e-5)
    assert found == pytest.approx(_ssim_in_float64(*images), abs=2e-5)
    assert metrics.ms_ssim(images[0], images[0]) == pytest.approx(1.0, abs=1e-6)
    # What is of opposite contrast at one scale has no similarity.
    assert metrics.ms_ssim(images[0], 1 - images[0]) == 0.0


@pytest.mark.parametrize("shape", [(160, 400, 3), (400, 160, 3)])
def test_an_image_whose_coarsest_scale_holds_no_window_has_no_ms_ssim(shape):
    assert metrics.ms_ssim(np.zeros(shape, np.float32), np.ones(shape, np.float32)) is None


def test_metrics_of_jax_arrays_are_those_of_numpy(pair):
    on_device = [jnp.asarray(x) for x in pair]
    assert metrics.psnr(*on_device) == metrics.psnr(*pair)
    assert metrics.ssim(*on_device) == metrics.ssim(*pair)


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.ms_ssim])
def test_integers_or_unequal_shapes_are_refused(measure):
    image = np.zeros((12, 12, 3), np.float32)
    with pytest.raises(ValueError, match=r"want floats in \[0, 1\]"):
        measure(image.astype(np.uint8), image)
    with pytest.raises(ValueError, match=r"want \(H, W, 3\)"):
        measure(image[:11], image)


def test_images_of_one_size_compile_once(pair):
    # Sizes no other test uses.
    first, second = (np.pad(x, ((0, 6), (0, 1), (0, 0))) for x in pair)
    before = metrics._ssim._cache_size()
    metrics.ssim(first, second)
    metrics.ssim(second, first)
    assert metrics._ssim._cache_size() == before + 1
