"""The commands of `inv-jax`, a module each.

A module has `USAGE` (its line of the help), `REQUIRED` (flags that must be given, and what to give
where they are not), `define(values, argv)` for its flags, and `run(values, stop)`, which returns
the exit status. A new command is a new module and a line in `cli.py`.
"""
