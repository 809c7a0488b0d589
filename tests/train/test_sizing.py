"""How many rays a step and a pass take: all pixels, over several devices, and what fits."""

import pathlib

import jax
import pytest

from inv_jax.assembly import build, captures, sizing
from inv_jax.train.parallel import Devices


class _Several:
    """As many devices as one asks for, in name."""

    platform = "cpu"

    def __init__(self, count: int):
        self.count = count

    def memory_bytes(self) -> None:
        return None


@pytest.mark.parametrize("at_once", [1, 5])
def test_all_pixels_are_the_most_that_divide_over_the_devices(tiny_config, at_once):
    """Three cameras of 12x16; the same rays for frames that have their devices to themselves."""
    config = tiny_config({"train.rows_per_step": 0, "train.frames_at_once": at_once})
    made = captures.completed(config, build.model(config), pathlib.Path("unused"), _Several(5))
    assert made.train.rows_per_step == 575


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(641, 359), (1279, 719), (639, 361), (640, 360)])
def test_all_pixels_of_an_odd_size_are_taken_in_passes_of_many(tiny_config, size, count):
    """Over two devices or more, what is left out leaves primes as the share of each."""
    width, height = size
    config = tiny_config(
        {
            "train.rows_per_step": 0,
            "data.procedural.num_cams": 1,
            "data.procedural.width": width,
            "data.procedural.height": height,
            "data.holdout": (),
            "data.layout": sizing.PROCEDURAL,
            "model.name": "image",
        }
    )
    devices, pixels = _Several(count), width * height
    net, unused = build.model(config), pathlib.Path("unused")
    rays = captures.completed(config, net, unused, devices).train.rows_per_step
    assert 63 / 64 * pixels <= rays <= pixels
    assert rays % count == 0
    assert sizing.fitting_pass(net, devices, rays // count) >= 64
    if count == 1 or size == (640, 360):
        assert rays == pixels


def test_a_run_goes_on_with_its_pass_unless_a_smaller_one_is_what_fits(tiny_config):
    config = tiny_config({"train.rows_per_step": 2**20})
    net, devices = build.model(config), Devices(jax.devices()[:1])
    fitting = build.stepper(config, net, devices).rows_per_pass
    assert 1 < fitting < 2**19
    for earlier, expected in ((fitting // 2, fitting // 2), (2 * fitting, fitting), (3, fitting)):
        assert build.stepper(config, net, devices, earlier).rows_per_pass == expected
