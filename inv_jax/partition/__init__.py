"""Does the network split itself into structure first, colors behind? Measured, not assumed.

Three questions to a run, of all layers in the order of their numbers (`inv_jax.params`):

- **Change.** How far does each layer go from frame to frame, as a part of its norm? Steps move
  params even where nothing moves in the picture, so the same steps are also taken on the images
  that a frame was trained on already (`still`): what lies above it is due to the new images.
- **Swap.** Layers of a later frame, the donor, in an earlier one, the base: the first n or the
  last n, as they are. How close does the picture come to the donor's image?
- **Train.** From the base's params, on the donor's images, for equally many steps, only some
  layers train: the first n, the last n, n random ones, all. How close does it come?

The partition holds where the first few layers do nearly as much as all, and others do not. Only a
run whose color layers never froze can say so: where they froze, frames had no other choice.

Pictures are measured on the view of a training camera and of a held-out one, over all pixels, and
over those where the images of the two frames differ (`probe.MOVED`).
"""
