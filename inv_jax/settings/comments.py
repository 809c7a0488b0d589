"""What the comments beside the fields say, read from the source of their parts."""

import ast
import functools
import inspect
import io
import textwrap
import tokenize
from collections.abc import Mapping

from inv_jax.settings.parts import ALWAYS, CHOICES, Part


def of(names: Mapping[str, str]) -> dict[str, str]:
    """The comment of each field, by dotted name.

    Args:
      names: Which parts there are, by the fields that choose them.
    """
    found: dict[str, str] = {}
    for parts in (ALWAYS, *(CHOICES[field][name] for field, name in names.items())):
        for group, functions in parts.fields.items():
            for part in functions:
                found |= {f"{group}.{name}": text for name, text in of_part(part).items()}
    return found


@functools.cache
def of_part(part: Part) -> dict[str, str]:
    """The comments of one part: behind each assignment, and in the lines of comment that follow.

    model.depth = 8  # layers of the trunk,
    # or of an image
    """
    source = textwrap.dedent(inspect.getsource(part))
    rows = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: dict[str, str] = {}
    for statement in ast.walk(ast.parse(source)):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Attribute):
            continue
        line = statement.end_lineno or statement.lineno
        texts = [comments.get(line, "")]
        while rows[line].lstrip().startswith("#"):  # the line behind it, counted from 0
            line += 1
            texts.append(comments[line])
        found[target.attr] = " ".join(filter(None, texts))
    return found
