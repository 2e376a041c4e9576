"""The check of one strategy class: what its callbacks reach, and what that says of its results."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Iterable

from ..errors import InputError
from ..hosting import taken_by
from ..strategy import Strategy
from .findings import Finding
from .lineage import bases, default, lineage_of, values_set
from .source_code import (
    DEFINITIONS,
    FUNCTIONS,
    Code,
    Facts,
    Module,
    Use,
    is_container,
    last,
    statements,
    targets,
)
from .source_reader import Reader

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
#: Words in the name of a number that only makes sense over several markets.
_ACROSS_MARKETS = {"bank", "bankroll", "daily", "markets", "overall", "races", "today"}
_SUPPRESSED = re.compile(r"#\s*headrace:\s*ok(?P<codes>[\w\s,-]*)$")
#: Types of default that a parameter may not have.
_REFUSED = {"list", "dict", "set", "bytearray", "defaultdict", "Counter", "OrderedDict"}


class StrategyCheck:
    """The check of one strategy class.

    Raises:
        InputError: the module has no such class.
    """

    def __init__(self, module: Module, class_name: str) -> None:
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
        self._lineage = lineage_of(Code(node, module, names_seen))
        self._facts: dict[int, Facts] = {}
        self._methods: dict[str, Code] = {}
        for owner in reversed(self._lineage):
            for name, member in owner.members().items():
                if isinstance(member, FUNCTIONS):
                    self._methods[name] = Code(member, owner.module, owner.names, self._lineage)
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

    def report(self, module: Module, node: ast.AST, code: str, message: str, advice: str) -> None:
        first = getattr(node, "lineno", 1)
        last = first if isinstance(node, DEFINITIONS) else getattr(node, "end_lineno", first)
        for line in module.lines[first - 1 : last]:
            allowed = _SUPPRESSED.search(line.rstrip()) if "headrace" in line else None
            if allowed and (not allowed["codes"].strip() or code in re.split(r"[\s,]+", allowed["codes"])):
                return
        self.reported.add(Finding(module.file, first, code, message, advice))

    def assignment(self, name: str) -> tuple[Module, ast.AST]:
        """Where an attribute gets its value, else the class."""
        for owner in self._lineage:
            for node in statements(owner.node):
                for target, _ in targets(node):
                    if isinstance(target, ast.Attribute) and target.attr == name and last(target.value) == "self":
                        return owner.module, node
            member = owner.members().get(name)
            if member is not None:
                return owner.module, member
        return self._lineage[0].module, self._lineage[0].node

    def _read(self, code: Code) -> Facts:
        facts = self._facts.get(id(code.node))
        if facts is None:
            facts = self._facts[id(code.node)] = Reader(code, self._lineage).read()
        return facts

    def _reach(self, entries: Iterable[Code]) -> list[Code]:
        """All code that some code uses, itself first."""
        waiting, seen, found = list(entries), set(), []
        while waiting:
            code = waiting.pop()
            if id(code.node) not in seen:
                seen.add(id(code.node))
                found.append(code)
                waiting += self._read(code).reached
        return found

    def _uses(self, callbacks: Iterable[str]) -> dict[str, list[Use]]:
        """What callbacks do with the strategy's own attributes, by attribute."""
        found: dict[str, list[Use]] = {}
        for code in self._reach([self._methods[name] for name in callbacks if name in self._methods]):
            if code.lineage and code.lineage[0].node is self._lineage[0].node:
                for use in self._read(code).uses:
                    if use.attribute == "context" or use.attribute not in _own_attributes():
                        found.setdefault(use.attribute, []).append(use)
        return found

    def _scope(self) -> str:
        value = default(self._lineage, "scope")
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
        grouped = any(owner.module.groups_events for owner in self._lineage)
        return "event" if grouped or "scope" in values_set(self._lineage) else "market"

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
            message = f"{name} is not a callback and nobody calls it"
            self.report(code.module, code.node, "callback", message, f"did you mean {near}?")
        for name in _CALLBACKS:
            code_found = self._methods.get(name)
            if code_found is None or _decorated(code_found.node):
                continue
            node = code_found.node
            assert isinstance(node, FUNCTIONS)
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
        literals: list[tuple[Module, ast.Assign, str]] = []
        for owner in self._lineage:
            assert isinstance(owner.node, ast.ClassDef)
            for node in owner.node.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    name, text = node.target.id, ast.unparse(node.annotation)
                    if name.startswith("_") or "ClassVar" in text:
                        continue
                    annotated.add(name)
                    taken = taken_by(name, Strategy)
                    if taken is not None:
                        message = f"the parameter {name} has the name of {taken} of every strategy, and is refused"
                        self.report(owner.module, node, "parameter", message, f"rename it, such as {name}_value")
                    kind = last(node.value) if isinstance(node.value, ast.Call) else "list"
                    if is_container(node.value) and kind in _REFUSED:
                        message = f"the parameter {name} has a default that can change, and is refused"
                        advice = "use a tuple or a frozenset, or set it in __init__"
                        self.report(owner.module, node, "parameter", message, advice)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_literal(node.value):
                    literals.append((owner.module, node, node.targets[0].id))
        if not annotated or self._has_unseen_parent():
            return
        state = values_set(self._lineage).keys() | _own_attributes()
        read = {name for name, uses in self._uses(self._methods).items() if {use.kind for use in uses} == {"read"}}
        for module, node, name in literals:
            if name in read - annotated - state and name.islower() and not name.startswith("_"):
                message = f"{name} = {ast.unparse(node.value)} has no annotation, so it is not a parameter"
                kind = type(ast.literal_eval(node.value)).__name__
                advice = f"write {name}: {kind} = {ast.unparse(node.value)}, or {name.upper()} for a constant"
                self.report(module, node, "parameter", message, advice)

    def _has_unseen_parent(self) -> bool:
        """Whether a parent other than headrace's own is out of sight."""
        seen = {owner.node.name for owner in self._lineage if isinstance(owner.node, ast.ClassDef)}
        seen |= {"Strategy", "BaseStrategy"}
        return any(last(base) not in seen for owner in self._lineage for base in bases(owner))

    # -- state that outlives a market --------------------------------------------------------------------------------

    def _market_state(self, scope: str) -> None:
        changed = self._uses(_MARKET_CALLBACKS)
        closing = self._uses(["process_closed_market"])
        before = self._uses([name for name in _MARKET_CALLBACKS if name != "process_closed_market"])
        ending = self._uses(["finish"])
        for name, uses in changed.items():
            writes = [use for use in uses if use.kind != "read"]
            ended = ending.get(name, [])
            if name != "context" and writes and ended and all(use.kind == "read" for use in ended):
                message = f"finish reads self.{name}, which only the copies that live with the markets change"
                advice = "use self.record(market, ...) or the result's tables, framework.result"
                self.report(ended[0].code.module, ended[0].node, "market-state", message, advice)
                continue
            if scope != "market" or any(use.kind == "set" for use in before.get(name, [])):
                continue
            use, message = _across(
                name, [] if name == "context" else writes, closing.get(name, []), before.get(name, [])
            )
            if use:
                message = f"{message}, but each market has its own copy of the strategy"
                advice = 'use scope = "run" or "event", or self.record(market, ...) and the result\'s tables'
                self.report(use.code.module, use.node, "market-state", message, advice)
            elif not self._says_scope():
                self._builds_up(name, writes)

    def _builds_up(self, name: str, writes: list[Use]) -> None:
        """State that grows in callbacks: where the class does not say its scope, either may be meant."""
        added = [use for use in writes if use.kind in ("add", "change") and not use.keyed]
        renewed = [use for use in writes if use.kind == "set"]
        if not added or renewed:
            return
        begun = self._uses(["process_new_market"]).get(name, [])
        later = self._uses([each for each in _MARKET_CALLBACKS if each != "process_new_market"]).get(name, [])
        if any(use.kind == "change" for use in begun) and any(use.kind != "read" for use in later):
            return  # emptied where a market begins
        self.report(
            added[0].code.module,
            added[0].node,
            "scope",
            f"self.{name} builds up in callbacks, and each market begins with a new copy of it",
            'say scope = "market" in the class if that is meant; use scope = "run" or "event" if it is to go on',
        )

    def _says_scope(self) -> bool:
        """Whether the class tells its scope, and does not just have the default."""
        return (
            default(self._lineage, "scope") is not None
            or "scope" in values_set(self._lineage)
            or any(owner.module.groups_events for owner in self._lineage)
        )


def _across(name: str, writes: list[Use], closing: list[Use], before: list[Use]) -> tuple[Use | None, str]:
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
    return isinstance(node, FUNCTIONS) and bool(node.decorator_list)


def _is_literal(value: ast.AST) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    return isinstance(value, ast.Constant) and isinstance(value.value, (int, float, str))
