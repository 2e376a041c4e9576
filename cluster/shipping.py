"""Getting the user's code to the workers: by value, so that an edit takes effect on the next run."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import pickle
import site
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..simulate.replay import Setup
from ..strategies.errors import RunError


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
    for key, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and os.path.dirname(file) in folders and _is_users(module):
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
    return not os.path.realpath(file).startswith(_installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    """Folders that every worker has: the standard library and installed packages."""
    folders = [sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib", "platstdlib")]
    return tuple({os.path.join(os.path.realpath(folder), "") for folder in (*folders, *site.getsitepackages())})


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
        for name, value in getattr(owner, "__dict__", {}).items() if not isinstance(owner, type) else ():
            try:
                cloudpickle.dumps(value)
            except Exception as reason:
                label = getattr(owner, "name", type(owner).__name__)
                return (
                    f"{label}: attribute {name!r} ({type(value).__name__}) cannot be sent to workers: {reason}; "
                    f"make it in start(), which runs in each process, or use engine='local'"
                )
    return f"the run cannot be sent to workers: {error}; engine='local' runs it in this process"


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
        if module.__file__:
            total.update(Path(module.__file__).read_bytes())
    for each in objects:
        for cls in (each if isinstance(each, type) else type(each)).__mro__:
            if cls.__module__ == "__main__":
                total.update(_source_of(cls).encode())
    return total.hexdigest()


def _source_of(cls: type) -> str:
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
    """The source of all modules that define the classes of `objects`, parents included, and of those beside them.

    None where some of it cannot be read. Of a notebook its cells so far.
    """
    objects = list(objects)
    modules = {module.__name__: module for module in user_modules(objects)}
    for each in objects:
        for cls in (each if isinstance(each, type) else type(each)).__mro__:
            module = sys.modules.get(cls.__module__)
            if module is not None and cls.__module__.split(".")[0] not in ("builtins", "headrace"):
                modules[cls.__module__] = module
    found: list[str] = []
    for module in modules.values():
        if getattr(module, "__file__", None):
            try:
                found.append(Path(str(module.__file__)).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                return None
        elif module.__name__ == "__main__" and isinstance(vars(module).get("In"), list):
            found.extend(module.In)
        else:
            return None
    return found
