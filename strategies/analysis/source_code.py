"""A strategy's source: modules, the names in them, and what each piece of code does with its names."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import sys
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
#: Calls that make something which can change in place.
CONTAINERS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "count", "cycle"}


@dataclasses.dataclass(slots=True)
class Family:
    """The modules of a folder that were read, by name (None: cannot be), and how many characters more may be."""

    modules: dict[str, Module | None] = dataclasses.field(default_factory=dict)
    left: float = math.inf

    def takes(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


class Module:
    """A source file: its tree, and what its names mean.

    Raises:
        SyntaxError: it is not Python.
    """

    def __init__(self, source: str, file: str, family: Family) -> None:
        self.file = file
        self.source = source
        self.lines = source.splitlines()
        try:
            self.tree = ast.parse(source)
        except ValueError as error:  # null bytes, before Python 3.11.4
            raise SyntaxError(str(error)) from error
        self.names = _definitions(self.tree.body)
        self.classes = list(_classes(self.tree.body, "", self.names))
        self.imports: dict[str, str] = {}
        self.attributes = set(re.findall(r"\.\s*(\w+)", source))
        self.groups_events = "event_processing" in source or "event_groups" in source
        self._folder = Path(file).absolute().parent.name
        self._family = family
        self._members: dict[int, dict[str, ast.stmt]] = {}
        self._values_set: dict[int, dict[str, list[ast.AST | None]]] = {}
        for node in statements(self.tree):
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
            for each in statements(node):
                if isinstance(each, (ast.AugAssign, ast.Delete)):
                    continue
                for target, value in targets(each):
                    if isinstance(target, ast.Attribute) and last(target.value) == "self":
                        found.setdefault(target.attr, []).append(value)
        return self._values_set[id(node)]

    def beside(self, dotted: str) -> tuple[Module, list[str]] | None:
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
                    known[parts[0]] = Module(source, str(path), self._family)
            except (OSError, SyntaxError, ValueError):
                return None
        found = known[parts[0]]
        return None if found is None else (found, parts[1:])


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements of a block, and of the blocks in it."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, part, ())
        for each in inner if isinstance(inner, list) else ():
            yield each
            yield from statements(each)


def walk(node: ast.AST) -> list[ast.AST]:
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
        if isinstance(node, DEFINITIONS):
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
        elif isinstance(node, FUNCTIONS):
            inner = ChainMap(_definitions(node.body), dict(names))
            yield from _classes(node.body, f"{prefix}{node.name}.<locals>.", inner)
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
            yield from _classes(ast.iter_child_nodes(node), prefix, names)


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """A piece of source: where it is, which names it sees, and the method of which classes it is."""

    node: ast.AST
    module: Module
    names: Mapping[str, ast.stmt]
    lineage: tuple[Code, ...] = ()

    def members(self) -> dict[str, ast.stmt]:
        return self.module.members(self.node)

    def value(self) -> ast.expr | None:
        return self.node.value if isinstance(self.node, (ast.Assign, ast.AnnAssign)) else None

    def dotted(self, node: ast.AST, own: Set[str] = frozenset()) -> str | None:
        """The full name of something imported.

        Args:
            own: names that mean something else here, such as the variables of a function.
        """
        if isinstance(node, ast.Name):
            return None if node.id in own else self.module.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value, own)
            return f"{base}.{node.attr}" if base else None
        return None

    def find(self, node: ast.AST, own: Set[str] = frozenset()) -> Code | None:
        """What a name stands for, where its definition can be seen.

        Args:
            own: as in `dotted`.
        """
        if isinstance(node, ast.Name) and node.id not in own and node.id in self.names:
            return Code(self.names[node.id], self.module, self.names)
        dotted = self.dotted(node, own)
        beside = self.module.beside(dotted) if dotted else None
        if beside and len(beside[1]) == 1 and beside[1][0] in beside[0].names:
            return Code(beside[0].names[beside[1][0]], beside[0], beside[0].names)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
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
    code: Code
    keyed: bool = False
    constant: bool = False
    tested: bool = False
    looped: bool = False


@dataclasses.dataclass(slots=True)
class Facts:
    """What one piece of source does.

    Attributes:
        reached: the code it uses.
        uses: of attributes of self.
        findings: node, code, message and advice, of clocks, chance and shared state.
    """

    reached: list[Code] = dataclasses.field(default_factory=list)
    uses: list[Use] = dataclasses.field(default_factory=list)
    findings: list[tuple[ast.AST, str, str, str]] = dataclasses.field(default_factory=list)


def targets(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None]]:
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


def last(node: ast.AST) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Call):
        return last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_container(value: ast.AST | None) -> bool:
    """Whether an expression makes something that can change in place."""
    if isinstance(value, ast.BinOp):
        return is_container(value.left) or is_container(value.right)
    if isinstance(value, ast.Call):
        return last(value.func) in CONTAINERS
    return isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp))
