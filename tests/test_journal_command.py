"""`headrace journal`: whose journal it shows, which entries, and as what."""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command import call
from headrace.actors.journal.entries import Entry, Kept, Noted, Seated, packed
from headrace.actors.journal.files import day_files
from headrace.actors.journal.journal import Journal
from headrace.actors.live.instance import Instance
from headrace.cli.journal_search import moment_back
from headrace.strategies.errors import InputError
from headrace.strategies.messages import (
    AccountFact,
    CancelInstruction,
    ClearedOrder,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    ViolationFact,
)
from processes import TOOLS

#: 2026-03-28, noon.
NOON = 1_774_699_200_000
MARKET = "1.240000001"
HOST, ACCOUNT = "h1.s1.market", "BETFAIR anna"


def asked(request_id: str, kind: str, *instructions: object, market_id: str = MARKET) -> Request:
    return Request(request_id, market_id, "Backer", "BETFAIR", "anna", kind, tuple(instructions), NOON)  # type: ignore[arg-type]


#: The life of an order that is replaced, and of another one in another market.
MESSAGES = [
    ("", "", Noted("STARTED", "live", NOON)),
    (MARKET, "", Seated("s1.market", MARKET, "30", "h1", NOON, b'{"status":"OPEN"}')),
    (
        MARKET,
        HOST,
        asked("r1", "PLACE", PlaceInstruction("a1", "hash-a1", 47, 0, "BACK", "LIMIT", 3.05, 2.0)),
    ),
    (MARKET, HOST, Reply("r1", MARKET, NOON, reports=(Report("a1", "PLACE", "SUCCESS", None, "300"),))),
    (
        MARKET,
        ACCOUNT,
        OrderFact(MARKET, "a1", "300", "STREAM", NOON, True, 3.05, 2.0, remaining=1.5, matched=0.5, average=3.1),
    ),
    (MARKET, HOST, asked("r2", "REPLACE", ReplaceInstruction("a1", "300", 3.2, "a2", "hash-a2"))),
    (MARKET, HOST, ViolationFact("Backer", MARKET, "ORDER_EXPOSURE", "PLACE", "too much", NOON)),
    ("1.240000002", HOST, asked("r3", "CANCEL", CancelInstruction("b1", "400", 1.0), market_id="1.240000002")),
    (MARKET, ACCOUNT, ClearedOrder(MARKET, None, "300", NOON, -2.0)),
    ("", ACCOUNT, AccountFact("BETFAIR", "anna", NOON, 98.0, -2.0)),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def opened(reference: str) -> Journal:
    return Journal(Instance(reference).folder / "journal", clock=lambda: NOON)


@pytest.fixture
def journal() -> Iterator[Journal]:
    """The journal of "desk", open, with the messages above, a second apart."""
    journal = opened("desk")
    kept = packed(Kept(snapshot=b"12345"))
    for number, (market_id, actor, message) in enumerate(MESSAGES):
        journal.add([Entry(message, NOON + 1000 * number, market_id, actor, kept if number == 2 else b"")])
    yield journal
    journal.close()


def numbers(*words: object) -> list[int]:
    ended = call("journal", "--json", *words)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return [json.loads(line)["number"] for line in ended.stdout.splitlines()]


def test_each_entry_is_a_line(journal: Journal) -> None:
    lines = call("journal").stdout.splitlines()
    assert lines[0].split() == ["time", "(UTC)", "number", "market", "kind", "actor", "what"]
    told = [line.split(maxsplit=3) for line in lines[1:]]
    assert [(date, time, int(number)) for date, time, number, _ in told] == [
        ("2026-03-28", f"12:00:{second:02}.000", second + 1) for second in range(10)
    ]
    assert [" ".join(rest.split()) for *_, rest in told] == [
        "Noted STARTED live",
        f"{MARKET} Seated s1.market at h1",
        f"{MARKET} PLACE h1.s1.market Backer, anna: a1 BACK 47 2 at 3.05",
        f"{MARKET} Reply h1.s1.market ANSWERED; PLACE a1 SUCCESS bet 300",
        f"{MARKET} OrderFact BETFAIR anna a1 bet 300 EXECUTABLE matched 0.5 at 3.1, remaining 1.5, stream",
        f"{MARKET} REPLACE h1.s1.market Backer, anna: a1 bet 300 by a2 at 3.2",
        f"{MARKET} ViolationFact h1.s1.market Backer: ORDER_EXPOSURE refused PLACE: too much",
        "1.240000002 CANCEL h1.s1.market Backer, anna: b1 bet 400 by 1",
        f"{MARKET} ClearedOrder BETFAIR anna bet 300 profit -2.00",
        "AccountFact BETFAIR anna anna funds 98, exposure -2",
    ]


def test_json_has_the_whole_message_and_what_is_kept_in_short(journal: Journal) -> None:
    told = [json.loads(line) for line in call("journal", "--json").stdout.splitlines()]
    assert told[1]["message"]["definition"] == {"status": "OPEN"}
    place = told[2]
    assert {name: place[name] for name in ("number", "at", "market_id", "kind", "actor")} == {
        "number": 3, "at": NOON + 2000, "market_id": MARKET, "kind": "Request", "actor": HOST,
    }  # fmt: skip
    assert place["message"]["instructions"][0]["customer_order_ref"] == "hash-a1"
    assert place["kept"] == {"trades": [], "runners": 0, "snapshot_bytes": 5}
    assert "kept" not in told[3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--market", "1.240000002"], [8]),
        (["--market", "1.240000002", "--market", MARKET, "--kind", "reply"], [4]),
        (["--kind", "place", "--kind", "cancel"], [3, 8]),
        (["--kind", "Request"], [3, 6, 8]),
        (["--kind", "order-fact", "--kind", "replace"], [5, 6]),
        (["--order", "a1"], [3, 4, 5, 6, 9]),
        (["--order", "300"], [3, 4, 5, 6, 9]),
        (["--order", "hash-a1"], [3, 4, 5, 6, 9]),
        (["--order", "a2"], [6]),
        (["--order", "400"], [8]),
        (["--order", "r3"], [8]),
        (["--order", "nobody"], []),
        (["--since", "2026-03-28T12:00:07+00:00"], [8, 9, 10]),
        (["--last", "2"], [9, 10]),
        (["--last", "1", "--order", "a1"], [9]),
        (["--last", "1", "--kind", "place"], [3]),
    ],
)
def test_entries_that_are_asked_for(journal: Journal, words: list[str], expected: list[int]) -> None:
    assert numbers(*words) == expected


