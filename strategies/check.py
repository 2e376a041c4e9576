"""What makes a strategy's results depend on the machine, or on how it is run: found by reading its source.

Only what the callbacks reach is read: methods, helper functions and classes of the same file, parents, and modules that
lie beside the file. Precision goes before completeness: what cannot be followed is not reported. A line that ends in
`# headrace: ok`, or `# headrace: ok wall-clock`, is not reported either.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import linecache
import math
import os
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .strategy import Strategy

_RUN_CALLBACKS = ("add", "start", "finish")
_MARKET_CALLBACKS = (
    "process_new_market",
    "process_market_catalogue",
    "check_market_book",
    "process_market_book",
    "process_raw_data",
    "check_sports_data",
    "process_sports_data",
    "process_custom_event",
    "process_orders",
    "process_closed_market",
)
_CALLBACKS = (*_RUN_CALLBACKS, *_MARKET_CALLBACKS)

_CLOCKS = {
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"pandas.Timestamp.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
}
#: Read the clock where they are called with fewer arguments than this.
_CLOCKS_WITHOUT = {"time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1, "time.strftime": 2}
_RANDOM = {"uuid.uuid1", "uuid.uuid4", "os.urandom", "random.SystemRandom"}
_GENERATOR = re.compile(
    r"random\.Random|numpy\.random\.(default_rng|RandomState|SeedSequence|PCG64|MT19937|Philox|SFC64)"
)
_RANDOM_FUNCTION = re.compile(r"(random|numpy\.random)\.[a-z]\w*|secrets\.\w+")
_CONTAINERS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "count", "cycle"}
_TAKERS = {"pop", "popitem", "popleft", "setdefault"}
_MUTATORS = _TAKERS | {
    *("append", "appendleft", "extend", "extendleft", "insert", "add", "update", "remove", "discard", "clear"),
    *("sort", "reverse", "subtract", "difference_update", "intersection_update", "symmetric_difference_update"),
}
#: Words in the name of a number that only makes sense over several markets.
_ACROSS_MARKETS = {"bank", "bankroll", "daily", "markets", "overall", "races", "today"}
_SUPPRESSED = re.compile(r"#\s*headrace:\s*ok(?P<codes>[\w\s,-]*)$")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: Characters of source that `warnings_of` reads, about 15 ms.
_QUICK = 40_000
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
#: Types of default that a parameter may not have.
_REFUSED = {"list", "dict", "set", "bytearray", "defaultdict", "Counter", "OrderedDict"}


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to look at.

    Attributes:
        file: the source file, as it was named.
        line: in it, from 1.
        code: "wall-clock", "random", "module-state", "market-state", "unpicklable", "parameter" or "callback".
        message: what is there.
        advice: what to do instead.
    """

    file: str
    line: int
    code: str
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code}: {self.message}; {self.advice}"


def check_source(source: str, filename: str, class_name: str, scope: str | None = None) -> list[Finding]:
    """What is found in the source of a strategy.

    Args:
        filename: where findings are said to be; modules that lie beside it are followed.
        class_name: of the strategy; qualified where it is not at the top level.
        scope: of the instance; None: as the source has it.

    Raises:
        InputError: the source is no Python, or has no such class; names the nearest.
    """
    try:
        module = _Module(source, filename, _Family())
    except SyntaxError as error:
        raise InputError(f"{filename}:{error.lineno}: {error.msg}") from None
    return _Check(module, class_name).findings(scope)


def check_class(cls: type[Strategy], filename: str | None = None, scope: str | None = None) -> list[Finding]:
    """What is found in the source of a class; nothing where there is no source.

    Args:
        filename: the source file, where it is known; else the class is asked.
        scope: as of `check_source`.
    """
    checked = _check_of(cls, filename, {})
    return checked.findings(scope) if checked else []


def check_instance(strategy: Strategy, dumps: Callable[[Any], bytes], filename: str | None = None) -> list[Finding]:
    """The attributes of an instance, and of its classes, that cannot be sent to other processes.

    Args:
        dumps: pickles as the engine would: cloudpickle's `dumps`.
        filename: the source file, where it is known; else the class is asked.
    """
    cls = type(strategy)
    checked = _check_of(cls, filename, {})
    held = {name: value for name, value in vars(strategy).items() if name not in ("_host", "_framework")}
    for parent in cls.__mro__[: cls.__mro__.index(Strategy)]:
        for name, value in vars(parent).items():
            if not name.startswith("__") and name != "_abc_impl" and not _is_code(value):
                held.setdefault(name, value)
    found = []
    for name, value in held.items():
        reason = _refusal(value, dumps)
        if reason:
            kind = type(value)
            label = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            found.append((name, f"self.{name} holds a {label}, which cannot be sent to other processes ({reason})"))
    reason = None if found else _refusal(strategy, dumps)
    if reason:
        found.append(("", f"{cls.__name__} cannot be sent to other processes ({reason})"))
    advice = "make it with hr.resource(loader), which loads it once in each process"
    if checked is None:
        place = filename or getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
        return [Finding(place, 1, "unpicklable", message, advice) for _, message in found]
    for name, message in found:
        checked.report(*checked.assignment(name), "unpicklable", message, advice)
    return sorted(checked.reported)


