#!/usr/bin/env bash
# How tests/compat/data was made: on 2026-11-30, by commit 3cf8abd (inv_jax 0.1.0; jax and jaxlib
# 0.10.2, flax 0.12.8, optax 0.2.8, orbax-checkpoint 0.12.8, numpy 2.4.6, Python 3.11.7), on a CPU
# with AVX-512. It is kept to be read: what an older version wrote is not to be made anew.
#
#     bash tests/compat/make_data.sh CHECKOUT      of that commit; a minute or two for each run
#
# NAME.flags        settings of a run, as the command line had them
# NAME.tar.gz       the run's workdir without its capture, tensorboard/ and nerf_esti/compare/:
#   inv_warmup      stopped within frame 2, in Warm-Up
#   inv             the same run stopped within frame 4, in Structure Transfer; 64 rays a pass
#   image           stopped within frame 3
#   split           3 frames, finished; its static field came from a run that was /runs/static
# NAME.npz          params of the run that nothing stopped, by FRAME/PATH; leaves that are those of
#                   the frame before are left out. Of split, of the run gone on with for a frame; of
#                   color_transfer, of a run that begins from the stopped `image`
# NAME.jsonl        ... its journal
# delta.inv         ... of inv, its video.inv; raw.inv, twc.inv by `encode`
# image.inv         ... of image, its video.inv: twc in groups of two
# split.inv         the stored run's video.inv, of two fields
# digests.json      of the params of each frame of these files: SHA-256 of leaves in order of paths
# published/        delta.inv and raw.inv by `publish`
# pictures.npz      what `play --path=test` shows of them, (frames, H, W, 3) uint8; split_dynamic with
#                   `--layer=dynamic`. The dot of a name is an underscore
# capture/          of inv and split; image_capture/ of image. As the procedural layout renders them
# arithmetic.npy    what `arithmetic.py` made of it on that CPU
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$here/data
runs=$(mktemp -d)
cd "$1"
export PYTHONPATH=$PWD JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4

# Asks $1 times whether to stop, then SIGTERM comes.
stopped() {
    python - "$@" <<'PYTHON' || [ $? = 143 ]
import sys
from inv_jax import cli
calls = iter(range(int(sys.argv.pop(1))))
class Stop(cli.Stop):
    def __call__(self):
        return next(calls, None) is None
cli.Stop = Stop
sys.exit(cli.main(sys.argv))
PYTHON
}
# Params of the workdir $2 into $1.
params() {
    python - "$@" <<'PYTHON'
import pathlib, sys
import numpy as np
from inv_jax import params
from inv_jax.checkpoint import FrameStore
out, workdir = map(pathlib.Path, sys.argv[1:])
source, last, kept = FrameStore(workdir), {}, {}
for frame in source.frames():
    leaves = params.flatten(source.params(frame))
    for name, leaf in leaves.items():
        if name not in last or not np.array_equal(last[name], leaf):
            kept[f"{frame}/{name}"] = leaf
    last = leaves
np.savez_compressed(out, **kept)
PYTHON
}
inv_jax() { python -m inv_jax "$@"; }
begin() { mkdir -p "$runs/$1"; cp -r "$data/$2" "$runs/$1/capture"; }
whole() {  # keeps what a run that nothing stopped ended with
    params "$data/$1.npz" "$runs/$2"
    cp "$runs/$2/metrics.jsonl" "$data/$1.jsonl"
}
keep() {
    rm -r "$runs/$1"/{capture,tensorboard,nerf_esti/compare}
    find "$runs/$1" -name commit_success.txt -exec sed -i "s,$runs,/runs,g" {} +
    tar -C "$runs" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c "$1" |
        gzip -9n > "$data/$1.tar.gz"
}

python "$here/arithmetic.py" "$data/arithmetic.npy"

flags=$(cat "$data/inv.flags")
inv_jax train $flags --workdir="$runs/inv_whole" --config.train.rays_per_pass=64
cp -r "$runs/inv_whole/capture" "$data/capture"
whole inv inv_whole
cp "$runs/inv_whole/video.inv" "$data/delta.inv"
for codec in raw twc; do
    inv_jax encode --workdir="$runs/inv_whole" --codec=$codec --group=0 --out="$data/$codec.inv"
done
inv_jax publish --video="$data/delta.inv,$data/raw.inv" --out="$data/published"
once="--config.train.rays_per_pass=64 --config.train.dispatch_seconds=0"
begin inv capture
begin inv_warmup capture
stopped 152 train $flags $once --workdir="$runs/inv_warmup"
stopped 248 train $flags $once --workdir="$runs/inv"

flags=$(cat "$data/image.flags")
inv_jax train $flags --workdir="$runs/image_whole"
cp -r "$runs/image_whole/capture" "$data/image_capture"
whole image image_whole
cp "$runs/image_whole/video.inv" "$data/image.inv"
begin image image_capture
stopped 135 train $flags --config.train.dispatch_seconds=0 --workdir="$runs/image"
inv_jax train $(cat "$data/color_transfer.flags") --workdir="$runs/color_transfer" \
    --config.train.init_from="$runs/image" \
    --config.data.path="$data/image_capture/frames/frame0004cam00.png"
whole color_transfer color_transfer

flags=$(sed "s,/runs/static,$runs/static," "$data/split.flags")
begin static capture
begin split capture
inv_jax train ${flags/split.py/split.py:static} --workdir="$runs/static" \
    --config.train.init_from= --config.data.num_frames=2 --config.codec.name=
inv_jax train $flags --workdir="$runs/split"
cp "$runs/split/video.inv" "$data/split.inv"
cp -r "$runs/split" "$runs/split_whole"
inv_jax train $flags --config.data.num_frames=4 --workdir="$runs/split_whole"
whole split split_whole
sed -i "s,$runs/static,/runs/static," "$runs/split/config.json"

python - "$data" <<'PYTHON'
import hashlib, json, pathlib, sys
from inv_jax import params
from inv_jax.codec.video import NeuralVideo
digests = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.inv")):
    video = NeuralVideo.open(path)
    for frame in video.frames():
        leaves = params.flatten(video.params(frame))
        digest = hashlib.sha256(b"".join(leaves[name].tobytes() for name in sorted(leaves)))
        digests.setdefault(path.name, {})[str(frame)] = digest.hexdigest()
(path.parent / "digests.json").write_text(json.dumps(digests, indent=2) + "\n")
PYTHON
for name in image split {delta,raw,twc,image,split}.inv; do
    source=$runs/$name
    [ -e "$source" ] || source=$data/$name
    inv_jax play "$source" --path=test --out="$runs/pictures/${name/./_}"
done
inv_jax play "$runs/split" --path=test --layer=dynamic --out="$runs/pictures/split_dynamic"
python - "$runs/pictures" "$data/pictures.npz" <<'PYTHON'
import pathlib, sys
import numpy as np
from PIL import Image
folders = sorted(pathlib.Path(sys.argv[1]).iterdir())
pictures = {
    folder.name: np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    for folder in folders
}
np.savez_compressed(sys.argv[2], **pictures)
PYTHON
for name in inv_warmup inv image split; do keep "$name"; done
rm -r "$runs"
