"""Whether a handler is a plain function, read off its source: the engine never imports the user's code."""

from __future__ import annotations

import ast
from pathlib import Path


def is_sync(handler: str, root: Path) -> bool:
    """True only when `module:attribute` is seen to be a `def`; False for async ones and when in doubt."""
    module, _, attribute = handler.partition(":")
    base = root.joinpath(*module.split("."))
    for file in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        try:
            body: list[ast.stmt] = ast.parse(file.read_bytes()).body
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return _is_plain(body, attribute.split("."))
    return False


def _is_plain(body: list[ast.stmt], path: list[str]) -> bool:
    # From the end: the last definition of a name is the one that counts.
    for statement in reversed(body):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.name != path[0]:
                continue
            if isinstance(statement, ast.ClassDef):
                return len(path) > 1 and _is_plain(statement.body, path[1:])
            return isinstance(statement, ast.FunctionDef) and not statement.decorator_list and len(path) == 1
    return False
