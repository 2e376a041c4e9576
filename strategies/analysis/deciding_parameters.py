"""Whether copies of a strategy with equal values of some parameters must give one answer in `check_market_book`.

They must where the method is a plain condition on the book, the time and declared parameters, and nobody changes those.
The answer is then worked out once for all parameter sets that share their values. It is found by reading the source.
Whatever is not understood is taken to differ: then each set is asked.
"""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import textwrap
import types
from collections.abc import Iterable
from typing import Any

from ..parameters import declared_parameters
from ..strategy import Strategy

_METHOD = "check_market_book"
#: What of a market is the same for all sets: nothing that a set can change.
_OF_MARKET = frozenset({"bet_delay", "market_book", "market_id", "publish_time", "seconds_to_start", "status"})
#: Functions without effects whose answer depends on their arguments only.
_FUNCTIONS = frozenset({"abs", "all", "any", "bool", "float", "int", "len", "max", "min", "round", "sum"})
#: Ways to change an attribute without naming it, and to run code that no import names.
_OPAQUE = frozenset(
    {"setattr", "delattr", "vars", "__dict__", "__setattr__", "__delattr__"}
    | {"exec", "eval", "__import__", "import_module"}
)
_HOOKS = ("__getattribute__", "__getattr__", "__setattr__", "__delattr__")
#: Values that cannot change in place.
_PLAIN = (bool, int, float, str, bytes, enum.Enum, type(None))
_EXPRESSIONS = (
    ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.IfExp, ast.Constant, ast.Tuple, ast.List, ast.Set,
    ast.Subscript, ast.Slice, ast.GeneratorExp, ast.ListComp, ast.comprehension,
    ast.boolop, ast.unaryop, ast.operator, ast.cmpop, ast.expr_context,
)  # fmt: skip


def deciding_parameters(cls: type[Strategy], sources: Iterable[str] | None) -> tuple[str, ...] | None:
    """The parameters whose values decide, with the book and the time, what `check_market_book` answers.

    Args:
        sources: all code that may change a strategy's attributes; None: it cannot be read.

    Returns:
        Their names; None where anything else may play a part.
    """
    function = inspect.getattr_static(cls, _METHOD)
    if sources is None or not isinstance(function, types.FunctionType) or function.__closure__:
        return None
    if any(hook in vars(base) for base in cls.__mro__ if base not in Strategy.__mro__ for hook in _HOOKS):
        return None
    node = _source_of(function)
    if node is None:
        return None
    condition = _Condition(node, function.__globals__, set(declared_parameters(cls, Strategy)))
    names = condition.names()
    if names is None or any(hasattr(inspect.getattr_static(cls, name, None), "__get__") for name in names):
        return None
    if any(_changes(source, condition.read) for source in sources):
        return None
    return tuple(sorted(names))


def values_of(strategy: Strategy, names: tuple[str, ...]) -> tuple[Any, ...] | None:
    """The values that decide, so that equal ones give equal answers; None where one of them can change in place."""
    values = [getattr(strategy, name) for name in names]
    if _METHOD in vars(strategy) or not all(isinstance(value, _PLAIN) for value in values):
        return None
    # 1, 1.0 and True are equal, but need not be read alike.
    return tuple((type(value), value) for value in values)


def _source_of(function: types.FunctionType) -> ast.FunctionDef | None:
    """The tree of a function; None where its source is not there, or is not what runs."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    (node,) = tree.body if len(tree.body) == 1 else (None,)
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return None
    compiled = compile(tree, function.__code__.co_filename, "exec")
    code = next((each for each in compiled.co_consts if isinstance(each, types.CodeType)), None)
    return node if code is not None and _same(code, function.__code__) else None


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two pieces of code do the same: a file may have been edited since it was loaded."""
    if (one.co_code, one.co_names, one.co_varnames) != (other.co_code, other.co_names, other.co_varnames):
        return False
    pairs = list(zip(one.co_consts, other.co_consts, strict=False))
    return len(one.co_consts) == len(other.co_consts) and all(
        _same(mine, theirs)
        if isinstance(mine, types.CodeType) and isinstance(theirs, types.CodeType)
        else type(mine) is type(theirs) and mine == theirs
        for mine, theirs in pairs
    )


class _Condition:
    """Reads the method: its names of self, market and book, and what it takes from each.

    Attributes:
        read: all attributes that it reads, of whatever.
    """

    def __init__(self, node: ast.FunctionDef, names: dict[str, Any], parameters: set[str]) -> None:
        self._node = node
        self._globals = names
        self._parameters = parameters
        self._found: set[str] = set()
        self._own: set[str] = set()
        self._bound: set[str] = set()
        self.read: set[str] = set()

    def names(self) -> set[str] | None:
        """The parameters that it reads; None where it is not a plain condition."""
        arguments = self._node.args
        if len(arguments.args) != 3 or arguments.posonlyargs or arguments.kwonlyargs or arguments.defaults:
            return None
        if arguments.vararg or arguments.kwarg:
            return None
        self._self, self._market, book = (each.arg for each in arguments.args)
        self._own = {book}
        for each in ast.walk(self._node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                if each.id in (self._self, self._market):
                    return None
                self._bound.add(each.id)
            if isinstance(each, ast.Assign):
                self._own.update(target.id for target in each.targets if isinstance(target, ast.Name))
        return self._found if all(map(self._statement, self._node.body)) else None

    def _statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            return node.value is None or self._expression(node.value)
        if isinstance(node, ast.If):
            return self._expression(node.test) and all(map(self._statement, (*node.body, *node.orelse)))
        if isinstance(node, ast.Assign):
            return all(isinstance(each, ast.Name) for each in node.targets) and self._expression(node.value)
        return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))

    def _expression(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._own
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and self._is_builtin(node.func.id)
            return known and not node.keywords and all(map(self._expression, node.args))
        if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            return self._comprehension(node)
        return isinstance(node, _EXPRESSIONS) and all(map(self._expression, ast.iter_child_nodes(node)))

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp) -> bool:
        """What it binds is its own, and means something else outside."""
        outer = self._own
        targets = [each for one in node.generators for each in ast.walk(one.target)]
        self._own = outer | {each.id for each in targets if isinstance(each, ast.Name)}
        plain = all(map(self._expression, ast.iter_child_nodes(node)))
        self._own = outer
        return plain

    def _attribute(self, node: ast.Attribute) -> bool:
        self.read.add(node.attr)
        if isinstance(node.value, ast.Name) and node.value.id == self._self:
            self._found.add(node.attr)
            return node.attr in self._parameters
        if isinstance(node.value, ast.Name) and node.value.id == self._market:
            return node.attr in _OF_MARKET
        return isinstance(node.ctx, ast.Load) and self._expression(node.value)

    def _is_builtin(self, name: str) -> bool:
        return name not in self._globals and name not in self._bound and hasattr(builtins, name)


def _is_super(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "super"


def _changes(source: str, names: Iterable[str]) -> bool:
    """Whether code may set one of these attributes of anything."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return True
    known = frozenset(names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr in _OPAQUE or (node.attr in known and not isinstance(node.ctx, ast.Load)):
                return True
            if node.attr == "__init__" and not (isinstance(node.value, ast.Call) and _is_super(node.value)):
                return True
        elif (
            (isinstance(node, ast.Name) and node.id in _OPAQUE)
            or (isinstance(node, ast.alias) and node.name in _OPAQUE)
            or (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _OPAQUE)
        ):
            return True
    return False
