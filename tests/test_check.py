"""`headrace check`: each rule with what it reports and what it leaves alone."""

from __future__ import annotations

import pickle
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import headrace as hr
from headrace.cli import main
from headrace.strategies.analysis.check import check_class, check_instance, check_source, warnings_of
from headrace.strategies.analysis.findings import Finding
from headrace.strategies.errors import InputError

ROOT = Path(__file__).parent.parent


def found(source: str, name: str = "S", scope: str | None = None, file: str = "s.py") -> list[tuple[str, str]]:
    """The code of each finding and the text of its line; hints on scopes have tests of their own."""
    return [each for each in hinted(source, name, scope, file) if each[0] != "scope"]


def hinted(source: str, name: str = "S", scope: str | None = None, file: str = "s.py") -> list[tuple[str, str]]:
    """`found`, with hints on scopes."""
    source = textwrap.dedent(source)
    lines = source.splitlines()
    return [(each.code, lines[each.line - 1].strip()) for each in check_source(source, file, name, scope)]


def in_callback(statement: str, head: str = "") -> list[tuple[str, str]]:
    """The findings where a callback does one thing."""
    return found(
        f"{head}\nclass S(hr.Strategy):\n    def process_market_book(self, market, book):\n        {statement}\n"
    )


def codes(source: str, **settings: Any) -> set[str]:
    return {code for code, _ in found(source, **settings)}


# -- wall-clock time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("import time", "now = time.time()"),
        ("import time as t", "now = t.monotonic()"),
        ("from time import time as seconds", "now = seconds()"),
        ("import time", "clock = time.time"),
        ("import time", "time.sleep(1)"),
        ("import time", "text = time.strftime('%H')"),
        ("import datetime", "now = datetime.datetime.now()"),
        ("import datetime as dt", "now = dt.datetime.utcnow()"),
        ("from datetime import datetime, timezone", "now = datetime.now(timezone.utc)"),
        ("from datetime import date", "day = date.today()"),
        ("", "import time; now = time.time()"),
    ],
)
def test_wall_clock_is_found_however_imported(head: str, statement: str) -> None:
    assert in_callback(statement, head) == [("wall-clock", statement)]


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("", "now = market.clock.now()"),
        ("import time", "time = market.clock; now = time.time()"),
        ("import time", "text = time.strftime('%H', time.gmtime(book.publish_time_epoch / 1000))"),
        ("import datetime", "day = datetime.datetime(2024, 1, 1)"),
        ("from datetime import datetime", "day = datetime.fromisoformat('2024-01-01')"),
    ],
)
def test_given_times_are_no_wall_clock(head: str, statement: str) -> None:
    assert in_callback(statement, head) == []


def test_only_what_callbacks_reach_is_read() -> None:
    source = """
        import time

        started = time.time()

        def stamp():
            return started

        def unused():
            return time.time()

        class Clock:
            def __init__(self):
                self.at = time.monotonic()

        class Parent(hr.Strategy):
            def check_market_book(self, market, book):
                return self.late()

            def late(self):
                return False

        class S(Parent):
            def late(self):
                stamp()
                market.call_later(5, self.later)
                return Clock().at > super().late()

            def later(self):
                return time.perf_counter()

            def finish(self, framework):
                print(time.time())

        class Other(hr.Strategy):
            def check_market_book(self, market, book):
                return time.time()

        if __name__ == "__main__":
            print(time.time())
        """
    assert [line for _, line in found(source)] == [
        "started = time.time()",
        "self.at = time.monotonic()",
        "return time.perf_counter()",
    ]


