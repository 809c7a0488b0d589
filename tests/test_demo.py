"""The demo keeps what the README says of it."""

import json

import pytest

from configs import demo, fast
from inv_jax.assembly import build


@pytest.mark.slow  # some minutes: the whole demo
@pytest.mark.parametrize(
    ("config", "least", "decay"),
    [(demo.get_config(), 26.0, 1.0), (fast.get_config("demo"), 29.0, 0.0)],
    ids=["inv", "fast"],
)
def test_the_demo_reaches_its_quality(tmp_path, config, least, decay):
    trainer, close = build.trainer(config, tmp_path, lambda: False)
    trainer.train()
    close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    warmup = [row["psnr"] for row in rows if row["phase"] == "warmup"]
    frozen = [row["psnr"] for row in rows if row["phase"] == "transfer"]
    assert len(rows) >= 8
    assert warmup
    assert frozen[-1] >= least
    assert min(frozen) >= warmup[-1] - decay
