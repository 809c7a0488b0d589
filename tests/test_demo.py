"""The demo keeps what the README says of it."""

import json

import pytest

from configs import demo
from inv_jax.assembly import build


@pytest.mark.slow  # some minutes: the whole demo
def test_the_demo_reaches_its_quality(tmp_path):
    config = demo.get_config()
    trainer, close = build.trainer(config, tmp_path, lambda: False)
    trainer.train()
    close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    warmup = [row["psnr"] for row in rows if row["phase"] == "warmup"]
    frozen = [row["psnr"] for row in rows if row["phase"] == "transfer"]
    assert len(rows) >= 8
    assert warmup
    assert frozen[-1] >= 26.0
    assert min(frozen) >= warmup[-1] - 1.0
