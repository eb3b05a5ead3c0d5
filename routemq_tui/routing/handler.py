"""Handlers by name: `module:attribute`, imported relative to the project; and where a function is written.

Importing runs the user's code; every way in which that can go wrong becomes one line with file and line.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.methods import bound_method, takes_self

Handler = Callable[..., Any]


class HandlerImportError(RoutemqError):
    """A handler that cannot be imported; one line with file and line, and a hint when there is one."""

    exit_code = ExitCode.IMPORT_FAILED

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason} ({hint})" if hint else reason)
        self.reason = reason
        self.hint = hint


def handler_fault(handler: str) -> str | None:
    """What makes this text no `module:attribute`, or None."""
    module, colon, attribute = handler.partition(":")
    if not colon or not module or not attribute:
        return 'a handler is written "module:function"'
    if "/" in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        return f'a module is written with dots: "{dotted}:{attribute}"'
    for part in (*module.split("."), *attribute.split(".")):
        if not part.isidentifier():
            return f"{part!r} is not a name in Python"
    return None


def load_handler(handler: str, root: Path) -> Handler:
    """Import `module:attribute` (or `module:Class.method`) with `root` first on `sys.path`.

    Raises HandlerImportError, whatever the module does when it is imported.
    """
    found = load_object(handler, root)
    if isinstance(found, type):
        raise HandlerImportError(f"{handler!r} is a class, not a function ({location(found, root)})")
    if not callable(found):
        raise HandlerImportError(f"{handler!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def load_object(reference: str, root: Path) -> Any:
    """Import `module:attribute`, whatever it is; a plain method comes bound to an object of its class.

    Raises HandlerImportError, whatever the module does when it is imported.
    """
    fault = handler_fault(reference)
    if fault is not None:
        raise HandlerImportError(f"{reference!r} is no handler", fault)
    module_name, _, path = reference.partition(":")
    found: Any = import_module(module_name, root)
    for name in path.split("."):
        owner, found = found, _attribute(found, name, root)
        if isinstance(owner, type) and inspect.isfunction(found) and takes_self(owner, name):
            found = method_of_object(found, root)
    return found


def method_of_object(function: Handler, root: Path | None) -> Handler:
    """A method taken from its class, bound to an object of it; anything else as it is.

    Raises HandlerImportError when the object cannot be made.
    """
    try:
        return bound_method(function)  # type: ignore[no-any-return]
    except TypeError as error:
        hint = "give its parameters defaults, or make an object in the module and name its method"
        raise HandlerImportError(f"{error} ({location(function, root)})", hint) from error
    except Exception as error:
        raise _import_failure(error, root or Path.cwd()) from error


def location(function: object, root: Path | None = None) -> str:
    """Where a handler is written: `routes/sensors.py:12`, relative to `root` when it lies below it."""
    if isinstance(function, type):
        file, line = _class_place(function)
    else:
        code = getattr(plain_function(function), "__code__", None)
        if code is None:
            return f"{type(function).__name__} {getattr(function, '__name__', '')}".strip()
        file, line = code.co_filename, code.co_firstlineno
    shown = shown_path(file, root)
    return f"{shown}:{line}" if line else shown


def plain_function(function: object) -> object:
    """What is under partials, methods, callable objects and `functools.wraps`: where code and names are."""
    found = function
    while isinstance(found, functools.partial):
        found = found.func
    if not isinstance(found, FunctionType) and not inspect.ismethod(found) and not inspect.isroutine(found):
        found = getattr(type(found), "__call__", found)  # noqa: B004
    found = getattr(found, "__func__", found)
    try:
        return inspect.unwrap(found) if callable(found) else found
    except ValueError:
        return found


def import_module(name: str, root: Path) -> ModuleType:
    """Import with `root` first on `sys.path`; raises HandlerImportError, whatever the module does."""
    text = str(root)
    if sys.path[:1] != [text]:
        sys.path.insert(0, text)
    importlib.invalidate_caches()
    _claim_folder(name.partition(".")[0], root)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise HandlerImportError(
                f"there is no module {error.name!r} in {root} or installed", _module_hint(error.name, root)
            ) from error
        raise _import_failure(error, root, name) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _import_failure(error, root, name) from error


def _claim_folder(package: str, root: Path) -> None:
    """A folder of the project without `__init__.py` is the package of that name, whatever is installed: to
    Python it would only be a part of a namespace, and come after any real package."""
    folder = root / package
    if package in sys.modules or not folder.is_dir():
        return
    if (folder / "__init__.py").exists() or (root / f"{package}.py").exists():
        return
    module = ModuleType(package)
    module.__path__ = [str(folder)]
    sys.modules[package] = module


def _import_failure(error: BaseException, root: Path, module: str = "") -> HandlerImportError:
    said = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    if isinstance(error, SyntaxError) and error.filename:
        return HandlerImportError(
            f"{said.split(' (')[0]} ({shown_path(error.filename, root)}:{error.lineno})"
        )
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root)]
    # Ours and importlib's frames come first; the user's own line says more than one deep in a library.
    frame = own[-1] if own else frames[-1]
    what = "exits when it is imported" if isinstance(error, SystemExit) else ""
    place = f"({shown_path(frame.filename, root)}:{frame.lineno})"
    if frame.filename.startswith("<frozen") and module:
        # Not a line of it was run: the file itself is no source text.
        place = f"({_module_file(module, root)})"
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = "install it into the environment that routemq-tui runs in"
    return HandlerImportError(" ".join(filter(None, (said, what, place))), hint)


def _module_file(module: str, root: Path) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    return shown_path(spec.origin, root) if spec and spec.origin else module


def _attribute(owner: object, name: str, root: Path) -> object:
    try:
        return getattr(owner, name)
    except AttributeError:
        kind = "module" if isinstance(owner, ModuleType) else "class" if isinstance(owner, type) else "object"
        label = getattr(owner, "__name__", type(owner).__name__)
        names = (
            [
                other
                for other, value in vars(owner).items()
                if callable(value) and not isinstance(value, type) and not other.startswith("_")
            ]
            if hasattr(owner, "__dict__")
            else []
        )
        close = get_close_matches(name, names, 1)
        hint = f'did you mean "{close[0]}"?' if close else ""
        if not hint and names and isinstance(owner, ModuleType):
            own = sorted(n for n in names if getattr(getattr(owner, n), "__module__", "") == owner.__name__)
            hint = f"it has {', '.join(own[:8])}" if own else ""
        file = getattr(owner, "__file__", None)
        where = f" ({shown_path(file, root)})" if file else ""
        raise HandlerImportError(f"the {kind} {label!r} has no {name!r}{where}", hint) from None
    except Exception as error:
        raise _import_failure(error, root) from error


def _module_hint(missing: str, root: Path) -> str:
    package, _, name = missing.rpartition(".")
    folder = root.joinpath(*package.split(".")) if package else root
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return ""
    names = [
        entry.stem if entry.suffix == ".py" else entry.name
        for entry in entries
        if (entry.suffix == ".py" or entry.is_dir())
        and entry.stem.isidentifier()
        and entry.stem != "__init__"
    ]
    close = get_close_matches(name, names, 1)
    return f'did you mean "{f"{package}." if package else ""}{close[0]}"?' if close else ""


def _class_place(found: type) -> tuple[str, int | None]:
    try:
        return inspect.getsourcefile(found) or found.__module__, inspect.getsourcelines(found)[1]
    except (OSError, TypeError):
        return found.__module__, None


def shown_path(file: str, root: Path | None) -> str:
    """A path relative to the project, or to the working folder, when it lies below."""
    path = Path(os.path.realpath(file)) if Path(file).exists() else Path(file)
    for folder in (root, Path.cwd()):
        if folder is not None and path.is_relative_to(folder.resolve()):
            return str(path.relative_to(folder.resolve()))
    return str(file)
