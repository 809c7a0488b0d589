"""From what a viewer names to a feed: a file, a folder, the address of either, a run, textures."""

import pathlib
import urllib.parse

from inv_jax.assembly import record
from inv_jax.codec.video import NeuralVideo
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream import ranges
from inv_jax.stream.feed import Feed, VideoFeed, Wanted
from inv_jax.stream.place import FolderPlace, WebPlace
from inv_jax.stream.stored_run import StoredRun
from inv_jax.stream.stream_feed import StreamFeed
from inv_jax.stream.web import Traffic, Web
from inv_jax.textures.folder import TextureFolder, is_textures


def open_feed(name: str, wanted: Wanted) -> Feed:
    """Opens what is to be played.

    Args:
      name: An `.inv` file, a published folder or its manifest, or the http(s) address of one; or
        the workdir of a run, or a folder of its textures.
      wanted: What to play of it.

    Raises:
      InvError: If it is not there, or no neural video.
    """
    if "://" in name:
        return _open_address(name, wanted)
    path = pathlib.Path(name).expanduser()
    if path.name == manifest_lib.NAME:
        path = path.parent
    if path.is_dir() and record.read(path) is not None:
        return VideoFeed(StoredRun(path.absolute()), wanted, Traffic())
    if is_textures(path):
        return VideoFeed(TextureFolder(path), wanted, Traffic())
    if path.is_dir():
        return StreamFeed(FolderPlace(path, Traffic()), wanted)
    return VideoFeed(NeuralVideo.open(path), wanted, Traffic())


def _open_address(url: str, wanted: Wanted) -> Feed:
    traffic = Traffic()
    web = Web(url, wanted.timeout, traffic)
    parsed = urllib.parse.urlsplit(url)
    if parsed.path.endswith(".inv"):
        source, growing = ranges.open_url(web, url)
        video = NeuralVideo(source, url)
        if growing is None:
            return VideoFeed(video, wanted, traffic)
        return VideoFeed(video, wanted, traffic, probe=growing.probe, forget=growing.forget)
    if not parsed.path.endswith(".json"):
        path = f"{parsed.path.rstrip('/')}/{manifest_lib.NAME}"
        url = urllib.parse.urlunsplit(parsed._replace(path=path))
    return StreamFeed(WebPlace(web, url), wanted)
