"""The exchange itself: markets that are played, bets of accounts, and who is told. No sockets, and no waiting.

One thread owns it. Whoever speaks a protocol asks it and is told by it: `advance` plays what is due, `submit` takes
requests, and listeners hear what changed, in order.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from ...actors.exchange import AccountTerms, Answer
from ...strategies.book import MarketBook
from ...strategies.currency import RATES
from ...strategies.errors import RunError
from ...strategies.messages import (
    AccountFact,
    ClearedOrder,
    OrderFact,
    Reply,
    Report,
    Request,
)
from ...strategies.rules import Rules
from ..accounts.conversion import in_pounds
from ..models import Models
from .account_bet import LAPSE_REASONS, AccountBet
from .exchange_market import ExchangeMarket as ExchangeMarket
from .exchange_market import Listener as Listener
from .exchange_market import results_of
from .feed_messages import Feed, FeedChange, FeedMessage
from .ledger import Ledger
from .numbers import Numbers
from .public_market import PublicMarket, Touched
from .settings import AccountSettings, ExchangeSettings
from .submissions import Submissions
from .timeline import ExchangeClock, Timeline
from .venue_market import CONFIG, VenueMarket

logger = logging.getLogger("headrace")


class Exchange:
    """Markets, bets, and time.

    Args:
        feed: what is played.
        ledger: the witness.

    Attributes:
        markets: by id, those that have appeared and not vanished.
        bets: of all accounts and markets, by number, in order of placing.
        sequence: number of the last change of a market; `bet_sequence`: of a bet.
        listeners: whom to tell.
        numbers: of bets, and names of instructions and requests.
        finished: the feed has ended.
        begins: makes what is played from `begin` on; None: all is played from the start.
        alter: what becomes of a recorded change before it is played; None: it is not played.
        handling: what happens now, happens because somebody asked for it.
    """

    def __init__(
        self, settings: ExchangeSettings, timeline: Timeline, feed: Feed, ledger: Ledger | None = None
    ) -> None:
        self.settings = settings
        self.timeline = timeline
        self.ledger = Ledger() if ledger is None else ledger
        self.accounts: dict[str, AccountSettings] = {each.username: each for each in settings.accounts}
        self.markets: dict[str, ExchangeMarket] = {}
        self.bets: dict[str, AccountBet] = {}
        self.listeners: list[Listener] = []
        self.sequence = self.bet_sequence = 0
        self.finished = self.handling = False
        self.alter: Callable[[FeedChange], FeedChange | None] | None = None
        self.clock = ExchangeClock(timeline.start_ms)
        self.config = CONFIG
        self.rules = Rules.named(None)
        self._models = Models().completed(self.config)
        self.numbers = Numbers()
        self._by_order: dict[str, AccountBet] = {}
        self._submissions = Submissions()
        self.begins: Callable[[], Feed] | None = None
        self._begin(feed)

    def _begin(self, feed: Feed) -> None:
        self._messages: Iterator[FeedMessage] = iter(feed)
        self._next = next(self._messages, None)
        self.finished = self._next is None

    def begin(self) -> None:
        """Somebody asks for markets: what waits for that is played from now on."""
        begins, self.begins = self.begins, None
        if begins is not None:
            self._begin(begins())
            self.advance(self.timeline.now_ms())
            if self.clock.sooner is not None:
                self.clock.sooner()

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def next_at(self) -> float:
        """When something is due next, exchange time; infinite if nothing is."""
        timer = self.clock.next_ms
        return timer if self._next is None else min(timer, self._next.at)

    @property
    def next_message_at(self) -> int | None:
        """When the next message of the feed is due; None after the last."""
        return None if self._next is None else self._next.at

    def advance(self, now_ms: int) -> None:
        """Play what is due by `now_ms`, exchange time: timers before messages of the same moment."""
        while self._next is not None and self._next.at <= now_ms:
            self.play_next()
        self._run_timers(now_ms)
        self.clock.now_ms = max(self.clock.now_ms, now_ms)
        self.timeline.played(self.clock.now_ms)

    def tick(self) -> None:
        """Let the clock show what time it is, unless messages that are due have not been played yet."""
        now_ms = self.timeline.now_ms()
        if not self.timeline.stepped and (self._next is None or self._next.at > now_ms):
            self.advance(now_ms)

    def play_next(self) -> bool:
        """Play the next message of the feed, whenever it is due; False if there is none."""
        message, self._next = self._next, None
        if message is None:
            return False
        self._run_timers(message.at)
        self.clock.now_ms = max(self.clock.now_ms, message.at)
        self.timeline.played(message.at)
        try:
            self._play(message, self.alter)
            self._run_timers(self.clock.now_ms)  # what became due at once
        finally:
            self._next = next(self._messages, None)
            self.finished = self._next is None
        return True

    def _run_timers(self, until_ms: int) -> None:
        while (timer := self.clock.pop_due(until_ms)) is not None:
            function, arguments = timer
            try:
                function(*arguments)
            except Exception as error:  # a defect: what else is due is done
                logger.error("What was due could not be done: %s", error, exc_info=error)
                self.ledger.write("ERROR", self.clock.now_ms, error=repr(error))

    def call_later(self, milliseconds: float, function: Callable[[], object]) -> None:
        """Call a function when exchange time has moved on by `milliseconds`."""
        self.clock.call_at(self.clock.now_ms + round(milliseconds), function)

    def play(self, *changes: FeedChange) -> None:
        """Play changes now that are not of the feed."""
        self._play(FeedMessage(self.clock.now_ms, changes))

    def _play(self, message: FeedMessage, alter: Callable[[FeedChange], FeedChange | None] | None = None) -> None:
        for recorded in message.changes:
            played = recorded if alter is None else alter(recorded)
            if played is None:
                continue
            market_id = played.change.id
            if market_id is None:
                continue
            market = self.markets.get(market_id)
            if market is None:
                if played.change.market_definition is None:
                    continue  # nothing is known of it that could be shown
                market = self._open(market_id)
            market.book.apply(message.at, played.change)
            touched = market.public.record(played)
            self._publish(market, touched, message.at)
            definition = played.change.market_definition
            if definition is not None:
                self._tell_removed(market)
            if definition is not None and definition.status == "CLOSED":
                self._close(market)
            else:
                if definition is not None and market.closed_at is not None:
                    self._reopen(market)
                market.venue.changed()
            self._publish_bets(market)
        for operation, change in message.sports:
            for listener in self.listeners:
                listener.sports(message.at, operation, change)
        for market_id in message.gone:
            if (market := self.markets.get(market_id)) is not None:
                market.gone = True
                market.venue.expire("RECORDING_ENDED")
                self._submissions.give_up_all(market_id)
                self._vanish_later(market)
        self._message_ended()

    def _message_ended(self) -> None:
        for listener in self.listeners:
            listener.message_ended(self.clock.now_ms)

    # -- markets -------------------------------------------------------------------------------------------------

    def _open(self, market_id: str) -> ExchangeMarket:
        book, public = MarketBook(market_id), PublicMarket(market_id)
        venue = VenueMarket(book, self, self._models, self.numbers, public)
        market = self.markets[market_id] = ExchangeMarket(market_id, book, public, venue)
        self.ledger.write("MARKET", self.clock.now_ms, market_id=market_id, what="OPENED")
        return market

    def _publish(self, market: ExchangeMarket, touched: Touched, at: int) -> None:
        if not touched:
            return
        self.sequence += 1
        market.public.stamp(touched, self.sequence, at)
        for listener in self.listeners:
            listener.market_changed(market, touched)

    def _publish_bets(self, market: ExchangeMarket) -> None:
        self._publish(market, market.venue.take_touched(), self.clock.now_ms)

    def _tell_removed(self, market: ExchangeMarket) -> None:
        for runner in market.newly_removed():
            which = {"selection_id": runner.id, "handicap": runner.hc}
            self.ledger.write("MARKET", self.clock.now_ms, market_id=market.market_id, what="RUNNER_REMOVED", **which)

    def _close(self, market: ExchangeMarket) -> None:
        first, results = market.closed_at is None, results_of(market.definition)
        if not first and results == market.results:
            return  # it is only said again
        market.results = results
        if first:
            market.closed_at = self.clock.now_ms
            self.ledger.write("MARKET", self.clock.now_ms, market_id=market.market_id, what="CLOSED")
        market.venue.closed(None)
        self._submissions.give_up_all(market.market_id)
        if first:
            market.closing += 1
            wait = self.settings.timers.settle * 1000
            self.call_later(wait, functools.partial(self._settle, market, market.closing))
            self._vanish_later(market, wait)
        elif market.settled_at is not None:
            self.call_later(0, functools.partial(self._settle, market, market.closing))

    def _reopen(self, market: ExchangeMarket) -> None:
        market.closing += 1
        market.closed_at = market.settled_at = None
        for bet in market.bets.values():
            bet.settled_ms = bet.result = bet.next_result = None
        self.ledger.write("MARKET", self.clock.now_ms, market_id=market.market_id, what="REOPENED")

    def _settle(self, market: ExchangeMarket, closing: int) -> None:
        if closing != market.closing:
            return  # it was opened again
        now = self.clock.now_ms
        again, market.settled_at = market.settled_at is not None, now
        for bet in market.bets.values():
            if bet.settled_ms is None or bet.result != bet.next_result:
                bet.settled_ms, bet.result = now, bet.next_result
        self.ledger.write("MARKET", now, market_id=market.market_id, what="SETTLED_AGAIN" if again else "SETTLED")
        for listener in self.listeners:
            listener.market_settled(market)

    def _vanish_later(self, market: ExchangeMarket, wait: float = 0.0) -> None:
        wait += self.settings.timers.vanish_ms(self.timeline.factor)
        self.call_later(wait, functools.partial(self._vanish, market, market.closing))

    def _vanish(self, market: ExchangeMarket, closing: int) -> None:
        if self.markets.get(market.market_id) is not market or closing != market.closing:
            return
        del self.markets[market.market_id]
        market.venue.forget()
        self.ledger.write("MARKET", self.clock.now_ms, market_id=market.market_id, what="VANISHED")
        for listener in self.listeners:
            listener.market_gone(market)

    # -- requests ------------------------------------------------------------------------------------------------

    def submit(
        self,
        request: Request,
        answered: Callable[[list[Report]], object],
        strategy_refs: Mapping[str, str] | None = None,
    ) -> None:
        """Hand a request that has passed all checks to the market's matching.

        Args:
            request: to place, cancel or update: a replace is a cancel, and then a placing. Sizes are in the account's
                currency; `strategy` and `username` are both the account's name; `bet_delay` in seconds of exchange
                time; order ids are from `numbers`, and those of bets are `AccountBet.order_id`.
            answered: called with the reports, in order of the engine's answers, once all are there: at once if there
                is no bet delay; with fewer reports than instructions if the market closes first. Their sizes are the
                engine's, in pounds: those of the account are in its `AccountBet`.
            strategy_refs: of placings, by their order ids; None: all have the request's.
        """
        market = self.markets[request.market_id]
        units = RATES[self.accounts[request.username].currency]
        converted = request if units == 1.0 else in_pounds(request, units, self._by_order)
        submission = self._submissions.add(request, converted, units, answered, strategy_refs or {})
        market.venue.send(converted)
        if market.closed_at is not None or market.gone:
            market.venue.expire("MARKET_CLOSED")
            self._submissions.give_up(submission)
        self._run_timers(self.clock.now_ms)
        self._publish_bets(market)
        self._message_ended()

    def interfere(self, bet: AccountBet, act: Callable[[VenueMarket], object]) -> None:
        """Let something happen to a bet that nobody asked for."""
        market = self.markets[bet.market_id]
        act(market.venue)
        self._publish_bets(market)
        self._message_ended()

    def bets_of(self, username: str) -> Iterator[AccountBet]:
        """An account's bets, in order of placing."""
        return (bet for bet in self.bets.values() if bet.username == username)

    def bet_of(self, order_id: str) -> AccountBet | None:
        """The bet that an instruction became; None if it was refused, or is not decided."""
        return self._by_order.get(order_id)

    # -- for the engine (`actors.exchange.Desk`) -----------------------------------------------------------------

    def answer(self, message: Answer) -> None:
        if isinstance(message, OrderFact):
            self._take_fact(message)
        elif isinstance(message, Reply):
            self._submissions.take(message)
        elif isinstance(message, ClearedOrder):
            self._take_result(message)

    def _take_fact(self, fact: OrderFact) -> None:
        assert fact.order_id is not None
        market = self.markets[fact.market_id]
        bet = self._by_order.get(fact.order_id)
        if bet is None:
            if fact.bet_id is None:
                return  # it was refused: nobody hears of it but by the answer
            asked, strategy_ref, username, unit = self._submissions.placed(fact.order_id)
            bet = AccountBet(username, fact.market_id, fact.bet_id, asked, strategy_ref, fact.at, unit)
            self._by_order[fact.order_id] = self.bets[fact.bet_id] = bet
            market.bets[fact.bet_id] = bet
            bet.market_version = market.book.version
        bet.take(fact, market.book.bsp_reconciled, self.handling)
        if bet.lapsed and fact.why is not None:
            bet.lapse_reason = LAPSE_REASONS.get(fact.why)
        self.changed(bet)

    def changed(self, bet: AccountBet) -> None:
        """Tell that a bet has changed."""
        self.bet_sequence += 1
        bet.sequence = self.bet_sequence
        bet.first_sequence = bet.first_sequence or bet.sequence
        self.ledger.write("BET", self.clock.now_ms, **bet.noted())
        for listener in self.listeners:
            listener.bet_changed(bet)

    def _take_result(self, cleared: ClearedOrder) -> None:
        bet = self._by_order.get(cleared.order_id or "")
        if bet is not None:
            bet.take_result(cleared)

    def failed(self, error: Exception, market_id: str, strategy: str | None = None) -> None:
        """An error about one bet: the others go on."""
        logger.error("Market %s: %s", market_id, error, exc_info=error)
        self.ledger.write("ERROR", self.clock.now_ms, market_id=market_id, username=strategy, error=str(error))

    def account(self, venue: str, username: str) -> AccountTerms:
        settings = self.accounts[username]
        minimum = settings.stakes.minimums.min_bsp_liability / RATES[settings.currency]
        return AccountTerms(best_price_execution=settings.best_execution, min_bsp_liability=minimum)

    def take_funds(self, fact: AccountFact) -> None:
        """The money of accounts is kept here, by `betting.bank`: matching knows of none."""

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        self.clock.call_at(at_ms, self._act_at, market_id, function, arguments)

    def _act_at(self, market_id: str, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        market = self.markets.get(market_id)
        if market is None:
            return
        self.handling = True
        try:
            function(*arguments)
        except Exception as error:
            self.failed(error, market_id)
        finally:
            self.handling = False
        self._publish_bets(market)
        self._message_ended()

    def orders(self, market_id: str) -> NoReturn:
        """Only the compatible exchange asks for them, and it does not stand here.

        Raises:
            RunError: always.
        """
        raise RunError(f"market {market_id}: the rehearsal exchange has no orders of strategies")
