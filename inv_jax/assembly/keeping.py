"""What keeps and shows what a run makes, from its config: frames, pictures, the neural video."""

import pathlib
from collections.abc import Callable, Sequence

import ml_collections

from inv_jax.assembly import record, sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import make, masked
from inv_jax.codec.base import Codec
from inv_jax.codec.writer import VideoWriter
from inv_jax.data.capture import Capture
from inv_jax.data.rig import Rig
from inv_jax.data.segments import Segment
from inv_jax.eval.evaluate import Evaluator
from inv_jax.models.base import Model
from inv_jax.render.view import ViewRenderer
from inv_jax.train.broadcast import Broadcast
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.train.recorder import Recorder
from inv_jax.types import InvError, Params

Config = ml_collections.ConfigDict


def broadcast(
    config: Config,
    workdir: pathlib.Path,
    codec: Codec,
    net: Model,
    rig: Rig,
    segments: Sequence[Segment],
    params: Params,
    should_stop: Callable[[], bool],
) -> Broadcast:
    """The neural video that a run writes to `workdir/video.inv` while it trains; `net` is shown.

    Raises:
      InvError: If the codec cannot store such params, or a file cannot say what it holds, or the
        shared params are only known behind the last segment.
    """
    if net.keeps_shared:
        raise InvError(
            f"codec.name={config.codec.name!r}, but later clips go on with the params that all "
            f"share (model.name={config.model.name!r}), and a video has these once; set "
            "codec.name='', and encode the run when it is trained: inv-jax encode"
        )
    provenance = record.provenance(rig.fingerprint)
    if config.data.frame_step != 1 and config.train.segment_frames == 1:
        raise InvError(
            f"data.frame_step={config.data.frame_step} leaves out frames, which a video does not; "
            "set codec.name='' here, or data.frame_step=1"
        )
    longest = max(len(segment.frames) for segment in segments)
    header = make.header(codec, params, net.roles, config.to_dict(), rig, provenance, longest)
    header.dump()
    masked.encoder(codec, header.layout)

    def open_writer(go_on_before: int) -> VideoWriter:
        return VideoWriter(
            workdir / "video.inv",
            header,
            codec,
            make.gauge(codec, net, rig, params, longest),
            color_precision=config.codec.color_precision,
            go_on_before=go_on_before,
        )

    return Broadcast(
        open_writer,
        net.roles.shared,
        goes_back=config.codec.from_decoded,
        should_stop=should_stop,
    )


def recorder(
    config: Config,
    net: Model,
    shots: Capture,
    workdir: pathlib.Path,
    video: Broadcast | None,
    devices: Devices,
) -> tuple[Recorder, Callable[[], None]]:
    """Who keeps and shows what is trained, and how to close that; only the main process writes."""
    store = journal = None
    if devices.is_main:
        store, journal = FrameStore(workdir, roles=net.roles), Journal(workdir)
    renderer = ViewRenderer(net, devices, sizing.rows_per_chunk(config, net, devices))
    made = Recorder(
        evaluator=Evaluator(
            renderer, shots, workdir, config.eval.step_picture, config.eval.pictures
        ),
        store=store,
        journal=journal,
        broadcast=video,
    )

    def close() -> None:
        made.close()
        if store is not None and journal is not None:
            journal.close()
            store.close()

    return made, close
