"""Every setting of the project, once, with its default and what it means, a file a part.

A part is a function without arguments that returns the fields of one group; `parts.py` says which
of them come with a model, a layout and a codec, `composed.py` puts them together. A name in
parentheses in a comment is the setting's name in the original INV.
"""

from inv_jax.settings.composed import changed, compose, recomposed

__all__ = ["changed", "compose", "recomposed"]
