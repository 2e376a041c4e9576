"""The witness: what it keeps, and in what order it tells it."""

from __future__ import annotations

from pathlib import Path

from headrace.simulate.exchange.ledger import Ledger


def test_entries_are_read_from_where_one_left_off_by_kind_and_so_many():
    ledger = Ledger()
    for number in range(10):
        ledger.write("BET" if number % 2 else "REPLY", number, place=number)
    assert [each.number for each in ledger.entries()] == list(range(1, 11))
    assert [each.values["place"] for each in ledger.entries(after=4, kind="BET")] == [5, 7, 9]
    assert [each.at for each in ledger.entries(after=4, kind="BET", most=2)] == [5, 7]


def test_only_the_last_entries_are_in_memory_by_number_and_by_length(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger", keep=3)
    for number in range(5):
        ledger.write("BET", number)
    assert [each.number for each in ledger.entries()] == [3, 4, 5]
    ledger.close()
    assert len((tmp_path / "ledger").read_bytes().splitlines()) == 5
    ledger = Ledger(keep_bytes=10_000)
    for _ in range(50):
        ledger.write("REQUEST", 0, junk="x" * 900)
    assert [each.number for each in ledger.entries()] == list(range(41, 51))


def test_what_becomes_of_values_later_does_not_change_what_was_written():
    ledger, report = Ledger(), {"status": "SUCCESS"}
    ledger.write("REPLY", 0, report=report)
    report["status"] = "FAILURE"
    assert ledger.entries()[0].values == {"report": {"status": "SUCCESS"}}
