"""What the exchange's ledger says of a live system that was killed again and again: the witness of `benchmarks.chaos`.

It knows the ledger's entries, what the system believes (its state, its result), and the limits that the system had. It
uses no code of headrace's: exposure is counted here by rules of its own.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from .chaos_exposure import SIZES, Bet, Exposure

#: Faults by which the exchange says that it will not have somebody at all.
REFUSALS = frozenset(
    {"stream.not_authorized", "stream.subscription_limit", "stream.no_subscription", "session.login_fail"}
)
#: Money that floats may differ by.
_PENNY = 0.005
_DAY_MS = 86_400_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of the system; None: there is none.

    Attributes:
        exposure: of all markets together.
        selection, order: of a runner; of an order by itself. One strategy alone bets on a runner.
        live: orders that may be live on a runner at once.
    """

    exposure: float | None = None
    selection: float | None = None
    order: float | None = None
    live: int | None = None


class History:
    """The ledger, read from its beginning.

    Args:
        entries: `Entry` objects of one exchange with one account, in order; more may follow by `read`.
        no_more: nothing may be placed after this moment, wall time in milliseconds; None: it may.
        runners: as `Exposure`.

    Attributes:
        number: of the last entry.
        began: when the first was written: wall time, milliseconds.
        bets: by id, as they now are.
        refs: bets by their order's reference, in the order of their placing.
        wrong: what must not be at all, in sentences: bets placed twice, limits that were passed.
        settled, commission: what settlements have moved. profits: of single bets.
        closed: markets.
        faulted: faults as they happened: wall time, milliseconds, and kind.
        sent: references of all orders that were asked for, with the number of their request.
    """

    def __init__(
        self,
        entries: Iterable[Any] = (),
        limits: Limits = Limits(),
        no_more: float | None = None,
        runners: int | None = None,
    ) -> None:
        self.limits = limits
        self.number = 0
        self.began = 0.0
        self.bets: dict[str, Bet] = {}
        self.refs: dict[str, list[Bet]] = {}
        self.wrong: list[str] = []
        self.settled = 0.0
        self.commission = 0.0
        self.profits: dict[str, float] = {}
        self.closed: set[str] = set()
        self.faulted: list[tuple[float, str]] = []
        self.sent: dict[str, int] = {}
        self.placings: list[tuple[float, str]] = []
        self.counts = {"bets": 0, "placed": 0, "cancels": 0, "replaces": 0, "updates": 0, "faults": 0}
        self.faults: dict[str, int] = {}
        self.peak = 0.0
        self._replaces: dict[str, int] = {}
        self._refused: set[int] = set()
        self._exposures = (Exposure(False, runners), Exposure(True, runners))
        self._no_more = no_more
        self.read(entries)

    @property
    def exposure(self) -> float:
        """What all bets may lose now, to the penny."""
        return round(self._exposures[0].total, 2)

    def no_more(self, wall: float) -> None:
        """Nothing may be placed after this moment, milliseconds."""
        self._no_more = wall

    def read(self, entries: Iterable[Any]) -> None:
        """Read on."""
        for entry in entries:
            self.number = entry.number
            self.began = self.began or entry.wall
            values = entry.values
            match entry.kind:
                case "REQUEST":
                    self._asked(entry, values)
                case "REPLY":
                    self._answered(values)
                case "BET":
                    self._bet(values)
                case "MARKET":
                    self._market(values)
                case "ACCOUNT" if values["what"] == "BET":
                    self.settled = round(self.settled + values["amount"], 2)
                    before = self.profits.get(values["bet_id"], 0.0)
                    self.profits[values["bet_id"]] = round(before + values["amount"], 2)
                case "ACCOUNT" if values["what"] == "COMMISSION":
                    self.commission = round(self.commission + values["amount"], 2)
                case "FAULT":
                    self.counts["faults"] += 1
                    self.faults[values["fault"]] = self.faults.get(values["fault"], 0) + 1
                    self.faulted.append((entry.wall, values["fault"]))
                case "ERROR":
                    self.wrong.append(f"the exchange failed: {values.get('error')}")

    # -- what was asked ------------------------------------------------------------------------------------------

    def _asked(self, entry: Any, values: dict[str, Any]) -> None:
        operation, instructions = values.get("operation"), values.get("params", {}).get("instructions") or ()
        if operation == "placeOrders":
            self.counts["placed"] += len(instructions)
            for each in instructions:
                ref = each["customerOrderRef"]
                self.placings.append((entry.wall, ref))
                before = self.sent.get(ref)
                if before is not None and before not in self._refused:
                    self.wrong.append(f"order {ref} was sent twice: by calls {before} and {values['request']}")
                self.sent[ref] = values["request"]
            if self._no_more is not None and entry.wall > self._no_more:
                self.wrong.append(f"call {values['request']} places {len(instructions)} orders after the stop")
        elif operation == "replaceOrders":
            self.counts["replaces"] += len(instructions)
            for each in instructions:
                self._replaces[each["betId"]] = self._replaces.get(each["betId"], 0) + 1
        elif operation == "cancelOrders":
            self.counts["cancels"] += len(instructions)
        elif operation == "updateOrders":
            self.counts["updates"] += len(instructions)

    def _answered(self, values: dict[str, Any]) -> None:
        # An error that the client was told of: nothing of it was done, and it may be asked for again.
        if values.get("status") == 200 and values.get("error") and "request" in values:
            self._refused.add(values["request"])

    # -- what was done -------------------------------------------------------------------------------------------

    def _bet(self, values: dict[str, Any]) -> None:
        bet = self.bets.get(values["bet_id"])
        if bet is None:
            bet = self._new(values)
        bet.take(values)
        before = [each.total for each in self._exposures]
        market, runner = bet.market_id, bet.selection_id
        runner_before = [each.of_runner(market, runner) for each in self._exposures]
        for each in self._exposures:
            each.take(bet)
        self.peak = max(self.peak, self._exposures[0].total)
        self._over(
            "all bets", "max_exposure", self.limits.exposure, before, [each.total for each in self._exposures], bet
        )
        self._over(
            f"bets on {runner} of {market}",
            "max_selection_exposure",
            self.limits.selection,
            runner_before,
            [each.of_runner(market, runner) for each in self._exposures],
            bet,
        )

    def _over(
        self, what: str, name: str, limit: float | None, before: list[float], after: list[float], bet: Bet
    ) -> None:
        """What voids do is nobody's fault here: with and without them the bet must have passed the limit."""
        if limit is None:
            return
        if all(now > limit + _PENNY and now > was + _PENNY for was, now in zip(before, after, strict=True)):
            self.wrong.append(
                f"bet {bet.bet_id} ({bet.order_ref}): {what} could lose {after[0]:.2f}, {name} is {limit:.2f}"
            )

    def _new(self, values: dict[str, Any]) -> Bet:
        bet = Bet(values["bet_id"], values["market_id"], values["order_ref"], values["selection_id"], values["side"])
        bet.price, bet.size = values["price"], values["size"]
        self.counts["bets"] += 1
        self.bets[bet.bet_id] = bet
        mates = self.refs.setdefault(bet.order_ref, [])
        if mates:
            self._replaced(bet, mates)
        mates.append(bet)
        alone = bet.size * (bet.price - 1 if bet.side == "LAY" else 1)
        if self.limits.order is not None and alone > self.limits.order + _PENNY:
            self.wrong.append(f"bet {bet.bet_id} could lose {alone:.2f}, max_order_exposure is {self.limits.order:.2f}")
        if self.limits.live is not None and values["executable"]:
            live = sum(
                each.executable and (each.market_id, each.selection_id) == (bet.market_id, bet.selection_id)
                for each in self._of_market(bet.market_id)
            )
            if live > self.limits.live:
                self.wrong.append(
                    f"bet {bet.bet_id} ({bet.order_ref}): {live} bets are live on {bet.selection_id} of "
                    f"{bet.market_id}, max_live_trade_count is {self.limits.live}"
                )
        return bet

    def _of_market(self, market_id: str) -> list[Bet]:
        return [bet for bet in self.bets.values() if bet.market_id == market_id and bet.executable]

    def _replaced(self, bet: Bet, mates: list[Bet]) -> None:
        """A second bet of an order is the first one placed anew, or the order was placed twice."""
        for each in reversed(mates):
            taken = sum(other.replaces == each.bet_id for other in mates)
            if not each.executable and self._replaces.get(each.bet_id, 0) > taken:
                bet.replaces = each.bet_id
                return
        others = ", ".join(each.bet_id for each in mates)
        self.wrong.append(f"order {bet.order_ref} was placed twice: bet {bet.bet_id} beside {others}")

    def _market(self, values: dict[str, Any]) -> None:
        actual, alone = self._exposures
        if values["what"] == "CLOSED":
            self.closed.add(values["market_id"])
        if values["what"] == "RUNNER_REMOVED":
            actual.remove(values["market_id"], values["selection_id"])
        if values["what"] in ("SETTLED", "SETTLED_AGAIN", "VANISHED"):
            actual.settle(values["market_id"], True)
            alone.settle(values["market_id"], True)
        elif values["what"] == "REOPENED":  # and nothing that it does to exposure is the system's fault
            actual.settle(values["market_id"], False)

    # -- what is believed ----------------------------------------------------------------------------------------

    def live(self) -> dict[str, Bet]:
        """Bets that rest, by id."""
        return {bet_id: bet for bet_id, bet in self.bets.items() if bet.executable}

    def differences_at_rest(self, state: dict[str, Any], funds_exposure: float) -> list[str]:
        """How the state of a system that waits for nothing differs from the ledger.

        Args:
            state: as `headrace live status --json` has it.
            funds_exposure: as the exchange says it in the account's funds, 0 or less.
        """
        wrong = [
            f"order {row['order_id']} in {row['market_id']} is {row['status']}"
            for row in state["orders"]
            if row["in_doubt"] or row["bet_id"] is None
        ]
        believed = {row["bet_id"]: row for row in state["orders"] if row["bet_id"] is not None}
        live = self.live()
        if len(believed) + len(wrong) < len(state["orders"]):
            wrong.append("a bet is there twice, among live orders")
        for bet_id, bet in live.items():
            row = believed.get(bet_id)
            if row is None:
                wrong.append(f"bet {bet_id} ({bet.order_ref}) of {bet.market_id} rests, and is not known")
                continue
            for name in ("matched", "remaining", "price", "side", "selection_id"):
                if row[name] != getattr(bet, name):
                    wrong.append(f"bet {bet_id}: {name} is {getattr(bet, name)}, believed {row[name]}")
        wrong += [f"bet {bet_id} is believed to rest, and does not" for bet_id in sorted({*believed} - {*live})]
        wrong += [f"bet {row['bet_id']} is taken for one of somebody else" for row in state["foreign"]]
        (client,) = state["clients"]
        for what, found in (
            ("the account's exposure", client["exposure"]),
            ("open bets", state["risk"]["by_currency"][client["currency"]]["exposure"]),
            ("the exchange's own count", -funds_exposure),
        ):
            if abs(found - self.exposure) >= 0.01 - 1e-6:
                wrong.append(f"{what}: {found:.2f} could be lost, by the ledger {self.exposure:.2f}")
        settled = state["risk"]["by_currency"][client["currency"]]["settled_today"]
        won = round(self.settled + self.commission, 2)
        if self.began // _DAY_MS != state["at"] // _DAY_MS:
            return wrong  # midnight has passed, and what was won before is of yesterday
        if abs(settled - won) >= 0.01 - 1e-6:
            wrong.append(f"settled today: {settled:.2f}, by the ledger {won:.2f}")
        return wrong

    def differences_at_end(self, orders: list[dict[str, Any]]) -> list[str]:
        """How the orders of a session's result differ from the ledger, once the system has stopped."""
        wrong = []
        rows: dict[str, dict[str, Any]] = {}
        ids: dict[str, dict[str, Any]] = {}
        for row in orders:
            if row["order_id"] in ids:
                wrong.append(f"order {row['order_id']} is there twice")
            ids[row["order_id"]] = row
            if row["bet_id"]:
                if row["bet_id"] in rows:
                    wrong.append(f"bet {row['bet_id']} is there twice: of {row['order_id']} and others")
                rows[row["bet_id"]] = row
        for bet_id, bet in self.bets.items():
            found = rows.get(bet_id)
            if found is None:
                wrong.append(f"bet {bet_id} ({bet.order_ref}) of {bet.market_id} is not known")
                continue
            for name in SIZES:
                if abs(found[f"size_{name}"] - getattr(bet, name)) > _PENNY:
                    told = f"size_{name}"
                    wrong.append(f"bet {bet_id}: {name} is {getattr(bet, name):.2f}, believed {found[told]:.2f}")
            if bet.matched and abs(found["average_price_matched"] - bet.average) > 1e-4:
                wrong.append(f"bet {bet_id}: matched at {bet.average}, believed {found['average_price_matched']}")
            profit = self.profits.get(bet_id)
            if profit is not None and found["profit"] is not None and abs(found["profit"] - profit) > _PENNY:
                wrong.append(f"bet {bet_id}: won {profit:.2f}, believed {found['profit']:.2f}")
            if bet.executable:
                wrong.append(f"bet {bet_id} ({bet.order_ref}) rests after the end")
        wrong += [f"bet {bet_id} is believed in, and is not there" for bet_id in sorted({*rows} - {*self.bets})]
        wrong += self._never_placed(ids)
        return wrong

    def untold(self, orders: list[dict[str, Any]], asked: Iterable[str], told: Iterable[str]) -> list[str]:
        """Orders of which the exchange never heard, and whose strategies have not been told so.

        Args:
            orders: of the result.
            asked: references of the orders that strategies have asked for.
            told: orders of whose end strategies were told.
        """
        ids, known = {row["order_id"] for row in orders}, set(told)
        return [
            f"order {ref} was not placed, and its strategy was not told"
            for ref in asked
            if ref not in self.refs and _order_id(ref) in ids and _order_id(ref) not in known
        ]

    def _never_placed(self, ids: dict[str, dict[str, Any]]) -> list[str]:
        wrong = []
        known = {ref: ids.get(_order_id(ref)) for ref in {*self.sent, *self.refs}}
        for ref, row in sorted(known.items()):
            if row is None:
                wrong.append(f"order {ref} was sent, and nobody knows of it")
            elif not row["bet_id"] and ref in self.refs:
                wrong.append(f"order {ref} is believed not to be placed, and is bet {self.refs[ref][0].bet_id}")
        wrong += [
            f"order {order_id} has no end: {row['status']}"
            for order_id, row in ids.items()
            if row["size_remaining"] and row["status"] not in ENDS
        ]
        return wrong


#: Statuses in which nothing is open any more.
ENDS = ("EXECUTION_COMPLETE", "EXPIRED", "VIOLATION")


def _order_id(ref: str) -> str:
    """The order of a reference: what follows the strategy's name and a separator."""
    return ref[-18:]