def warnings_of(strategies: Iterable[Strategy]) -> list[str]:
    """What is found in the sources of strategies, a line each; silent where there is no source.

    Made to be quick: hints on parameters are left out, pickling is not tried, and no more than 40,000 characters of
    source are read. `headrace check` does all.
    """
    found: set[Finding] = set()
    modules: dict[str, _Module] = {}
    for cls, scope in {(type(strategy), strategy.scope): None for strategy in strategies}:
        try:
            checked = _check_of(cls, None, modules, _QUICK)
            if checked:
                found.update(finding for finding in checked.findings(scope) if finding.code != "parameter")
        except RecursionError:  # nested deeper than can be read
            continue
    return [str(finding) for finding in sorted(found)]


def _refusal(value: Any, dumps: Callable[[Any], bytes]) -> str | None:
    try:
        dumps(value)
    except Exception as error:  # a user's object may raise anything
        return (str(error) or type(error).__name__).splitlines()[0]
    return None


def _is_code(value: Any) -> bool:
    kinds = (staticmethod, classmethod, property, functools.cached_property)
    return isinstance(value, kinds) or inspect.isroutine(value)


def _check_of(cls: type, filename: str | None, modules: dict[str, _Module], left: float = math.inf) -> _Check | None:
    """The check of a class, in the first file that has its source.

    Args:
        modules: those read before, by file.
        left: how many characters may be read in all.
    """
    functions = [value for value in vars(cls).values() if inspect.isfunction(value)]
    files = [filename] if filename else [function.__code__.co_filename for function in functions]
    if not filename:
        files.append(getattr(sys.modules.get(cls.__module__), "__file__", None) or "")
    for file in dict.fromkeys(files):
        try:
            if file not in modules:
                linecache.checkcache(file)
                source = "".join(linecache.getlines(file))
                family = _Family(left=left - sum(len(known.source) for known in modules.values()))
                if not family.takes(len(source)):
                    continue
                modules[file] = _Module(source, _shown(file), family)
            return _Check(modules[file], cls.__qualname__)
        except (SyntaxError, InputError):
            continue
    return None


def _shown(file: str) -> str:
    """A path as a reader would write it: relative, where it lies under the present folder."""
    here = os.path.join(os.getcwd(), "")
    return file[len(here) :] if file.startswith(here) else file