def test_modules_beside_the_file_are_followed(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(
        "import time\n\ndef fair():\n    return time.time()\n\ndef other(): time.time()\n"
    )
    (tmp_path / "base.py").write_text(
        "import random\n\nclass Base(hr.Strategy):\n    def start(self, framework):\n        random.seed(1)\n"
    )
    source = (
        "import prices\nfrom .base import Base\n\nclass S(Base):\n"
        "    def process_market_book(self, market, book):\n        prices.fair()\n"
    )
    findings = check_source(source, str(tmp_path / "s.py"), "S")
    assert [(Path(each.file).name, each.line, each.code) for each in findings] == [
        ("base.py", 5, "random"),
        ("prices.py", 4, "wall-clock"),
    ]


# -- chance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("import random", "x = random.random()"),
        ("from random import choice", "x = choice(book.runners)"),
        ("import random", "random.shuffle(book.runners)"),
        ("import random", "x = random.Random()"),
        ("import random", "x = random.Random(None)"),
        ("import random", "x = random.SystemRandom()"),
        ("import numpy as np", "x = np.random.rand(3)"),
        ("from numpy import random as chance", "x = chance.normal()"),
        ("import numpy", "x = numpy.random.default_rng()"),
        ("import uuid", "x = uuid.uuid4()"),
        ("import secrets", "x = secrets.token_hex()"),
        ("import os", "x = os.urandom(4)"),
    ],
)
def test_unseeded_random_is_found(head: str, statement: str) -> None:
    assert in_callback(statement, head) == [("random", statement)]


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("import random", "x = market.random.random()"),
        ("import random", "random = market.random; x = random.choice(book.runners)"),
        ("import random", "x = random.Random(market.market_id)"),
        ("import numpy as np", "x = np.random.default_rng(seed=5)"),
        ("import uuid", "x = uuid.uuid5(uuid.NAMESPACE_DNS, market.market_id)"),
    ],
)
def test_seeded_random_is_fine(head: str, statement: str) -> None:
    assert in_callback(statement, head) == []


def test_generator_that_markets_share_is_module_state() -> None:
    source = """
        import random
        RNG = random.Random(5)

        class S(hr.Strategy):
            rng = random.Random(6)

            def __init__(self, **keywords):
                super().__init__(**keywords)
                self.own = random.Random(7)

            def process_market_book(self, market, book):
                RNG.random()
                self.rng.random()
                self.own.random()
        """
    assert found(source) == [("module-state", "RNG.random()"), ("module-state", "self.rng.random()")]


# -- module state ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("SEEN = []", "SEEN.append(1)"),
        ("SEEN: dict = {}", "SEEN[book] = 1"),
        ("SEEN = {}", "SEEN[1][2] = 1"),
        ("from collections import defaultdict\nSEEN = defaultdict(list)", "SEEN[1].append(2)"),
        ("SEEN = {1, 2}", "del SEEN[1]"),
        ("COUNT = 0", "global COUNT; COUNT += 1"),
        ("import itertools\nIDS = itertools.count()", "x = next(IDS)"),
        ("STATE = load()", "STATE.count = 1"),
        ("", "S.count += 1"),
        ("", "type(self).count = 1"),
        ("", "self.__class__.count = 1"),
    ],
)
def test_module_state_that_a_callback_changes_is_found(head: str, statement: str) -> None:
    assert in_callback(statement, head) == [("module-state", statement)]


@pytest.mark.parametrize(
    ("head", "statement"),
    [
        ("PRICES = [1.01, 1000]", "x = PRICES[0]"),
        ("SEEN = []", "SEEN = []; SEEN.append(1)"),
        ("COUNT = 0", "COUNT = 1"),
        ("", "market.context['x'] = 1"),
        ("", "book.runners.append(1)"),
        ("", "self.context.setdefault(market.market_id, []).append(1)"),
    ],
)
def test_constants_and_local_names_are_no_module_state(head: str, statement: str) -> None:
    assert in_callback(statement, head) == []


def test_container_of_the_class_is_module_state_unless_instances_replace_it() -> None:
    source = """
        class S(hr.Strategy):
            shared = []
            own = []
            fixed = {"a": 1}

            def start(self, framework):
                self.own = []

            def process_market_book(self, market, book):
                self.shared.append(1)
                self.own.append(self.fixed["a"])
        """
    assert found(source) == [("module-state", "self.shared.append(1)")]


# -- state that outlives a market --------------------------------------------------------------------------------

KEYED = """
    class S(hr.Strategy):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.prices = {}

        def process_market_book(self, market, book):
            self.prices[market.market_id] = 1
    """
COUNTED = """
    class S(hr.Strategy):
        def start(self, framework):
            self.losses = 0

        def check_market_book(self, market, book):
            return self.losses < 3

        def process_closed_market(self, market, book):
            self.losses += 1
    """
MARTINGALE = """
    class S(hr.Strategy):
        last_profit = 0.0

        def process_market_book(self, market, book):
            stake = 2 if self.last_profit >= 0 else 4

        def process_closed_market(self, market, book):
            self.last_profit = sum(order.profit for order in market.blotter)
    """
BANK = """
    class S(hr.Strategy):
        def add(self, framework):
            self.bankroll = 1000

        def process_orders(self, market, orders):
            self.bankroll -= 2
    """
