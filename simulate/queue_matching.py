"""Matching of resting bets that queue, first in first out, with those of others and with each other: the default.

Source: docs/fidelity.md. Nothing is visited where nothing can match: lines are indexed by runner, side and price, and a
change of the book concerns only those whose prices it names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from ..actors.exchange import Desk
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, RunnerChange
from ..strategies.runner_book import RunnerBook
from .bets import Bet
from .ledger import Ledger
from .line_index import Domain, Interest, Side
from .lines import Line, pence
from .matching import Matching, RunnerKey, published
from .models import Models

_NOTHING: Mapping[float, float] = MappingProxyType({})
_NONE: Mapping[str | None, Domain] = MappingProxyType({})
_NO_LEDGERS: Mapping[str | None, Ledger] = MappingProxyType({})


class QueueMatching(Matching):
    """Bets that wait in lines. Each update tells them what was traded and cancelled, and which offers came."""

    def __init__(
        self, book: MarketBook, desk: Desk, models: Models, bets: Mapping[str, Bet], tell: Callable[[Bet], object]
    ) -> None:
        super().__init__(book, desk, models, bets, tell)
        assert models.queue is not None
        self._model = models.queue
        self._resting: dict[Bet, Line | None] = {}
        self._domains: dict[RunnerKey, dict[str | None, Domain]] = {}
        self._interests: dict[RunnerKey, Interest] = {}
        self._definition: object = None
        self._change: MarketChange | None = None
        self._reconciled = False

    # -- who waits -----------------------------------------------------------------------------------------------

    def add(self, bet: Bet) -> None:
        line = None
        if bet.is_limit and bet.price is not None:
            runner = self._book.runner(*bet.key)
            group = self.group(bet)
            domains = self._domains.get(bet.key)
            if domains is None:
                domains = self._domains[bet.key] = {}
                self._interests[bet.key] = Interest()
            domain = domains.get(group)
            if domain is None:
                domain = domains[group] = Domain()
            side = domain.backs if bet.back else domain.lays
            line = side.lines.get(bet.price)
            if line is None:
                line = side.add_line(bet.price, self._shown(runner, bet.back, bet.price) or 0.0)
                self._interests[bet.key].add(bet.back, bet.price)
            bet.queue_ahead = line.join(bet, bet.queue_ahead)
        self._resting[bet] = line
        if self._book.bsp_reconciled:
            bet.bsp_reconciled = True

    def remove(self, bet: Bet) -> None:
        line = self._resting.pop(bet, None)
        self._awaiting_sp.pop(bet, None)
        if line is None:
            return
        line.leave(bet)
        if not line.bets:
            group = self.group(bet)
            domain = self._domains[bet.key][group]
            domain.side(bet.back).drop(line)
            self._interests[bet.key].drop(bet.back, line.price)
            if not domain.backs.ranks and not domain.lays.ranks:
                del self._domains[bet.key][group]

    def waiting(self) -> list[Bet]:
        return list(self._resting)

    def queue_ahead(self, bet: Bet) -> float:
        line = self._resting.get(bet)
        return bet.queue_ahead if line is None else line.all_ahead(bet)

    def others_ahead(self, bet: Bet) -> float:
        """Size that others have ahead of a bet; 0.0 where it does not wait."""
        line = self._resting.get(bet)
        return 0.0 if line is None else line.ahead(bet)

    # -- an update -----------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring all bets up to date with the book."""
        book = self._book
        definition = book.market_definition
        defined = definition is not self._definition
        self._definition = definition
        if defined:
            self._remove_runners()
        change = book.streaming_update
        if change is not self._change and change is not None:
            self._change = change
            self._follow(change, not defined)
        if defined:
            self._lapse_bets()
        if self._may_clear:
            self._clear_bets()
        if book.bsp_reconciled and not self._reconciled:
            self._reconciled = True
            for bet in self.waiting():
                if bet.takes_sp and not bet.bsp_reconciled:
                    self._reconcile_alone(bet)
                else:
                    bet.bsp_reconciled = True
        elif self._awaiting_sp:
            for bet in list(self._awaiting_sp):
                self._reconcile_alone(bet)
        if defined and self._domains:
            self._cross_all()

    def _volumes(self) -> Mapping[RunnerKey, dict[float, float]]:
        """What was newly traded, by runner and price, both sides."""
        return self._book.newly_traded()

    def _follow(self, change: MarketChange, cross: bool) -> None:
        """Tell the lines of the runners that a change names.

        Args:
            cross: let them meet the offers that it brings, too.
        """
        book = self._book
        volumes = self._volumes() if book.traded or self._domains else {}
        if not self._domains and not self._ledgers:
            return
        if change.img:
            for key in {**self._domains, **self._ledgers}:
                self._runner_changed(key, None, volumes.get(key, _NOTHING), cross)
            return
        interests, ledgers, concerned = self._interests, self._ledgers, set()
        ranked = book.ranked  # a change of such prices does not tell which levels are others than before
        for rc in change.rc:
            key = (rc.id, rc.hc or 0.0)
            interest = interests.get(key)
            if (interest is not None and (key in volumes or interest.meets(rc) or ranked)) or key in ledgers:
                concerned.add(key)
        if not concerned:
            return
        # A message may have several entries for a runner: its trades in one, its offers in others.
        named: dict[RunnerKey, list[RunnerChange]] = {}
        for rc in change.rc:
            key = (rc.id, rc.hc or 0.0)
            if key in concerned:
                named.setdefault(key, []).append(rc)
        for key, entries in named.items():
            self._runner_changed(key, entries, volumes.get(key, _NOTHING), cross)

    def _runner_changed(
        self, key: RunnerKey, entries: Sequence[RunnerChange] | None, volumes: Mapping[float, float], cross: bool
    ) -> None:
        """Prices of a runner have changed: those that `entries` name; None: any."""
        runner = self._book.runner(*key)
        if runner is None:
            return
        to_back = to_lay = None
        if entries is not None and not runner.ex.best:
            to_back, to_lay = _named([rc.atb for rc in entries]), _named([rc.atl for rc in entries])
        for group, domain in list(self._domains.get(key, _NONE).items()):
            for side in (domain.backs, domain.lays):
                own = to_lay if side.back else to_back
                if side.ranks and (volumes or own is None or not side.lines.keys().isdisjoint(own)):
                    self._serve(key, group, runner, side, volumes, own)
        if key in self._ledgers:
            self._publish(key, runner, to_back, to_lay)
        if cross:
            self._cross_runner(key, runner, to_back, to_lay)

    # -- trades and cancellations --------------------------------------------------------------------------------

    def _serve(
        self,
        key: RunnerKey,
        group: str | None,
        runner: RunnerBook,
        side: Side,
        volumes: Mapping[float, float],
        own: Mapping[float, float] | None,
    ) -> None:
        """Let the lines of a side have what was traded, and move up by what was cancelled.

        Args:
            own: prices of its own ladder that may have changed, with their sizes; None: any.
        """
        found: dict[Bet, None] = {}
        traded: dict[float, float] = {}
        # Whoever came took the best prices first: the lowest of backs, the highest of lays.
        for at, volume in sorted(volumes.items(), reverse=not side.back):
            left = self._not_taken(key, group, side.back, at, pence(volume / 2))
            for line in side.before(at):
                if left <= 0:
                    break
                traded[line.price] = math.inf
                left = self._match(found, line.sweep(left), self._price(line, at), left)
            if left > 0 and at in side.lines:
                line = side.lines[at]
                self._match(found, line.serve(left), at, left)
                traded[at] = traded.get(at, 0.0) + left
        lines = side.lines
        if own is None:
            for line in list(lines.values()):
                self._moved(runner, side, line, traded.get(line.price, 0.0))
        else:
            for price in {**traded, **own} if traded else own:
                if price in lines:
                    self._moved(runner, side, lines[price], traded.get(price, 0.0))
        for bet in found:
            self._tell(bet)

    def _match(self, found: dict[Bet, None], shares: Iterable[tuple[Bet, float]], price: float, left: float) -> float:
        """Match bets; what is left of the volume."""
        at = self._book.publish_time_epoch
        for bet, size in shares:
            bet.fill(at, price, size)
            found[bet] = None
            left -= size
        return left

    def _moved(self, runner: RunnerBook, side: Side, line: Line, traded: float) -> None:
        """What waits at a price is less by more than what was traded: that was cancelled."""
        shown = self._shown(runner, side.back, line.price)
        if shown is None:
            return
        waiting = line.shown - traded
        if waiting > shown:
            self._cancel(line, waiting - shown, waiting)
        line.publish(shown)

    def _cancel(self, line: Line, size: float, waiting: float) -> None:
        try:
            line.cancel(size, waiting, self._model.cancelled)
        except Exception as error:
            self._model_failed(error, line)

    def _price(self, line: Line, at: float) -> float:
        """The price at which bets of a line are matched by what comes at a price, which is as good or better."""
        try:
            return self._model.price(line.price, at)
        except Exception as error:
            self._model_failed(error, line)
            return line.price

    def _model_failed(self, error: Exception, line: Line) -> None:
        """An error of a model is one of those who wait; they go on as if nothing had been said."""
        for bet in line.bets:
            self._failed(error, bet)
            return

    def _not_taken(self, key: RunnerKey, group: str | None, back: bool, at: float, volume: float) -> float:
        """A trade at a price, without what met offers that the domain had taken."""
        ledger = self._ledgers.get(key, _NO_LEDGERS).get(group)
        return volume if ledger is None else volume - min(ledger.taken(back).get(at, 0.0), volume)

    # -- offers that come ----------------------------------------------------------------------------------------

    def _cross_all(self) -> None:
        """The market may have opened, or turned in play: offers that came while it was suspended, or that come in the
        same change, are met after what lapses, or takes the starting price."""
        for key in list(self._domains):
            runner = self._book.runner(*key)
            if runner is not None:
                self._cross_runner(key, runner, None, None)

    def _cross_runner(
        self,
        key: RunnerKey,
        runner: RunnerBook,
        to_back: Mapping[float, float] | None,
        to_lay: Mapping[float, float] | None,
    ) -> None:
        """Take what crosses lines of a runner, of the prices that may have changed; None: any."""
        if self._book.status != "OPEN" or runner.status != "ACTIVE":
            return
        for group, domain in list(self._domains.get(key, _NONE).items()):
            for side in (domain.backs, domain.lays):
                offered = to_back if side.back else to_lay
                if side.ranks and (offered is None or offered):
                    self._cross(key, group, runner, side, offered)

    def _cross(
        self, key: RunnerKey, group: str | None, runner: RunnerBook, side: Side, named: Mapping[float, float] | None
    ) -> None:
        """Take offers of the other side that have come to the price of a line, or to a better one."""
        back = side.back
        first = side.ranks[0] if back else -side.ranks[0]
        offers = self._offered(runner, back) if named is None else named
        if not offers or (max(offers) < first if back else min(offers) > first):
            return
        met = [at for at, size in offers.items() if size and (at >= first if back else at <= first)]
        if not met:
            return
        found: dict[Bet, None] = {}
        for at in sorted(met, reverse=back):
            size = self._left(key, group, runner, back, at)
            for line in side.up_to(at):
                if size <= 0:
                    break
                shares = line.first(size)
                for bet, part in shares:
                    self._crossed(bet, at, part)
                size = self._match(found, shares, self._price(line, at), size)
        for bet in found:
            self._tell(bet)

    def _crossed(self, bet: Bet, at: float, size: float) -> None:
        """A resting bet takes an offer that came to its price."""
        self.took(bet, at, size)

    def _left(self, key: RunnerKey, group: str | None, runner: RunnerBook, back: bool, at: float) -> float:
        """What a domain has left of the offers at a price."""
        size = self._offered(runner, back).get(at, 0.0)
        ledger = self._ledgers.get(key, _NO_LEDGERS).get(group)
        return size if ledger is None else round(size - ledger.taken(back).get(at, 0.0), 2)

    def _offered(self, runner: RunnerBook, back: bool) -> Mapping[float, float]:
        """What a back (else a lay) of a domain that took nothing could take."""
        return published(runner, back)

    def _shown(self, runner: RunnerBook | None, back: bool, price: float) -> float | None:
        """What is published at a price where backs (else lays) wait; None where the price is not in view."""
        if runner is None:
            return 0.0
        levels = published(runner, not back)
        size = levels.get(price)
        if size is None and levels and runner.ex.best and not (runner.ex.lay if back else runner.ex.back).levels:
            worst = max(levels) if back else min(levels)
            return None if (price > worst if back else price < worst) else 0.0
        return size or 0.0


def _named(entries: Iterable[Sequence[tuple[float, float]] | None]) -> Mapping[float, float] | None:
    """The prices that a change names, with their sizes; None where the whole ladder was emptied: any may be meant."""
    named: dict[float, float] = {}
    for levels in entries:
        if levels is None:
            continue
        if not levels:
            return None
        named.update(levels)
    return named
