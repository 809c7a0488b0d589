"""`inv-jax publish`: neural videos as a folder that any web server can serve."""

import pathlib
import time

from absl import flags, logging

from inv_jax.commands.stop import Stop
from inv_jax.stream.levels import Level
from inv_jax.stream.publish import Publisher
from inv_jax.types import InvError

USAGE = "--video=high.inv[,low.inv] --out=FOLDER [--follow]"
REQUIRED = {
    "video": "give an .inv file, or several of one run, separated by commas",
    "out": "give the folder that the web server serves",
}
_POLL_SECONDS = 0.2


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_list(
        "video",
        None,
        "An .inv file, or several: quality levels of one run, named as their files are.",
        flag_values=values,
    )
    flags.DEFINE_string("out", None, "Folder to publish to; it is made.", flag_values=values)
    flags.DEFINE_bool(
        "follow",
        False,
        "Goes on as the files grow, until they are closed; a signal ends it earlier.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "segment_frames",
        0,
        "Frames of a segment: fewer lag less, more make fewer files; 0: from key to key.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "keep_frames",
        0,
        "Keeps so many of the newest frames, for streams without an end; 0: all.",
        flag_values=values,
    )


def run(values: flags.FlagValues, stop: Stop) -> int:
    folder = pathlib.Path(values.out).expanduser().absolute()
    paths = [pathlib.Path(name).expanduser().absolute() for name in values.video]
    if values.follow:
        stop.install()
        wait_for(paths, stop)
    levels = [Level(path) for path in paths]
    publisher = Publisher(
        folder, levels, segment_frames=values.segment_frames, keep_frames=values.keep_frames
    )
    if values.follow:
        follow(publisher, stop)
    else:
        publisher.update(final=True)
    if publisher.end is None:
        raise InvError(f"{values.video[0]} has no frames yet; --follow waits for them")
    print(f"{folder}: frames up to {publisher.end - 1}{'' if publisher.ended else ', not ended'}")
    return 0


def wait_for(paths: list[pathlib.Path], stop: Stop) -> None:
    """Waits until the files have begun."""
    while not stop() and not all(path.is_file() and path.stat().st_size for path in paths):
        logging.log_every_n_seconds(logging.INFO, "waiting for %s", 10, paths[0])
        time.sleep(_POLL_SECONDS)


def follow(publisher: Publisher, stop: Stop) -> None:
    """Publishes what is appended, until the files are closed or a signal comes."""
    while not stop():
        if publisher.update():
            logging.info("published up to frame %d", (publisher.end or 0) - 1)
        if publisher.ended:
            return
        time.sleep(_POLL_SECONDS)