def test_the_journal_of_a_system_that_has_ended_is_shown(journal: Journal, home: Path) -> None:
    journal.close_market(MARKET)
    journal.tidy()
    journal.close()
    assert numbers() == list(range(1, 11))
    assert sorted(path.name for path in (home / "desk" / "journal").iterdir()) == ["2026-03-28-1.sqlite", "lock"]


def test_a_table_has_the_last_fifty(journal: Journal) -> None:
    journal.add([Entry(Noted("GONE", str(number), NOON), NOON) for number in range(100)])
    lines = call("journal").stdout.splitlines()
    assert len(lines) == 51
    assert lines[-1].split()[-1] == "99"
    assert len(call("journal", "--since", "2026-03-28").stdout.splitlines()) == 111


def test_parquet(journal: Journal, tmp_path: Path) -> None:
    ended = call("journal", "--parquet", "entries.parquet", "--market", MARKET)
    assert ended.output == "7 entries in entries.parquet\n"
    rows = pq.read_table("entries.parquet").to_pylist()
    assert [row["number"] for row in rows] == [2, 3, 4, 5, 6, 7, 9]
    place = rows[1]
    assert place["at"] == datetime.datetime(2026, 3, 28, 12, 0, 2, tzinfo=datetime.UTC)
    assert (place["kind"], place["strategy"], place["ids"]) == ("Request", "Backer", ["a1", "hash-a1", "r1"])
    assert json.loads(place["message"])["instructions"][0]["price"] == 3.05
    assert place["kept_bytes"] > 5
    # Again: it is replaced, and nothing else is left there.
    call("journal", "--parquet", "entries.parquet", "--kind", "noted")
    assert pq.read_table("entries.parquet").num_rows == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entries.parquet", "home"]


