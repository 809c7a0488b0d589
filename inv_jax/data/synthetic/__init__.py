"""A procedural capture: a toy theatre that we render ourselves, with exact ground truth.

scene   what stands on the stage, how it moves      tracer  what rays hit, what light gets there
paint   its colors                                  view    exact views from any camera
shapes  signed distances                            rig     the cameras in front of the stage
writer  all of it to disk, in the META layout
"""

from inv_jax.data.synthetic.rig import Rig, make_rig
from inv_jax.data.synthetic.view import GroundTruth, render_view
from inv_jax.data.synthetic.writer import write_capture

__all__ = ["GroundTruth", "Rig", "make_rig", "render_view", "write_capture"]
