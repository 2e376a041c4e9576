"""Getting the user's code to the workers: by value, so that an edit takes effect on the next run."""

from __future__ import annotations

import ast
import contextlib
import copy
import hashlib
import importlib.util
import inspect
import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..actors.failures import installed_folders
from ..simulate.setup import Setup
from ..strategies.errors import RunError
from ..strategies.hosting import scope_of
from ..strategies.strategy import Strategy
from .unpicklable import why_not


def user_modules(objects: Iterable[Any]) -> list[ModuleType]:
    """The modules that define the classes of `objects`, and those beside them that are loaded.

    Installed packages are left out: the workers have them.
    """
    found: dict[str, ModuleType] = {}
    for each in objects:
        kind = each if isinstance(each, type) else type(each)
        names = [getattr(each, "__module__", None), *(cls.__module__ for cls in kind.__mro__)]
        for name in names:
            module = sys.modules.get(name) if name else None
            if module is not None and _is_users(module):
                found[module.__name__] = module
    folders = {os.path.dirname(module.__file__) for module in found.values() if module.__file__}
    within = tuple(folders)  # asked first: a thousand modules may be loaded
    for key, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # A module whose file is gone was loaded from a folder that no longer exists: it is not part of this run.
        if (
            file
            and file.startswith(within)
            and os.path.dirname(file) in folders
            and _is_users(module)
            and os.path.exists(file)
        ):
            found[key] = module
    return list(found.values())


def _cloudpickle() -> Any:
    from ray import cloudpickle

    return cloudpickle


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    name = module.__name__
    if name == "__main__" or file is None or name.split(".")[0] in ("headrace", "ray"):
        return False
    return not os.path.realpath(file).startswith(installed_folders())


def objects_of(setup: Setup) -> list[Any]:
    """Everything in a setup that may be of the user's own classes."""
    return [
        *setup.strategies,
        *setup.middleware,
        *setup.clients,
        *(control for control, _ in setup.trading_controls),
        *(control for _, control, _ in setup.client_controls),
        *(worker.function for worker in setup.workers),
        *(argument for worker in setup.workers for argument in (*worker.func_args, *worker.func_kwargs.values())),
        *(event.callback for event in setup.custom_events if event.callback),
        *(event.event for event in setup.custom_events),
        *([setup.config.log_setup] if setup.config.log_setup else []),
        *vars(setup.models).values(),
        setup.market_actor,
        setup.coordinator,
    ]


@contextlib.contextmanager
def shipped(value: Any, objects: Sequence[Any]) -> Iterator[None]:
    """While this lasts, whatever is pickled takes the user's modules that define the classes of `objects` along.

    Args:
        value: what is to travel: it is tried first.

    Raises:
        RunError: something in it cannot travel; names the object and the attribute.
    """
    pack(value, objects)
    cloudpickle, modules = _cloudpickle(), user_modules(objects)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def pickled(value: Any) -> bytes:
    """A value as bytes, functions and classes of a script included."""
    return bytes(_cloudpickle().dumps(value))


def pack(value: Any, objects: Sequence[Any]) -> bytes:
    """A value as bytes, with the user's modules that define the classes of `objects`.

    Raises:
        RunError: something in it cannot travel; names the object and the attribute.
    """
    cloudpickle = _cloudpickle()
    modules = user_modules(objects)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise RunError(_unpicklable(objects, error, cloudpickle)) from None
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _unpicklable(objects: Sequence[Any], error: Exception, cloudpickle: Any) -> str:
    for owner in objects:
        found = why_not(owner, cloudpickle.dumps, "cannot be sent to workers", code=True)
        if found is not None:
            return f"{found}; {_RESOURCE}"
    return f"the run cannot be sent to workers: {error}; {_RESOURCE}"


#: What to do about something that can neither be sent nor copied.
_RESOURCE = (
    "have each process make its own, shared by all copies: `name = hr.resource(lambda: ...)` in the class, read as "
    "self.name"
)