# -- the source and its names ----------------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Family:
    """The modules of a folder that were read, by name (None: cannot be), and how many characters more may be."""

    modules: dict[str, _Module | None] = dataclasses.field(default_factory=dict)
    left: float = math.inf

    def takes(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


class _Module:
    """A source file: its tree, and what its names mean.

    Raises:
        SyntaxError: it is no Python.
    """

    def __init__(self, source: str, file: str, family: _Family) -> None:
        self.file = file
        self.source = source
        self.lines = source.splitlines()
        self.tree = ast.parse(source)
        self.names = _definitions(self.tree.body)
        self.classes = list(_classes(self.tree.body, "", self.names))
        self.imports: dict[str, str] = {}
        self.attributes = set(re.findall(r"\.\s*(\w+)", source))
        self.groups_events = "event_processing" in source or "event_groups" in source
        self._folder = Path(file).absolute().parent.name
        self._family = family
        self._members: dict[int, dict[str, ast.stmt]] = {}
        self._values_set: dict[int, dict[str, list[ast.AST | None]]] = {}
        for node in _statements(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.imports[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    source_name = f"{'.' * node.level}{node.module}." if node.module else "." * node.level
                    self.imports[alias.asname or alias.name] = source_name + alias.name

    def members(self, node: ast.AST) -> dict[str, ast.stmt]:
        """What a class defines, by name."""
        if id(node) not in self._members:
            self._members[id(node)] = _definitions(node.body) if isinstance(node, ast.ClassDef) else {}
        return self._members[id(node)]

    def values_set(self, node: ast.AST) -> dict[str, list[ast.AST | None]]:
        """What a class assigns to attributes of self, by name; not what it adds to them."""
        if id(node) not in self._values_set:
            found = self._values_set[id(node)] = {}
            for each in _statements(node):
                if isinstance(each, (ast.AugAssign, ast.Delete)):
                    continue
                for target, value in _targets(each):
                    if isinstance(target, ast.Attribute) and _last(target.value) == "self":
                        found.setdefault(target.attr, []).append(value)
        return self._values_set[id(node)]

    def beside(self, dotted: str) -> tuple[_Module, list[str]] | None:
        """The module of the same folder that a dotted name begins with, and the rest of the name."""
        parts = dotted.lstrip(".").split(".")
        relative = len(dotted) - len(dotted.lstrip("."))
        if relative > 1 or (not relative and parts[0] in sys.stdlib_module_names):
            return None
        if parts[0] == self._folder and len(parts) > 1:
            parts = parts[1:]
        known = self._family.modules
        if parts[0] not in known:
            known[parts[0]] = None
            path = Path(self.file).parent / f"{parts[0]}.py"
            try:
                source = path.read_text(encoding="utf-8")
                if self._family.takes(len(source)):
                    known[parts[0]] = _Module(source, str(path), self._family)
            except (OSError, SyntaxError, ValueError):
                return None
        found = known[parts[0]]
        return None if found is None else (found, parts[1:])


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements of a block, and of the blocks in it."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, part, ())
        for each in inner if isinstance(inner, list) else ():
            yield each
            yield from _statements(each)


def _walk(node: ast.AST) -> list[ast.AST]:
    """A node and all below it, in the order of the source: `ast.walk`, at half the time."""
    found: list[ast.AST] = []
    waiting = [node]
    while waiting:
        each = waiting.pop()
        found.append(each)
        below: list[ast.AST] = []
        for field in each._fields:
            value = getattr(each, field, None)
            if isinstance(value, list):
                below += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                below.append(value)
        waiting += reversed(below)
    return found


def _definitions(body: Iterable[ast.stmt]) -> dict[str, ast.stmt]:
    """What a block defines, by name; not what runs only where the file is the program."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, _DEFINITIONS):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                found.update({each.id: node for each in ast.walk(target) if isinstance(each, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
                continue
            for part in ("body", "orelse", "handlers", "finalbody"):
                for each in getattr(node, part, ()):
                    found.update(_definitions(each.body if isinstance(each, ast.ExceptHandler) else [each]))
    return found


def _classes(
    body: Iterable[ast.AST], prefix: str, names: Mapping[str, ast.stmt]
) -> Iterator[tuple[str, ast.ClassDef, Mapping[str, ast.stmt]]]:
    """All classes of a block: qualified name, node, and the names they see."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield f"{prefix}{node.name}", node, names
            yield from _classes(node.body, f"{prefix}{node.name}.", names)
        elif isinstance(node, _FUNCTIONS):
            inner = ChainMap(_definitions(node.body), dict(names))
            yield from _classes(node.body, f"{prefix}{node.name}.<locals>.", inner)
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
            yield from _classes(ast.iter_child_nodes(node), prefix, names)


@dataclasses.dataclass(frozen=True, slots=True)
class _Code:
    """A piece of source: where it is, which names it sees, and the method of which classes it is."""

    node: ast.AST
    module: _Module
    names: Mapping[str, ast.stmt]
    lineage: tuple[_Code, ...] = ()

    def members(self) -> dict[str, ast.stmt]:
        return self.module.members(self.node)

    def value(self) -> ast.expr | None:
        return self.node.value if isinstance(self.node, (ast.Assign, ast.AnnAssign)) else None


@dataclasses.dataclass(frozen=True, slots=True)
class _Use:
    """What a method does with an attribute of self.

    Attributes:
        kind: "set"; "add" where the new value builds on the old; "change" in place; "read".
        keyed: the change names a market.
        constant: what is set is a literal.
        tested: it is read only for whether there is anything.
        looped: it stands in a loop.
    """

    attribute: str
    kind: str
    node: ast.AST
    code: _Code
    keyed: bool = False
    constant: bool = False
    tested: bool = False
    looped: bool = False


@dataclasses.dataclass(slots=True)
class _Facts:
    """What one piece of source does.

    Attributes:
        reached: the code it uses.
        uses: of attributes of self.
        findings: node, code, message and advice, of clocks, chance and shared state.
    """

    reached: list[_Code] = dataclasses.field(default_factory=list)
    uses: list[_Use] = dataclasses.field(default_factory=list)
    findings: list[tuple[ast.AST, str, str, str]] = dataclasses.field(default_factory=list)


# -- one piece of source ---------------------------------------------------------------------------------------------


class _Reader:
    """Reads one piece of source."""

    def __init__(self, code: _Code, strategy: tuple[_Code, ...]) -> None:
        self.facts = _Facts()
        self._code = code
        self._strategy = strategy
        self._parts = (
            [each for part in code.node.body if not isinstance(part, _FUNCTIONS) for each in _walk(part)]
            if isinstance(code.node, ast.ClassDef)
            else _walk(code.node)
        )
        self._locals = self._bound() if isinstance(code.node, _FUNCTIONS) else set()
        self._self = self._cls = ""
        self._where = ""
        node = code.node
        if isinstance(node, _FUNCTIONS):
            self._where = f"{node.name}()"
            kinds = {_last(decorator) for decorator in node.decorator_list}
            arguments = [*node.args.posonlyargs, *node.args.args]
            if code.lineage and arguments and "staticmethod" not in kinds:
                if "classmethod" in kinds:
                    self._cls = arguments[0].arg
                else:
                    self._self = arguments[0].arg
        self._looped: set[int] = set()
        self._tested: set[int] = set()

    def _bound(self) -> set[str]:
        """Names that are the function's own."""
        bound: set[str] = set()
        shared: set[str] = set()
        for each in self._parts:
            if isinstance(each, ast.arg):
                bound.add(each.arg)
            elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                bound.add(each.id)
            elif isinstance(each, _DEFINITIONS) and each is not self._code.node:
                bound.add(each.name)
            elif isinstance(each, ast.Global):
                shared.update(each.names)
        return bound - shared

    def read(self) -> _Facts:
        for each in self._parts:
            self._tested.update(id(tested) for tested in _tested(each))
            if isinstance(each, (ast.For, ast.While)) and id(each) not in self._looped:
                self._looped.update(id(inner) for inner in _walk(each))
        changed: set[int] = set()
        called: set[int] = set()
        for each in self._parts:
            for target, value in _targets(each):
                self._assigned(target, value, each, changed)
            if isinstance(each, ast.Call):
                self._called(each, changed, called)
            elif isinstance(each, ast.Global):
                self._global(each)
        for each in self._parts:
            if isinstance(each, (ast.Name, ast.Attribute)) and isinstance(each.ctx, ast.Load):
                if id(each) not in called:
                    self._mentioned(each)
                self._follow(each, id(each) in changed)
        return self.facts

    # -- names -------------------------------------------------------------------------------------------------------

    def dotted(self, node: ast.AST) -> str | None:
        """The full name of something imported."""
        if isinstance(node, ast.Name):
            return None if node.id in self._locals else self._code.module.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else None
        return None

    def find(self, node: ast.AST) -> _Code | None:
        """What a name stands for, where its definition can be seen."""
        code = self._code
        if isinstance(node, ast.Name) and node.id not in self._locals and node.id in code.names:
            return _Code(code.names[node.id], code.module, code.names)
        dotted = self.dotted(node)
        beside = code.module.beside(dotted) if dotted else None
        if beside and len(beside[1]) == 1 and beside[1][0] in beside[0].names:
            return _Code(beside[0].names[beside[1][0]], beside[0], beside[0].names)
        return None

    def _is_self(self, node: ast.AST) -> bool:
        return bool(self._self) and isinstance(node, ast.Name) and node.id == self._self

    def _class_of(self, node: ast.AST) -> tuple[str, tuple[_Code, ...]] | None:
        """The class that an expression names, and its lineage."""
        lineage = self._code.lineage
        if isinstance(node, ast.Name) and self._cls and node.id == self._cls:
            return node.id, lineage
        if isinstance(node, ast.Attribute) and node.attr == "__class__" and self._is_self(node.value):
            return f"{self._self}.__class__", lineage
        if isinstance(node, ast.Call) and _last(node.func) == "type" and node.args and self._is_self(node.args[0]):
            return f"type({self._self})", lineage
        found = self.find(node)
        if found and isinstance(found.node, ast.ClassDef):
            return found.node.name, _lineage_of(found)
        return None

    def _note(self, node: ast.AST, code: str, message: str, advice: str) -> None:
        self.facts.findings.append((node, code, message, advice))

    # -- clocks and chance -------------------------------------------------------------------------------------------

    def _mentioned(self, node: ast.AST) -> None:
        name = self.dotted(node)
        if name is None:
            return
        if name in _CLOCKS:
            self._clock(node, name)
        elif name == "time.sleep":
            advice = "use market.call_later(seconds, function)"
            self._note(node, "wall-clock", "time.sleep() waits by the machine's clock", advice)
        elif name in _RANDOM or (_RANDOM_FUNCTION.fullmatch(name) and name != "numpy.random.default_rng"):
            alone = name in _RANDOM or name.startswith("secrets.")
            why = "differs from run to run" if alone else "draws from a generator that all of the process shares"
            self._random(node, name, why)

    def _clock(self, node: ast.AST, name: str) -> None:
        self._note(node, "wall-clock", f"{name}() reads the machine's clock", "use market.clock.now()")

    def _random(self, node: ast.AST, name: str, why: str) -> None:
        advice = "use market.random"
        if name.startswith("uuid."):
            advice = "use market.random.getrandbits(128)"
        self._note(node, "random", f"{name}() {why}", advice)

    def _called(self, node: ast.Call, changed: set[int], called: set[int]) -> None:
        name = self.dotted(node.func)
        if name in _CLOCKS_WITHOUT and len(node.args) + len(node.keywords) < _CLOCKS_WITHOUT[name]:
            self._clock(node, name)
        elif name and _GENERATOR.fullmatch(name):
            called.add(id(node.func))
            if not _seeded(node):
                self._random(node, name, "without a seed differs from run to run")
        if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            keys = node.args if node.func.attr in ("add", "append", "appendleft") else node.args[:1]
            taken = node.func.attr in _TAKERS
            self._changed(node.func.value, node, [] if node.func.attr == "extend" else keys, changed, taken)
        elif (node.args and (name in ("heapq.heappush", "heapq.heappop", "bisect.insort"))) or (
            node.args and isinstance(node.func, ast.Name) and node.func.id == "next"
        ):
            self._changed(node.args[0], node, [], changed, True)

    # -- changes -----------------------------------------------------------------------------------------------------

    def _assigned(self, target: ast.AST, value: ast.AST | None, node: ast.AST, changed: set[int]) -> None:
        if isinstance(target, ast.Subscript):
            self._changed(target, node, [], changed, False)
        elif isinstance(target, ast.Attribute):
            if self._is_self(target.value):
                if isinstance(node, ast.Delete):
                    return
                before = value is not None and any(
                    isinstance(each, ast.Attribute) and each.attr == target.attr and self._is_self(each.value)
                    for each in ast.walk(value)
                )
                kind = "add" if isinstance(node, ast.AugAssign) or before else "set"
                self._use(target.attr, kind, target, constant=isinstance(value, ast.Constant))
                if isinstance(node, ast.AugAssign):
                    self._shared_default(target.attr, target)
            elif isinstance(target.value, ast.Attribute) and self._is_self(target.value.value):
                if self._class_of(target.value):
                    self._attribute_of_shared(target)
                else:
                    self._use(target.value.attr, "change", target.value)
                    changed.add(id(target.value))
            else:
                self._attribute_of_shared(target)

    def _changed(self, place: ast.AST, node: ast.AST, keys: Iterable[ast.AST], changed: set[int], read: bool) -> None:
        """Something is changed in place."""
        keys = list(keys)
        item = False
        while isinstance(place, ast.Subscript):
            keys.append(place.slice)
            place, item = place.value, True
        if isinstance(place, ast.Name):
            self._shared_name(place, node, item)
        elif isinstance(place, ast.Attribute) and self._is_self(place.value):
            if item or self._holds_container(place.attr):
                self._use(place.attr, "change", place, keyed=any(_names_market(key) for key in keys))
                if not read:
                    changed.add(id(place))
                self._shared_default(place.attr, node)
        elif isinstance(place, ast.Attribute):
            owner = self._class_of(place.value)
            if owner and _is_container(_default(owner[1], place.attr)):
                self._shared(node, f"{owner[0]}.{place.attr}")
            elif owner is None:
                found = self.find(place)
                if found and (_is_container(found.value()) or item):
                    self._shared(node, ast.unparse(place))

    def _shared_name(self, place: ast.Name, node: ast.AST, item: bool) -> None:
        found = self.find(place)
        value = found.value() if found else None
        if value is not None and (_is_container(value) or item):
            self._shared(node, place.id)

    def _holds_container(self, name: str) -> bool:
        """Whether an attribute of self is known to be a container: `add` of another object may mean anything."""
        lineage = self._code.lineage
        return _is_container(_default(lineage, name)) or any(map(_is_container, _values_set(lineage).get(name, ())))

    def _shared_default(self, name: str, node: ast.AST) -> None:
        """A container of the class, which no instance replaces, is changed."""
        lineage = self._code.lineage
        if _is_container(_default(lineage, name)) and name not in _values_set(lineage):
            owner = lineage[0].node
            assert isinstance(owner, ast.ClassDef)
            advice = f"make it in __init__: self.{name} = ..., so that each market has its own"
            self._shared(node, f"the class attribute {owner.name}.{name}", advice)

    def _attribute_of_shared(self, target: ast.Attribute) -> None:
        owner = self._class_of(target.value)
        if owner:
            self._shared(target, f"the class attribute {owner[0]}.{target.attr}")
            return
        found = self.find(target.value)
        dotted = self.dotted(target.value)
        beside = self._code.module.beside(dotted) if dotted else None
        if (found and found.value() is not None) or (beside and not beside[1]):
            self._shared(target, ast.unparse(target))

    def _global(self, node: ast.Global) -> None:
        for name in node.names:
            names = [each for each in self._parts if isinstance(each, ast.Name) and each.id == name]
            stores = [each for each in names if not isinstance(each.ctx, ast.Load)]
            if stores:
                self._shared(stores[0], f"the global {name}")

    def _shared(self, node: ast.AST, what: str, advice: str = "") -> None:
        message = f"{self._where or 'this'} changes {what}, which all markets of a process share"
        self._note(node, "module-state", message, advice or "keep it on self, or in market.context")

    def _use(self, name: str, kind: str, node: ast.AST, keyed: bool = False, constant: bool = False) -> None:
        tested, looped = id(node) in self._tested, id(node) in self._looped
        self.facts.uses.append(_Use(name, kind, node, self._code, keyed, constant, tested, looped))

    # -- what it reaches ---------------------------------------------------------------------------------------------

    def _follow(self, node: ast.Name | ast.Attribute, changed: bool) -> None:
        lineage = self._code.lineage
        if isinstance(node, ast.Attribute) and lineage:
            base = node.value
            if self._is_self(base) or (self._cls and isinstance(base, ast.Name) and base.id == self._cls):
                method = _method_of(lineage, node.attr)
                if method:
                    self.facts.reached.append(method)
                elif not changed:
                    self._use(node.attr, "read", node)
                    if self._is_source_of_chance(_default(lineage, node.attr), lineage):
                        self._drawn(node, f"self.{node.attr}")
                return
            if isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super":
                here = [at for at, owner in enumerate(lineage) if self._code.node in owner.members().values()]
                method = _method_of(lineage[here[0] + 1 :], node.attr, lineage) if here else None
                if method:
                    self.facts.reached.append(method)
                return
            owner = self._class_of(base)
            if owner:
                parent = any(owner[1][0].node is each.node for each in self._strategy)
                method = _method_of(owner[1], node.attr, self._strategy if parent else None)
                if method:
                    self.facts.reached.append(method)
        found = self.find(node)
        if found is None or found.node is self._code.node or any(found.node is each.node for each in self._strategy):
            return
        if isinstance(found.node, ast.ClassDef):
            family = _lineage_of(found)
            if "Strategy" in {_last(base) for each in family for base in _bases(each)}:
                return
            for each in family:
                self.facts.reached.append(dataclasses.replace(each, lineage=family))
                self.facts.reached += [
                    _Code(member, each.module, each.names, family)
                    for member in each.members().values()
                    if isinstance(member, _FUNCTIONS)
                ]
            return
        value = found.value()
        if value is not None and self._is_source_of_chance(value, (found,)):
            self._drawn(node, ast.unparse(node))
        self.facts.reached.append(found)

    def _is_source_of_chance(self, value: ast.AST | None, where: tuple[_Code, ...]) -> bool:
        if not isinstance(value, ast.Call) or not _seeded(value):
            return False
        reader = _Reader(_Code(value, where[0].module, where[0].names), ())
        return bool(_GENERATOR.fullmatch(reader.dotted(value.func) or ""))

    def _drawn(self, node: ast.AST, what: str) -> None:
        message = f"{what} is one generator for all markets of a process: what it draws depends on their order"
        self._note(node, "module-state", message, "use market.random")


def _tested(node: ast.AST) -> list[ast.expr]:
    """The expressions that a condition asks for no more than whether there is anything."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
        return [node.left]
    return []


def _targets(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """What a statement assigns to, and what."""
    targets: list[ast.expr] = []
    value: ast.AST | None = None
    if isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets, value = ([node.target] if node.value is not None else []), node.value
    elif isinstance(node, ast.Delete):
        targets = node.targets
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        targets = [node.target]
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        targets = [node.optional_vars]
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                yield (each.value if isinstance(each, ast.Starred) else each), value
        else:
            yield target, value


def _last(node: ast.AST) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _seeded(node: ast.Call) -> bool:
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return bool(given) and not all(isinstance(each, ast.Constant) and each.value is None for each in given)


def _is_container(value: ast.AST | None) -> bool:
    if isinstance(value, ast.BinOp):
        return _is_container(value.left) or _is_container(value.right)
    if isinstance(value, ast.Call):
        return _last(value.func) in _CONTAINERS
    return isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp))


def _names_market(key: ast.AST) -> bool:
    if isinstance(key, ast.Tuple):
        return any(_names_market(each) for each in key.elts)
    return _last(key) in ("market_id", "event_id", "market") and not isinstance(key, ast.Call)


def _bases(cls: _Code) -> list[ast.expr]:
    return cls.node.bases if isinstance(cls.node, ast.ClassDef) else []


def _lineage_of(cls: _Code) -> tuple[_Code, ...]:
    """A class and its parents, as far as their source is seen, nearest first."""
    found = [cls]
    reader = _Reader(dataclasses.replace(cls, lineage=()), ())
    for base in _bases(cls):
        parent = reader.find(base)
        if parent and isinstance(parent.node, ast.ClassDef) and parent.node is not cls.node:
            found += [each for each in _lineage_of(parent) if all(each.node is not known.node for known in found)]
    return tuple(found)


def _method_of(lineage: Iterable[_Code], name: str, whole: tuple[_Code, ...] | None = None) -> _Code | None:
    """The method that a class has under a name."""
    lineage = tuple(lineage)
    for owner in lineage:
        member = owner.members().get(name)
        if member is not None:
            if not isinstance(member, _FUNCTIONS):
                return None
            return _Code(member, owner.module, owner.names, whole or lineage)
    return None


def _default(lineage: Iterable[_Code], name: str) -> ast.expr | None:
    """The value that a class gives an attribute."""
    for owner in lineage:
        member = owner.members().get(name)
        if member is not None:
            return _Code(member, owner.module, owner.names).value()
    return None


def _values_set(lineage: Iterable[_Code]) -> dict[str, list[ast.AST | None]]:
    """What the methods of a class assign to attributes of the instance."""
    found: dict[str, list[ast.AST | None]] = {}
    for owner in lineage:
        for name, values in owner.module.values_set(owner.node).items():
            found.setdefault(name, []).extend(values)
    return found


# -- a strategy ------------------------------------------------------------------------------------------------------


class _Check:
    """The check of one strategy class.

    Raises:
        InputError: the module has no such class.
    """

    def __init__(self, module: _Module, class_name: str) -> None:
        self.reported: set[Finding] = set()
        known = module.classes
        exact = [each for each in known if each[0] == class_name]
        alike = exact or [each for each in known if each[1].name == class_name.rpartition(".")[2]]
        if not alike:
            names = [node.name for _, node, _ in known]
            near = difflib.get_close_matches(class_name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(names) or 'none'}"
            raise InputError(f"{module.file} has no class {class_name!r}{hint}")
        _, node, names_seen = alike[-1]
        self._lineage = _lineage_of(_Code(node, module, names_seen))
        self._facts: dict[int, _Facts] = {}
        self._methods: dict[str, _Code] = {}
        for owner in reversed(self._lineage):
            for name, member in owner.members().items():
                if isinstance(member, _FUNCTIONS):
                    self._methods[name] = _Code(member, owner.module, owner.names, self._lineage)
                else:
                    self._methods.pop(name, None)

    def findings(self, scope: str | None) -> list[Finding]:
        misspelled = self._misspelled()
        roots = [*_CALLBACKS, *(name for name in dir(Strategy) if name not in _CALLBACKS), *misspelled]
        entries = [self._methods[name] for name in roots if name in self._methods and name != "finish"]
        bodies = [dataclasses.replace(owner, lineage=self._lineage) for owner in self._lineage]
        for code in self._reach([*entries, *bodies]):
            for node, kind, message, advice in self._read(code).findings:
                self.report(code.module, node, kind, message, advice)
        self._callbacks(misspelled)
        self._parameters()
        self._market_state(scope or self._scope())
        return sorted(self.reported)

    def report(self, module: _Module, node: ast.AST, code: str, message: str, advice: str) -> None:
        first = getattr(node, "lineno", 1)
        last = first if isinstance(node, _DEFINITIONS) else getattr(node, "end_lineno", first)
        for line in module.lines[first - 1 : last]:
            allowed = _SUPPRESSED.search(line.rstrip()) if "headrace" in line else None
            if allowed and (not allowed["codes"].strip() or code in re.split(r"[\s,]+", allowed["codes"])):
                return
        self.reported.add(Finding(module.file, first, code, message, advice))

    def assignment(self, name: str) -> tuple[_Module, ast.AST]:
        """Where an attribute gets its value, else the class."""
        for owner in self._lineage:
            for node in _statements(owner.node):
                for target, _ in _targets(node):
                    if isinstance(target, ast.Attribute) and target.attr == name and _last(target.value) == "self":
                        return owner.module, node
            member = owner.members().get(name)
            if member is not None:
                return owner.module, member
        return self._lineage[0].module, self._lineage[0].node

    def _read(self, code: _Code) -> _Facts:
        facts = self._facts.get(id(code.node))
        if facts is None:
            facts = self._facts[id(code.node)] = _Reader(code, self._lineage).read()
        return facts

    def _reach(self, entries: Iterable[_Code]) -> list[_Code]:
        """All code that some code uses, itself first."""
        waiting, seen, found = list(entries), set(), []
        while waiting:
            code = waiting.pop()
            if id(code.node) not in seen:
                seen.add(id(code.node))
                found.append(code)
                waiting += self._read(code).reached
        return found

    def _uses(self, callbacks: Iterable[str]) -> dict[str, list[_Use]]:
        """What callbacks do with the strategy's own attributes, by attribute."""
        found: dict[str, list[_Use]] = {}
        for code in self._reach([self._methods[name] for name in callbacks if name in self._methods]):
            if code.lineage and code.lineage[0].node is self._lineage[0].node:
                for use in self._read(code).uses:
                    if use.attribute not in _own_attributes():
                        found.setdefault(use.attribute, []).append(use)
        return found

    def _scope(self) -> str:
        value = _default(self._lineage, "scope")
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
        grouped = any(owner.module.groups_events for owner in self._lineage)
        return "event" if grouped or "scope" in _values_set(self._lineage) else "market"

    # -- callbacks and parameters ------------------------------------------------------------------------------------

    def _misspelled(self) -> dict[str, str]:
        """Methods that nobody calls and that are named almost as a callback, with its name."""
        found = {}
        plain = {name.replace("_", ""): name for name in _CALLBACKS}
        used = set().union(*(owner.module.attributes for owner in self._lineage))
        for name, code in self._methods.items():
            if name.startswith("_") or hasattr(Strategy, name) or name in used or _decorated(code.node):
                continue
            key = name.replace("_", "").lower()
            for near in difflib.get_close_matches(key, plain, 1, 0.8):
                if plain[near] not in self._methods and (len(near) > 10 or near == key):
                    found[name] = plain[near]
        return found

    def _callbacks(self, misspelled: dict[str, str]) -> None:
        for name, near in misspelled.items():
            code = self._methods[name]
            message = f"{name} is no callback and nobody calls it"
            self.report(code.module, code.node, "callback", message, f"did you mean {near}?")
        for name in _CALLBACKS:
            code_found = self._methods.get(name)
            if code_found is None or _decorated(code_found.node):
                continue
            node = code_found.node
            assert isinstance(node, _FUNCTIONS)
            wanted = [each for each in inspect.signature(getattr(Strategy, name)).parameters if each != "self"]
            signature = f"define {name}(self, {', '.join(wanted)})"
            if isinstance(node, ast.AsyncFunctionDef):
                message = f"{name} is async, and callbacks are not awaited"
                self.report(code_found.module, node, "callback", message, f"{signature} with def")
                continue
            positional = len(node.args.posonlyargs) + len(node.args.args) - 1
            least = positional - len(node.args.defaults)
            demanded = any(default is None for default in node.args.kw_defaults)
            if demanded or len(wanted) < least or (len(wanted) > positional and node.args.vararg is None):
                message = f"{name} is called with {len(wanted)} arguments after self, and takes {positional}"
                self.report(code_found.module, node, "callback", message, signature)

    def _parameters(self) -> None:
        annotated: set[str] = set()
        literals: list[tuple[_Module, ast.Assign, str]] = []
        for owner in self._lineage:
            assert isinstance(owner.node, ast.ClassDef)
            for node in owner.node.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    name, text = node.target.id, ast.unparse(node.annotation)
                    if name.startswith("_") or "ClassVar" in text:
                        continue
                    annotated.add(name)
                    kind = _last(node.value) if isinstance(node.value, ast.Call) else "list"
                    if _is_container(node.value) and kind in _REFUSED:
                        message = f"the parameter {name} has a default that can change, and is refused"
                        advice = "use a tuple or a frozenset, or set it in __init__"
                        self.report(owner.module, node, "parameter", message, advice)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_literal(node.value):
                    literals.append((owner.module, node, node.targets[0].id))
        if not annotated or self._has_unseen_parent():
            return
        state = _values_set(self._lineage).keys() | _own_attributes()
        read = {name for name, uses in self._uses(self._methods).items() if {use.kind for use in uses} == {"read"}}
        for module, node, name in literals:
            if name in read - annotated - state and name.islower() and not name.startswith("_"):
                message = f"{name} = {ast.unparse(node.value)} has no annotation, so it is no parameter"
                kind = type(ast.literal_eval(node.value)).__name__
                advice = f"write {name}: {kind} = {ast.unparse(node.value)}, or {name.upper()} for a constant"
                self.report(module, node, "parameter", message, advice)

    def _has_unseen_parent(self) -> bool:
        """Whether a parent other than headrace's own is out of sight."""
        seen = {owner.node.name for owner in self._lineage if isinstance(owner.node, ast.ClassDef)}
        seen |= {"Strategy", "BaseStrategy"}
        return any(_last(base) not in seen for owner in self._lineage for base in _bases(owner))

    # -- state that outlives a market --------------------------------------------------------------------------------

    def _market_state(self, scope: str) -> None:
        changed = self._uses(_MARKET_CALLBACKS)
        closing = self._uses(["process_closed_market"])
        before = self._uses([name for name in _MARKET_CALLBACKS if name != "process_closed_market"])
        ending = self._uses(["finish"])
        for name, uses in changed.items():
            writes = [use for use in uses if use.kind != "read"]
            ended = ending.get(name, [])
            if writes and ended and all(use.kind == "read" for use in ended):
                message = f"finish reads self.{name}, which only the copies that live with the markets change"
                advice = "use self.record(market, ...) or the result's tables, framework.result"
                self.report(ended[0].code.module, ended[0].node, "market-state", message, advice)
                continue
            if scope != "market" or any(use.kind == "set" for use in before.get(name, [])):
                continue
            use, message = _across(name, writes, closing.get(name, []), before.get(name, []))
            if use:
                message = f"{message}, but each market has its own copy of the strategy"
                advice = 'use scope = "run" or "event", or self.record(market, ...) and the result\'s tables'
                self.report(use.code.module, use.node, "market-state", message, advice)


def _across(name: str, writes: list[_Use], closing: list[_Use], before: list[_Use]) -> tuple[_Use | None, str]:
    """The change of an attribute that only makes sense where one instance sees several markets."""
    for use in writes:
        if use.keyed:
            return use, f"self.{name} is kept by market"
        if use.kind == "add" and _ACROSS_MARKETS & set(name.lower().split("_")):
            return use, f"self.{name} adds up over markets"
    if any(use.kind != "read" for use in before):
        return None, ""
    read_before = bool(before)
    valued = any(not use.tested for use in before)
    reset = any(use.kind == "set" for use in closing)
    for use in closing:
        looped = use.looped or getattr(use.code.node, "name", "") != "process_closed_market"
        if use.kind == "set":
            carried = valued and not use.constant
        else:
            carried = use.kind != "read" and (read_before or not (looped or reset))
        if carried:
            return use, f"self.{name} is carried from a closed market to the next"
    return None, ""


@functools.cache
def _own_attributes() -> frozenset[str]:
    """What every strategy has."""
    return frozenset(dir(Strategy()))


def _decorated(node: ast.AST) -> bool:
    return isinstance(node, _FUNCTIONS) and bool(node.decorator_list)


def _is_literal(value: ast.AST) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    return isinstance(value, ast.Constant) and isinstance(value.value, (int, float, str))
