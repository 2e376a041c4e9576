"""Lines that are not as the exchange sends them: what they say all the same, and what they cost."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import Stream, priced
from headrace.strategies.change_lines import decode_line, decode_lines, readable
from headrace.strategies.changes import ChangeMessage, OddMessage


class Looks(hr.Strategy):
    """Keeps what it sees at each book."""

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, market_book: Any) -> None:
        traded = [runner.last_price_traded for runner in market_book.runners]
        self.record(market, venue=market.venue, event=market.event_id, status=market_book.status, traded=traded)


def settled() -> Stream:
    """A market of two runners, with changes of all kinds and a result."""
    definition = {
        "venue": "Ayr",
        "name": "R1",
        "eventName": "Ayr 1st",
        "regulators": ["GB"],
        "betDelayModels": ["PASSIVE"],
        "eachWayDivisor": 4.0,
        "priceLadderDefinition": {"type": "CLASSIC"},
        "keyLineDefinition": {"kl": [{"id": 1, "hc": 0.5}]},
    }
    best = {kind: [[0, 2.0, 5.0]] for kind in ("batb", "batl", "bdatb", "bdatl")}
    stream = priced(**definition)
    stream.prices(200, {1: {**best, "spb": [[3.0, 1.0]], "spl": [[4.0, 1.0]], "spn": 2.5, "spf": "NaN", "tv": 9.0}})
    return stream.prices(300, {2: {"ltp": 1.85, "hc": 0.0}}, tv=220.0, img=False).close(bsp={1: 2.4, 2: "NaN"})


LINES = settled().lines


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields of objects, whatever lists lie between."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from fields(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from fields(inner, (*path, at))


PATHS = list(fields(LINES))


def changed(path: tuple[Any, ...], value: Any = None, *, drop: bool = False) -> list[dict[str, Any]]:
    """The lines with another value at a path, or with none."""
    found = copy.deepcopy(LINES)
    inner: Any = found
    for step in path[:-1]:
        inner = inner[step]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return found


def read(lines: list[dict[str, Any]]) -> list[ChangeMessage]:
    return [message for line in lines for message in decode_line(json.dumps(line).encode())]


def write(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "1.100000001"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(path: Path, **keywords: Any) -> Any:
    return hr.backtest(Looks(), str(path), engine="local", progress=False, **keywords)


def told(result: Any) -> list[tuple[str | None, str]]:
    return [(row["line"], row["message"]) for row in result.failures.to_pylist()]


# -- what says the same ----------------------------------------------------------------------------------------------


def normal(messages: list[ChangeMessage]) -> str:
    return repr(messages).replace("hc=None", "hc=0.0").replace("img=None", "img=False")


@pytest.mark.parametrize("path", [path for path in PATHS if path[-1] not in ("pt", "id", "mc")], ids=str)
def test_null_says_what_an_absent_field_says(path: tuple[Any, ...]) -> None:
    messages = read(changed(path))
    assert normal(messages) == normal(read(changed(path, drop=True)))
    assert not any(isinstance(message, OddMessage) for message in messages)


@pytest.mark.parametrize(
    ("path", "written", "meant"),
    [
        (("marketDefinition", "eventId"), 30000001, "30000001"),
        (("marketDefinition", "eventTypeId"), 7, "7"),
        (("marketDefinition", "runners", 0, "id"), "1", 1),
        (("marketDefinition", "runners", 0, "bsp"), "2.4", 2.4),
        (("marketDefinition", "version"), 5.0, 5),
        (("marketDefinition", "inPlay"), "true", True),
        (("marketDefinition", "marketTime"), 1_700_000_400_000, "2023-11-14T22:20:00.000Z"),
        (("marketDefinition", "marketTime"), "2023-11-14 22:20:00", "2023-11-14T22:20:00.000Z"),
        (("tv",), "12.5", 12.5),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_value_that_is_written_otherwise_is_read(path: tuple[Any, ...], written: Any, meant: Any) -> None:
    place = (0, "mc", 0, *path)
    assert read(changed(place, written)) == read(changed(place, meant))


def test_id_written_as_a_number_keeps_its_last_zero() -> None:
    (message,) = decode_line(b'{"op":"mcm","pt":1,"mc":[{"id":1.170258210,"rc":[]}]}')
    assert message.mc[0].id == "1.170258210"


def test_line_of_several_messages_is_all_of_them() -> None:
    first, second = (json.dumps(line).encode() for line in (changed((0, "mc", 0, "img"), "false")[0], LINES[1]))
    assert decode_line(first + second) == [*read(LINES[:1]), *read(LINES[1:2])]


def test_bare_nan_of_a_starting_price_is_none() -> None:
    (message,) = decode_line(b'{"pt":1,"mc":[{"id":"1.1","rc":[{"id":1,"spn":NaN,"spf":Infinity}]}]}')
    (runner,) = message.mc[0].rc
    assert (runner.spn, runner.spf) == ("NaN", "Infinity")


@pytest.mark.parametrize("compatibility", [None, "flumine"])
def test_byte_order_mark_and_typed_nulls_change_no_result(tmp_path: Path, compatibility: Any) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "typed").mkdir()
    plain = write(tmp_path / "plain", LINES)
    lines = copy.deepcopy(LINES)
    for line in lines:
        line.update(ct=None, heartbeatMs=None)
        for change in line["mc"]:
            change.update({name: change.get(name) for name in ("marketDefinition", "rc", "img", "tv", "con")})
            for runner in change["rc"] or ():
                names = "atb atl batb batl trd spb spl bdatb bdatl spn spf ltp tv hc".split()  # noqa: SIM905
                runner.update({name: runner.get(name) for name in names})
    typed = write(tmp_path / "typed", lines)
    typed.write_bytes(b"\xef\xbb\xbf" + typed.read_bytes())
    config = hr.Config(compatibility=compatibility)
    one, other = run(plain, config=config), run(typed, config=config)
    assert (told(other), other.digest) == ([], one.digest)


def test_market_id_written_as_a_number_is_one_market(tmp_path: Path) -> None:
    text = "".join(json.dumps(line) + "\n" for line in LINES).replace('"1.100000001"', "1.100000001")
    path = tmp_path / "recording"
    path.write_text(text)
    ((market_id, changes),) = [(row["market_id"], row["changes"]) for row in run(path).markets.to_pylist()]
    assert (market_id, changes) == ("1.100000001", len(LINES))


# -- what says nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("runners", 0, "adjustmentFactor"), {}, "runners[0].adjustmentFactor is {}, expected a number"),
        (("numberOfWinners"), "one", "numberOfWinners is 'one', expected a whole number"),
        (("marketTime"), "tomorrow", "marketTime is 'tomorrow', expected a time"),
        (("version"), 10**30, "expected a whole number"),
        (("priceLadderDefinition"), "CLASSIC", "priceLadderDefinition is 'CLASSIC', expected an object"),
    ],
    ids=["factor", "winners", "start", "version", "ladder"],
)
def test_odd_value_costs_its_field_and_is_told_once(tmp_path: Path, path: Any, value: Any, words: str) -> None:
    place = path if isinstance(path, tuple) else (path,)
    file = write(tmp_path, changed((0, "mc", 0, "marketDefinition", *place), value))
    result = run(file)
    ((line, message),) = told(result)
    assert line == f"{file}:1"
    assert words in message
    assert message.endswith("taken as not given")
    assert result.markets.to_pylist()[0]["changes"] == len(LINES)


@pytest.mark.parametrize(
    "name", ["timezone", "regulators", "suspendTime", "name", "discountAllowed", "crossMatching", "keyLineDefinition"]
)
@pytest.mark.parametrize("value", [{"a": []}, [[1]]], ids=["object", "list"])
def test_field_that_nothing_simulated_reads_may_hold_anything(tmp_path: Path, name: str, value: Any) -> None:
    result = run(write(tmp_path, changed((0, "mc", 0, "marketDefinition", name), value)))
    assert told(result) == []
    assert result.digest == run(write(tmp_path, changed((0, "mc", 0, "marketDefinition", name), drop=True))).digest


def test_definition_whose_status_says_nothing_leaves_the_one_before(tmp_path: Path) -> None:
    result = run(write(tmp_path, changed((len(LINES) - 1, "mc", 0, "marketDefinition", "status"), 5)))
    ((_, message),) = told(result)
    assert "marketDefinition.status is 5, expected a text; mc[0].marketDefinition is left out" in message
    assert result.markets.to_pylist()[0]["status"] == "OPEN"


def test_odd_level_is_left_out_alone() -> None:
    (message,) = decode_line(b'{"pt":1,"mc":[{"id":"1.1","rc":[{"id":1,"atb":[[2.0,1],[3.0,"much"],[4.0,2]]}]}]}')
    assert message.mc[0].rc[0].atb == [(2.0, 1.0), (4.0, 2.0)]
    assert isinstance(message, OddMessage)
    assert [oddity.field for oddity in message.oddities] == ["mc.rc.atb"]


def test_same_oddity_of_many_lines_is_one_row_with_a_count(tmp_path: Path) -> None:
    stream = priced()
    for at in range(200, 250):
        stream.prices(at, {1: {"ltp": "dear"}})
    result = run(write(tmp_path, stream.lines))
    assert [row["count"] for row in result.failures.to_pylist()] == [50]


def test_many_lines_that_cannot_be_read_are_counted_together(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    path.write_text(path.read_text() + "neither this\n" * 350)
    rows = run(path).failures.to_pylist()
    assert [row["count"] for row in rows] == [1] * 100 + [250]
    assert rows[-1]["line"] == str(path)


def test_bytes_that_are_not_utf8_cost_their_characters(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    path.write_bytes(path.read_bytes().replace(b"Ayr", b"\xe9t\xe9"))
    result = run(path)
    assert told(result) == []
    assert {json.loads(row["record"])["venue"] for row in result.records.to_pylist()} == {"�t�"}


def test_change_without_a_market_is_told(tmp_path: Path) -> None:
    result = run(write(tmp_path, changed((1, "mc", 0, "id"))))
    ((_, message),) = told(result)
    assert "a change without the id of a market is left out" in message


def test_line_without_publish_time_is_lost_alone(tmp_path: Path) -> None:
    result = run(write(tmp_path, changed((2, "pt"))))
    ((line, message),) = told(result)
    assert line is not None
    assert line.endswith(":3")
    assert "has no publish time (pt)" in message
    assert result.markets.to_pylist()[0]["changes"] == len(LINES) - 1


# -- whatever comes --------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.none() | st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["id", "a"]), st.integers(), max_size=2),
)


@given(st.sampled_from(PATHS), VALUES)
def test_no_value_of_any_field_raises_out_of_the_reader(path: tuple[Any, ...], value: Any) -> None:
    text = json.dumps(changed(path, value)[path[0]]).encode()
    try:
        quick = decode_lines(text)
    except Exception:
        quick = None
    try:
        found: list[ChangeMessage] | str = decode_line(text)
    except ValueError as error:
        found = str(error)
    assert quick is None or quick == found
    if isinstance(found, str):
        assert found.startswith(("is not JSON", "cannot be used", "has no publish time", "is not a message"))
    elif path[-1] not in ("pt", "mc"):
        assert len(found[0].mc) in (0, 1)


@given(st.binary(max_size=80), st.integers(0, 10_000))
def test_no_bytes_raise_out_of_the_reader(noise: bytes, at: int) -> None:
    text = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    at %= len(text)
    messages, whole = readable(text[:at] + noise + text[at + len(noise) :])
    assert whole or len(messages) <= len(LINES) + noise.count(b"\n")


@settings(max_examples=60)
@given(st.sampled_from(PATHS), VALUES)
@example((3, "mc"), [None])  # a list of nulls is an empty one
def test_no_value_of_any_field_costs_more_than_its_line(path: tuple[Any, ...], value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = run(write(Path(folder), changed(path, value)))
        lost = len(LINES) - sum(result.markets["changes"].to_pylist())  # with another id it is another market's
        # Before a market's first definition nothing of it can be shown; everything else costs its line at most.
        assert lost <= (len(LINES) if path[0] == 0 else 1)
        without_changes = value is None or (isinstance(value, list) and all(each is None for each in value))
        assert lost == 0 or result.failures.num_rows > 0 or without_changes