def require_copies(strategy: Strategy) -> None:
    """Refuse a strategy of which no copies can be made: each market, event or run has its own.

    Raises:
        RunError: names the strategy, the attribute and what to do.
    """
    found = why_not(strategy, copy.deepcopy, f"cannot be copied, and each {scope_of(strategy)} has a copy of its own")
    if found is not None:
        raise RunError(f"{found}; {_RESOURCE}")


def why_not_picklable(value: Any) -> str | None:
    """Why a value cannot be sent to another process; None where it can."""
    if value is None or isinstance(value, (str, int, float, bool, bytes)):
        return None
    try:
        # Most payloads are plain: they need no cloudpickle, which brings all of Ray with it.
        pickle.dumps(value)
    except Exception:
        try:
            _cloudpickle().dumps(value)
        except Exception as error:
            return f"{type(value).__name__}: {error}"
    return None


def sources_digest(objects: Iterable[Any]) -> str:
    """A hash of the user's source files, for the manifest."""
    total = hashlib.sha256()
    objects = list(objects)
    for module in sorted(user_modules(objects), key=lambda module: module.__name__):
        if module.__file__ and os.path.exists(module.__file__):
            total.update(Path(module.__file__).read_bytes())
    for each in objects:
        for cls in (each if isinstance(each, type) else type(each)).__mro__:
            if cls.__module__ == "__main__":
                total.update(source_of_class(cls).encode())
    return total.hexdigest()


def source_of_class(cls: type) -> str:
    """The source of a class of the script or notebook; of a notebook's only functions know theirs."""
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        found = [cls.__qualname__]
    for name, value in vars(cls).items():
        function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        try:
            found.append(inspect.getsource(function))
        except (OSError, TypeError):
            if isinstance(value, (str, int, float, bool, tuple, type(None))) and not name.startswith("__"):
                found.append(f"{name} = {value!r}")
    return "\n".join(found)


def sources_of(objects: Iterable[Any]) -> list[str] | None:
    """The source of all of the user's code that `objects` may run: of the modules that define their classes, parents
    included, and of what these import. Of a notebook its cells so far.

    None where some of it cannot be read.
    """
    owners = [each if isinstance(each, type) or hasattr(each, "__code__") else type(each) for each in objects]
    roots = [owner.__module__ for each in owners for owner in getattr(each, "__mro__", (each,))]
    packages = {root.split(".")[0] for root in roots if "." in root} - set(sys.stdlib_module_names)
    waiting, seen = list(roots), set(_OURS)
    found: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[0] in _OURS or name.split(".")[0] in sys.stdlib_module_names:
            continue
        seen.add(name)
        module = sys.modules.get(name)
        if module is None and not _is_installed(name):
            return None  # it may yet be loaded
        of_theirs = name in roots or name == "__main__" or name.split(".")[0] in packages
        if module is None or not (of_theirs or _is_users(module)):
            continue
        texts = _texts(module)
        if texts is None:
            return None
        for text in texts:
            imported = _imports(text, module.__package__ or "")
            if imported is None:
                return None
            waiting.extend(imported)
        found.extend(texts)
    return found


#: Packages whose code changes nothing of a strategy.
_OURS = ("builtins", "headrace", "ray")


def _texts(module: ModuleType) -> list[str] | None:
    """The source of a module: one text, or the cells of a notebook."""
    file = getattr(module, "__file__", None)
    if file is None:
        cells = vars(module).get("In")
        return list(cells) if module.__name__ == "__main__" and isinstance(cells, list) else None
    try:
        return [Path(file).read_text(encoding="utf-8")]
    except (OSError, UnicodeDecodeError):
        return None


def _imports(source: str, package: str) -> list[str] | None:
    """The modules that code imports, wherever in it; None where it is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            # What is imported from a package may be a module of it.
            inner = (f"{base}.{alias.name}" for alias in node.names)
            found.extend([base, *(name for name in inner if name in sys.modules)])
    return found


def _is_installed(name: str) -> bool:
    """Whether a module that is not loaded belongs to the standard library or an installed package."""
    top = name.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and os.path.realpath(spec.origin or "").startswith(installed_folders())
