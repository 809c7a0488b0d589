"""The fast field as textures: what a player without JAX, in a browser say, draws frames from.

`manifest.py` says what a folder of textures holds and how pictures come from it. Here it is written
(`writer.py`), read again (`folder.py`), and shown by the model itself (`field.py`), so that there
is one renderer. What of a frame becomes textures is a list of parts (`parts.py`, `pool.py`): a new
kind of level is a class, and a name in `kinds.py`.
"""