def test_a_file_that_cannot_be_written(journal: Journal) -> None:
    ended = call("journal", "--parquet", "nowhere/entries.parquet")
    assert ended.exit_code != 0
    assert "nowhere/entries.parquet: the entries cannot be written here" in ended.stderr


# -- whose journal ----------------------------------------------------------------------------------------------------


def test_of_several_journals_one_is_named_or_the_one_that_runs(journal: Journal) -> None:
    other = opened("other")
    other.add([Entry(Noted("STARTED", "", NOON), NOON)])
    other.close()
    ended = call("journal")
    assert (ended.exit_code, ended.stderr) == (
        2,
        "headrace: several live systems have journals: name one with --reference: desk, other\n",
    )
    assert numbers("--reference", "other") == [1]
    with Instance("other"):
        assert numbers() == [1]


def test_where_there_is_no_journal(home: Path) -> None:
    ended = call("journal")
    assert (ended.exit_code, ended.stderr) == (2, "headrace: no live system has left a journal on this machine\n")
    ended = call("journal", "--reference", "desk")
    assert ended.exit_code == 2
    assert "no live system with the reference 'desk' has left a journal; there are: none" in ended.stderr


def test_of_several_journals_of_a_system_the_last_one_is_shown_or_the_one_that_is_named(
    journal: Journal, home: Path
) -> None:
    journal.close()
    rehearsal = Journal(home / "desk" / "journal-rehearsal", clock=lambda: NOON)
    rehearsal.add([Entry(Noted("STARTED", "", NOON), NOON)])
    assert numbers() == [1]
    assert len(numbers("--of", "live")) == 10
    assert numbers("--of", "rehearsal", "--reference", "desk") == [1]
    rehearsal.close()
    assert numbers() == [1]
    ended = call("journal", "--of", "paper")
    assert (ended.exit_code, ended.stderr) == (
        2,
        "headrace: no live system has left a journal of kind paper on this machine\n",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "plce"], "did you mean 'place'"),
        (["--since", "yesterday"], "--since yesterday: expected such as 23:30, 2026-06-03T23:30, 15m, 2h or 3d"),
        (["--parquet", "x", "--json"], "--parquet writes a file: it goes without --json and --follow"),
        (["--last", "0"], "0 is not in the range"),
    ],
)
def test_what_is_asked_wrongly(journal: Journal, words: list[str], said: str) -> None:
    ended = call("journal", *words)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_of_a_damaged_journal_what_can_be_read_is_shown_and_the_exit_code_is_1(home: Path) -> None:
    first = opened("desk")
    for number in range(300):
        first.add([Entry(Noted("GONE", str(number) * 500, NOON), NOON, MARKET)])
    first.close()
    (path,) = day_files(home / "desk" / "journal")
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    ended = call("journal", "--json")
    assert ended.exit_code == 1
    assert f"{path}: part of it cannot be read" in ended.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11:30", "2026-06-03T11:30:00+01:00"),
        ("12:30", "2026-06-02T12:30:00+01:00"),
        ("2026-06-01", "2026-06-01T00:00:00+01:00"),
        ("2026-06-01 10:00", "2026-06-01T10:00:00+01:00"),
        ("2026-06-01T10:00Z", "2026-06-01T10:00:00+00:00"),
        ("90s", "2026-06-03T11:58:30+01:00"),
        ("1.5h", "2026-06-03T10:30:00+01:00"),
        ("2d", "2026-06-01T12:00:00+01:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    now = datetime.datetime(2026, 6, 3, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    assert moment_back(text, now) == datetime.datetime.fromisoformat(expected).timestamp() * 1000


def test_a_span_that_is_too_long() -> None:
    with pytest.raises(InputError, match="expected such as"):
        moment_back("99999999999d", datetime.datetime.now().astimezone())


def test_follow_shows_what_is_written_until_it_is_interrupted(journal: Journal) -> None:
    words = [TOOLS / "headrace", "journal", "--follow", "--json", "--last", "2", "--kind", "noted"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["number"] == 1
        for number in range(11, 14):
            message = Noted("GONE", "h1", NOON) if number != 12 else AccountFact("BETFAIR", "anna", NOON, 1.0)
            journal.add([Entry(message, NOON)])
        assert json.loads(follower.stdout.readline())["number"] == 11
        assert json.loads(follower.stdout.readline())["number"] == 13
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 130
