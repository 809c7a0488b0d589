"""What a run costs: counted by arithmetic, measured on the machine, asked of the compiler.

count.py     floating-point operations and bytes moved, of a step and of an image
memory.py    bytes on the device; refuses what cannot fit
disk.py      bytes of a run on disk
machine.py   what the machine has, and the rates that it reaches
products.py  how long the matrix products of a step take on their own
trial.py     the real step on random pixels: compiled, timed, analysed by the compiler
words.py     numbers in words
"""