FINISHED = """
    class S(hr.Strategy):
        def start(self, framework):
            self.bets = 0

        def process_market_book(self, market, book):
            self.bets += 1

        def finish(self, framework):
            print(self.bets)
    """


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (KEYED, "self.prices[market.market_id] = 1"),
        (KEYED.replace("[market.market_id] = 1", ".setdefault((market.market_id, 1), 2)"), None),
        (COUNTED, "self.losses += 1"),
        (MARTINGALE, "self.last_profit = sum(order.profit for order in market.blotter)"),
        (BANK, "self.bankroll -= 2"),
        (FINISHED, "print(self.bets)"),
    ],
)
def test_state_that_expects_several_markets_is_found_under_scope_market(source: str, line: str | None) -> None:
    [(code, text)] = found(source)
    assert code == "market-state"
    assert line is None or text == line


@pytest.mark.parametrize("source", [KEYED, COUNTED, MARTINGALE, BANK])
def test_other_scopes_may_keep_state_over_markets(source: str) -> None:
    assert found(source, scope="run") == []
    assert found(source.replace("(hr.Strategy):", "(hr.Strategy):\n        scope = 'event'\n", 1)) == []


def test_finish_never_sees_what_markets_changed_whatever_the_scope() -> None:
    assert codes(FINISHED, scope="run") == {"market-state"}


def test_state_of_one_market_is_fine() -> None:
    source = """
        class S(hr.Strategy):
            stake: float = 2.0

            def __init__(self, **keywords):
                super().__init__(**keywords)
                self.fired = False
                self.done = False
                self.profit = 0.0
                self.prices = {}
                self.bets = 0
                self.tracker = Tracker()

            def process_new_market(self, market, book):
                self.by_market = {market.market_id: 1}
                self.by_market[market.market_id] = 2

            def process_market_book(self, market, book):
                if self.fired or self.done:
                    return
                self.prices[book.runners[0].selection_id] = 1
                self.context[market.market_id] = 1
                self.tracker.update(market, book)
                self.bets += 1
                self.fired = True

            def process_closed_market(self, market, book):
                self.done = True
                for order in market.blotter:
                    self.profit += order.profit
                self.record(market, profit=self.profit, bets=self.bets)

            def finish(self, framework):
                print(self.stake, self.context, framework.result.summary())
        """
    assert found(source) == []


# -- parameters and callbacks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "self.bets += 1",
        "self.bets = self.bets + 1",
        "self.seen.add(5)",
        "self.seen.update({5})",
        "self.prices[book.runners[0].selection_id] = 2.0",
        "self.past.append(book.status)",
        "self.counts['a'] += 1",
        "self.stake *= 2",
        "self.context['bets'] += 1",
        "self.context['past'].append(1)",
        "self.context.update(bets=1)",
    ],
)
@pytest.mark.parametrize("callback", ["process_market_book", "process_orders", "process_new_market"])
def test_state_that_builds_up_is_told_where_the_class_does_not_say_its_scope(statement: str, callback: str) -> None:
    source = """
        class S(hr.Strategy):
            stake: float = 2.0
            def __init__(self, **keywords):
                super().__init__(**keywords)
                self.bets = 0
                self.seen = set()
                self.prices = {}
                self.past = deque()
                self.counts = Counter()
            def CALLBACK(self, market, book):
                STATEMENT
        """.replace("STATEMENT", statement).replace("CALLBACK", callback)
    assert hinted(source) == [("scope", statement)]
    for scope in ("market", "run", "event"):
        said = source.replace("    stake: float", f'    scope = "{scope}"\n            stake: float')
        assert hinted(said) == []
    assert hinted(source.replace(statement, f"{statement}  # headrace: ok scope")) == []


@pytest.mark.parametrize(
    "body",
    [
        # Begun anew in each market.
        "def process_new_market(self, market, book): self.seen.clear()\n"
        "    def process_market_book(self, market, book): self.seen.add(5)",
        "def process_new_market(self, market, book): self.bets = 0\n"
        "    def process_market_book(self, market, book): self.bets += 1",
        # Worked out anew at each change, or kept by market.
        "def process_market_book(self, market, book): self.last = book.status",
        "def process_market_book(self, market, book): self.context[market.market_id] = book.status",
        "def process_market_book(self, market, book): market.context['bets'] = 1",
        # What is not a market's callback.
        "def start(self, framework): self.seen.add(5)",
    ],
)
def test_state_that_begins_with_each_market_is_not_told(body: str) -> None:
    init = "def __init__(self, **keywords):\n        super().__init__(**keywords)\n        self.seen = set()"
    assert hinted(f"class S(hr.Strategy):\n    {init}\n    {body}\n") == []


