"""The rehearsal exchange: a server that speaks Betfair's protocols, fed by recordings or generated markets."""
