"""What a model computes for a row, as numbers: operations, memory and passes are counted from it.

A network sees `points` of each row. Its `maps` are the linear maps that these meet; whatever is
done element by element (encodings, waves, compositing) is told as operations and values a point.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Map:
    """A linear map `fan_in -> fan_out`.

    Attributes:
      rows: How often it is applied: to a ray, or, where params are multiplied, to a pass.
      fan_in: Features that go in.
      fan_out: Features that come out.
      is_activated: Whether an activation follows.
      trains: Whether its kernel does.
      trains_below: Whether anything that its input depends on does.
    """

    rows: int
    fan_in: int
    fan_out: int
    is_activated: bool
    trains: bool
    trains_below: bool

    @property
    def is_differentiated(self) -> bool:
        """Whether a gradient reaches its result."""
        return self.trains or self.trains_below


@dataclasses.dataclass(frozen=True)
class Network:
    """What one network does.

    Attributes:
      points: That it sees of a row: samples of a ray, pixels of a picture.
      maps: Its linear maps, in order.
      encoded: Features of a point's encoding.
      point_flops: Of a point, forward and (if anything trains) backward, beside the maps, their
        biases and ReLUs.
      point_floats: float32 values of a point that are written and read, beside the maps'.
      kept: Numbers of a point that wait for the way back, in the network's precision.
      kept_bytes: Bytes of a point that wait for the way back in another one.
      folded: Products of params alone, once a pass.
      pass_flops: Other operations on params alone, once a pass.
      pass_floats: float32 values that these write and read.
    """

    points: int
    maps: tuple[Map, ...]
    encoded: int
    point_flops: int
    point_floats: int
    kept: int
    kept_bytes: int
    folded: tuple[Map, ...] = ()
    pass_flops: int = 0
    pass_floats: int = 0

    @property
    def widest(self) -> int:
        """Numbers of a row in its largest array."""
        return max(self.points * self.encoded, *(m.rows * m.fan_out for m in self.maps))


@dataclasses.dataclass(frozen=True)
class Work:
    """What a model does with a row.

    Attributes:
      networks: In the order in which they run.
      row_floats: float32 values of a row's inputs, written and read.
    """

    networks: tuple[Network, ...]
    row_floats: int