def test_hints_on_scopes_are_for_those_who_ask(tmp_path: Path) -> None:
    class Counts(hr.Strategy):
        def process_market_book(self, market: Any, book: Any) -> None:
            self.context["bets"] = self.context.get("bets", 0) + 1

    assert [each.code for each in check_class(Counts)] == ["scope"]
    assert warnings_of([Counts()]) == []


def test_parameters_that_change_or_lack_an_annotation_are_named() -> None:
    source = """
        class S(hr.Strategy):
            stake: float = 2.0
            steps: list = [1, 2]
            patience = 30
            LIMIT = 5
            count = 0
            names: ClassVar[list] = []

            def check_market_book(self, market, book):
                self.count = self.count + 1
                return self.patience < self.LIMIT
        """
    assert found(source) == [("parameter", "steps: list = [1, 2]"), ("parameter", "patience = 30")]


def test_classes_without_any_declared_parameter_are_left_alone() -> None:
    source = """
        class S(hr.Strategy):
            last_seconds = 600

            def check_market_book(self, market, book):
                return market.seconds_to_start < self.last_seconds
        """
    assert found(source) == []


def test_misspelled_callback_names_the_right_one() -> None:
    source = "class S(hr.Strategy):\n    def process_marketbook(self, market, book):\n        pass\n"
    [finding] = check_source(source, "s.py", "S")
    assert (finding.line, finding.code, finding.advice) == (2, "callback", "did you mean process_market_book?")


def test_methods_that_somebody_calls_are_no_misspelled_callbacks() -> None:
    source = """
        class S(hr.Strategy):
            def process_orders(self, market, orders):
                for order in orders:
                    self.process_order(order)

            def process_order(self, order):
                pass

            def restart(self):
                pass
        """
    assert found(source) == []


@pytest.mark.parametrize(
    ("signature", "wrong"),
    [
        ("def process_orders(self, market)", True),
        ("def process_orders(self, market, orders, extra)", True),
        ("def process_raw_data(self, market, datum)", True),
        ("def finish(self)", True),
        ("async def process_orders(self, market, orders)", True),
        ("def process_orders(self, market, orders, extra=None)", False),
        ("def process_orders(self, *arguments)", False),
        ("def process_raw_data(self, clk, publish_time, datum)", False),
    ],
)
def test_callbacks_take_the_arguments_they_are_called_with(signature: str, wrong: bool) -> None:
    assert found(f"class S(hr.Strategy):\n    {signature}:\n        pass\n") == (
        [("callback", f"{signature}:")] if wrong else []
    )


# -- what is not reported ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "comment", ["# headrace: ok", "# headrace: ok wall-clock", "# headrace: ok random, wall-clock"]
)
def test_comment_silences_its_line(comment: str) -> None:
    assert in_callback(f"now = time.time()  {comment}", "import time") == []


def test_comment_for_another_rule_silences_nothing() -> None:
    assert len(in_callback("now = time.time()  # headrace: ok random", "import time")) == 1


@pytest.mark.parametrize(("file", "name"), [("lowest_layer.py", "LowestLayer"), ("queue_backer.py", "QueueBacker")])
def test_examples_have_no_findings(file: str, name: str) -> None:
    path = ROOT / "examples" / file
    assert check_source(path.read_text(), str(path), name) == []


def test_unknown_class_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean Layer"):
        check_source("class Layer: pass", "s.py", "Layr")
    with pytest.raises(InputError, match=r"s\.py:1"):
        check_source("class", "s.py", "Layer")


# -- instances ---------------------------------------------------------------------------------------------------


