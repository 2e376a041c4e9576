"""Reads one piece of a strategy's source: clocks, chance, state of modules and of `self`."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable

from .lineage import bases, default, lineage_of, method_of, values_set
from .source_code import DEFINITIONS, FUNCTIONS, Code, Facts, Use, is_container, last, targets, walk

CLOCKS = {
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"pandas.Timestamp.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
}
#: Read the clock where they are called with fewer arguments than this.
CLOCKS_WITHOUT = {"time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1, "time.strftime": 2}
RANDOM = {"uuid.uuid1", "uuid.uuid4", "os.urandom", "random.SystemRandom"}
GENERATOR = re.compile(
    r"random\.Random|numpy\.random\.(default_rng|RandomState|SeedSequence|PCG64|MT19937|Philox|SFC64)"
)
RANDOM_FUNCTION = re.compile(r"(random|numpy\.random)\.[a-z]\w*|secrets\.\w+")
TAKERS = {"pop", "popitem", "popleft", "setdefault"}
MUTATORS = TAKERS | {
    *("append", "appendleft", "extend", "extendleft", "insert", "add", "update", "remove", "discard", "clear"),
    *("sort", "reverse", "subtract", "difference_update", "intersection_update", "symmetric_difference_update"),
}


class Reader:
    """Reads one piece of source."""

    def __init__(self, code: Code, strategy: tuple[Code, ...]) -> None:
        self.facts = Facts()
        self._code = code
        self._strategy = strategy
        self._parts = (
            [each for part in code.node.body if not isinstance(part, FUNCTIONS) for each in walk(part)]
            if isinstance(code.node, ast.ClassDef)
            else walk(code.node)
        )
        self._locals = self._bound() if isinstance(code.node, FUNCTIONS) else set()
        self._self = self._cls = ""
        self._where = ""
        node = code.node
        if isinstance(node, FUNCTIONS):
            self._where = f"{node.name}()"
            kinds = {last(decorator) for decorator in node.decorator_list}
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
            elif isinstance(each, DEFINITIONS) and each is not self._code.node:
                bound.add(each.name)
            elif isinstance(each, ast.Global):
                shared.update(each.names)
        return bound - shared

    def read(self) -> Facts:
        for each in self._parts:
            self._tested.update(id(tested) for tested in _tested(each))
            if isinstance(each, (ast.For, ast.While)) and id(each) not in self._looped:
                self._looped.update(id(inner) for inner in walk(each))
        changed: set[int] = set()
        called: set[int] = set()
        for each in self._parts:
            for target, value in targets(each):
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
        return self._code.dotted(node, self._locals)

    def find(self, node: ast.AST) -> Code | None:
        """What a name stands for, where its definition can be seen."""
        return self._code.find(node, self._locals)

    def _is_self(self, node: ast.AST) -> bool:
        return bool(self._self) and isinstance(node, ast.Name) and node.id == self._self

    def _class_of(self, node: ast.AST) -> tuple[str, tuple[Code, ...]] | None:
        """The class that an expression names, and its lineage."""
        lineage = self._code.lineage
        if isinstance(node, ast.Name) and self._cls and node.id == self._cls:
            return node.id, lineage
        if isinstance(node, ast.Attribute) and node.attr == "__class__" and self._is_self(node.value):
            return f"{self._self}.__class__", lineage
        if isinstance(node, ast.Call) and last(node.func) == "type" and node.args and self._is_self(node.args[0]):
            return f"type({self._self})", lineage
        found = self.find(node)
        if found and isinstance(found.node, ast.ClassDef):
            return found.node.name, lineage_of(found)
        return None

    def _note(self, node: ast.AST, code: str, message: str, advice: str) -> None:
        self.facts.findings.append((node, code, message, advice))

    # -- clocks and chance -------------------------------------------------------------------------------------------

    def _mentioned(self, node: ast.AST) -> None:
        name = self.dotted(node)
        if name is None:
            return
        if name in CLOCKS:
            self._clock(node, name)
        elif name == "time.sleep":
            advice = "use market.call_later(seconds, function)"
            self._note(node, "wall-clock", "time.sleep() waits by the machine's clock", advice)
        elif name in RANDOM or (RANDOM_FUNCTION.fullmatch(name) and name != "numpy.random.default_rng"):
            alone = name in RANDOM or name.startswith("secrets.")
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
        if name in CLOCKS_WITHOUT and len(node.args) + len(node.keywords) < CLOCKS_WITHOUT[name]:
            self._clock(node, name)
        elif name and GENERATOR.fullmatch(name):
            called.add(id(node.func))
            if not _seeded(node):
                self._random(node, name, "without a seed differs from run to run")
        if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            keys = node.args if node.func.attr in ("add", "append", "appendleft") else node.args[:1]
            taken = node.func.attr in TAKERS
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
            if item or place.attr == "context" or self._holds_container(place.attr):
                self._use(place.attr, "change", place, keyed=any(_names_market(key) for key in keys))
                if not read:
                    changed.add(id(place))
                self._shared_default(place.attr, node)
        elif isinstance(place, ast.Attribute):
            owner = self._class_of(place.value)
            if owner and is_container(default(owner[1], place.attr)):
                self._shared(node, f"{owner[0]}.{place.attr}")
            elif owner is None:
                found = self.find(place)
                if found and (is_container(found.value()) or item):
                    self._shared(node, ast.unparse(place))

    def _shared_name(self, place: ast.Name, node: ast.AST, item: bool) -> None:
        found = self.find(place)
        value = found.value() if found else None
        if value is not None and (is_container(value) or item):
            self._shared(node, place.id)

    def _holds_container(self, name: str) -> bool:
        """Whether an attribute of self is known to be a container: `add` of another object may mean anything."""
        lineage = self._code.lineage
        return is_container(default(lineage, name)) or any(map(is_container, values_set(lineage).get(name, ())))

    def _shared_default(self, name: str, node: ast.AST) -> None:
        """A container of the class, which no instance replaces, is changed."""
        lineage = self._code.lineage
        if is_container(default(lineage, name)) and name not in values_set(lineage):
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
        self.facts.uses.append(Use(name, kind, node, self._code, keyed, constant, tested, looped))

    # -- what it reaches ---------------------------------------------------------------------------------------------

    def _follow(self, node: ast.Name | ast.Attribute, changed: bool) -> None:
        lineage = self._code.lineage
        if isinstance(node, ast.Attribute) and lineage:
            base = node.value
            if self._is_self(base) or (self._cls and isinstance(base, ast.Name) and base.id == self._cls):
                method = method_of(lineage, node.attr)
                if method:
                    self.facts.reached.append(method)
                elif not changed:
                    self._use(node.attr, "read", node)
                    if self._is_source_of_chance(default(lineage, node.attr), lineage):
                        self._drawn(node, f"self.{node.attr}")
                return
            if isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super":
                here = [at for at, owner in enumerate(lineage) if self._code.node in owner.members().values()]
                method = method_of(lineage[here[0] + 1 :], node.attr, lineage) if here else None
                if method:
                    self.facts.reached.append(method)
                return
            owner = self._class_of(base)
            if owner:
                parent = any(owner[1][0].node is each.node for each in self._strategy)
                method = method_of(owner[1], node.attr, self._strategy if parent else None)
                if method:
                    self.facts.reached.append(method)
        found = self.find(node)
        if found is None or found.node is self._code.node or any(found.node is each.node for each in self._strategy):
            return
        if isinstance(found.node, ast.ClassDef):
            family = lineage_of(found)
            if "Strategy" in {last(base) for each in family for base in bases(each)}:
                return
            for each in family:
                self.facts.reached.append(dataclasses.replace(each, lineage=family))
                self.facts.reached += [
                    Code(member, each.module, each.names, family)
                    for member in each.members().values()
                    if isinstance(member, FUNCTIONS)
                ]
            return
        value = found.value()
        if value is not None and self._is_source_of_chance(value, (found,)):
            self._drawn(node, ast.unparse(node))
        self.facts.reached.append(found)

    def _is_source_of_chance(self, value: ast.AST | None, where: tuple[Code, ...]) -> bool:
        if not isinstance(value, ast.Call) or not _seeded(value):
            return False
        return bool(GENERATOR.fullmatch(where[0].dotted(value.func) or ""))

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


def _seeded(node: ast.Call) -> bool:
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return bool(given) and not all(isinstance(each, ast.Constant) and each.value is None for each in given)


def _names_market(key: ast.AST) -> bool:
    if isinstance(key, ast.Tuple):
        return any(_names_market(each) for each in key.elts)
    return last(key) in ("market_id", "event_id", "market") and not isinstance(key, ast.Call)
