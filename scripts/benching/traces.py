"""Where the time of a step goes: a profiler's trace, summed up by operation."""

import collections
import pathlib
import re
from typing import Any

import jax

from inv_jax.cost.trial import Trial

STEPS = 10  # at most, in a trace
_TOP = 15  # operations that are listed
_NESTING = ("while", "call", "conditional", "async")  # they hold others, which are counted

# `%name = type opcode(operands), ..., calls=%computation, ..., metadata={op_name="..."}`
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?\)?\s([\w\-]+)\(")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_CALLS = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
_SOURCE = re.compile(r'op_name="([^"]*)"')
_PRODUCT = re.compile(r"\b(?:dot|convolution)\(|gemm|matmul|cutlass|xmma|\$dot")


def record(folder: pathlib.Path, step: Trial, num_steps: int) -> dict[str, Any]:
    """Traces some steps; what `summarize` makes of it. The trace stays in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.rglob("*.xplane.pb"))
    with jax.profiler.trace(str(folder)):
        wall = step.seconds(num_steps)
    (path,) = set(folder.rglob("*.xplane.pb")) - before
    return summarize(path, step.program_text(), num_steps, wall)


def summarize(
    path: pathlib.Path, program: str, num_steps: int, wall_seconds: float
) -> dict[str, Any]:
    """Seconds a step by operation, of all devices together.

    Args:
      path: The trace, an `xplane.pb` file.
      program: The compiled program's text.
      num_steps: Steps in the trace.
      wall_seconds: Of a step, under the profiler.

    Returns:
      `busy_seconds` a step (on a CPU of all threads, so it may exceed `step_seconds`),
      `product_seconds` and `other_seconds` of it, and the operations that take longest.
    """
    kinds = _kinds(program)
    seconds: collections.Counter[str] = collections.Counter()
    times: collections.Counter[str] = collections.Counter()
    data = jax.profiler.ProfileData.from_file(str(path))
    planes = list(data.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        for line in _lines(list(plane.lines)):
            for event in line.events:
                op = str(dict(event.stats).get("hlo_op") or (event.name if devices else ""))
                if op and not op.startswith(_NESTING):
                    seconds[op] += event.duration_ns / 1e9 / num_steps
                    times[op] += 1
                    if _PRODUCT.search(event.name):  # a kernel of a library
                        kinds.setdefault(op, (event.name[:60], True))
    busy = sum(seconds.values())
    products = sum(value for op, value in seconds.items() if kinds.get(op, ("", False))[1])
    return {
        "steps": num_steps,
        "step_seconds": wall_seconds,
        "busy_seconds": busy,
        "product_seconds": products,
        "other_seconds": busy - products,
        "kernels": sum(times.values()) // num_steps,
        "top": [
            {
                "op": op,
                "is_product": kinds.get(op, ("", False))[1],
                "what": kinds.get(op, ("", False))[0],
                "seconds": value,
                "share": value / busy,
                "times": times[op] // num_steps,
            }
            for op, value in seconds.most_common(_TOP)
        ],
    }


def _lines(lines: list[Any]) -> list[Any]:
    """The lines that hold each operation once: some traces have it per stream and in a summary."""
    for wanted in ("XLA Ops", "Stream"):
        if found := [line for line in lines if line.name.startswith(wanted)]:
            return found
    return lines


def _kinds(program: str) -> dict[str, tuple[str, bool]]:
    """Each instruction's source, and whether it or what it calls holds a matrix product."""
    holding: set[str] = set()
    found: dict[str, tuple[str, str, str]] = {}
    computation = ""
    for line in program.splitlines():
        if match := _COMPUTATION.match(line):
            computation = match[1]
        elif match := _INSTRUCTION.match(line):
            if _PRODUCT.search(line.split(" metadata=")[0]):
                holding.add(computation)
            called = _CALLS.search(line)
            source = _SOURCE.search(line)
            found[match[1]] = (
                line.split(" metadata=")[0],
                called[1] if called else "",
                "/".join(source[1].split("/")[-3:]) if source else match[2],
            )
    return {
        name: (source, bool(_PRODUCT.search(text)) or called in holding)
        for name, (text, called, source) in found.items()
    }