class Locked(hr.Strategy):
    """Holds what cannot be sent, and what can."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.lock = threading.Lock()
        self.numbers = (number for number in range(3))
        self.levels = [1, 2]


def test_unpicklable_attributes_are_named_with_their_lines() -> None:
    findings = check_instance(Locked(), pickle.dumps)
    lines = Path(__file__).read_text().splitlines()
    assert [(each.code, lines[each.line - 1].strip()) for each in findings] == [
        ("unpicklable", "self.lock = threading.Lock()"),
        ("unpicklable", "self.numbers = (number for number in range(3))"),
    ]
    assert "self.lock holds a _thread.lock" in findings[0].message


class Timed(hr.Strategy):
    """Asks the machine for the time."""

    stake: float = 2.0
    patience = 30

    def check_market_book(self, market: Any, book: Any) -> bool:
        return time.time() > self.patience


def test_warnings_name_file_and_line_once_for_equal_classes() -> None:
    [warning] = warnings_of([Timed(name="a"), Timed(name="b", stake=5)])
    line = Path(__file__).read_text().splitlines().index("        return time.time() > self.patience") + 1
    assert f"test_check.py:{line}: wall-clock: time.time()" in warning


def test_warnings_are_silent_where_there_is_no_source() -> None:
    space: dict[str, Any] = {"hr": hr, "__name__": "nowhere"}
    exec("import time\nclass S(hr.Strategy):\n    def add(self, framework): time.time()\n", space)
    assert warnings_of([space["S"]()]) == []
    assert check_class(space["S"]) == []
    assert warnings_of([hr.Strategy()]) == []


# -- the command -------------------------------------------------------------------------------------------------


def check(*arguments: str) -> Result:
    pytest.importorskip("ray")
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])

    def written(source: str) -> str:
        (tmp_path / "checked_strategy.py").write_text("import headrace as hr\n" + textwrap.dedent(source))
        return "checked_strategy.py"

    return written


def test_command_prints_findings_and_exits_1(write: Any) -> None:
    file = write(
        """
        import threading, time
        class S(hr.Strategy):
            stake: float = 2.0
            def __init__(self, **keywords):
                super().__init__(**keywords)
                self.lock = threading.Lock()
                self.rule = lambda price: price > 2
            def check_market_book(self, market, book):
                return time.time() > 5
        """
    )
    result = check(f"{file}:S", "-p", "stake=5")
    assert result.exit_code == 1
    unpicklable, clock = result.output.splitlines()
    assert unpicklable.startswith("checked_strategy.py:8: unpicklable: self.lock holds")
    assert clock == (
        "checked_strategy.py:11: wall-clock: time.time() reads the machine's clock; use market.clock.now()"
    )


def test_command_says_where_there_is_nothing(write: Any) -> None:
    file = write("class S(hr.Strategy):\n    stake: float\n")
    result = check(f"{file}:S", "-p", "stake=5")
    assert (result.exit_code, result.output) == (0, "no findings\n")


def test_command_reports_a_default_that_can_change(write: Any) -> None:
    result = check(f"{write('class S(hr.Strategy):' + chr(10) + '    steps: list = [1]' + chr(10))}:S")
    assert result.exit_code == 1
    assert "checked_strategy.py:3: parameter: the parameter steps" in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.py:S"], "no such file"),
        (["checked_strategy.py:Layr"], "did you mean Layer?"),
        (["checked_strategy.py:Layer", "-p", "stak=5"], "did you mean 'stake'?"),
        (["checked_strategy.py"], "expected file.py:Class"),
    ],
)
def test_command_asked_wrongly_exits_2(write: Any, arguments: list[str], expected: str) -> None:
    write("class Layer(hr.Strategy):\n    stake: float = 2.0\n")
    result = check(*arguments)
    assert result.exit_code == 2
    assert expected in result.output


def test_finding_reads_as_a_line_of_an_editor() -> None:
    assert str(Finding("a.py", 12, "random", "what", "do this")) == "a.py:12: random: what; do this"


def test_command_reports_what_stands_in_the_place_of_a_callback(write: Any) -> None:
    path = write("class S(hr.Strategy):\n    stake: float = 2.0\n    start: float = 600\n")
    result = check(f"{path}:S")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{path}:4: parameter: the parameter start has the name of a callback or method of every strategy, and is "
        "refused; rename it, such as start_value"
    ]


def test_command_looks_at_classes_whose_init_needs_arguments(write: Any) -> None:
    source = """
        import time
        class S(hr.Strategy):
            def __init__(self, model):
                super().__init__()
                self.model = model
            def process_market_book(self, market, book):
                time.time()
        """
    path = write(source)
    result = check(f"{path}:S")
    assert result.exit_code == 1
    assert f"{path}:9: wall-clock" in result.output
    assert "S cannot be made: " in result.output
    assert "not seen which of its attributes cannot be sent to workers" in result.output
    write(source.replace("time.time()", "pass"))
    assert check(f"{path}:S").exit_code == 0
