const TABLES = [
  ["Markets", "markets", [["Market", "market_id"], ["Name", "name"], ["Status", "status"], ["In play", "in_play", value => value ? "yes" : ""],
    ["Start in", "seconds_to_start", away], ["Runners", "runners", whole], ["Changes", "changes", whole], ["Traded", "volume", money],
    ["Bets", "bets", whole], ["Can match", "live", whole], ["Matched here", "matched", money]]],
  ["Accounts", "accounts", [["Account", "username"], ["Currency", "currency"], ["Available", "available", money], ["Exposure", "exposure", money],
    ["Bets", "bets", whole], ["Can match", "live", whole], ["Matched", "matched", money], ["Settled profit", "profit", money]]],
  ["Bets", "bets", [["Placed", "placed", clock], ["Bet", "bet_id"], ["Account", "username"], ["Market", "market_id"], ["Selection", "selection_id"],
    ["Side", "side"], ["Price", "price", value => value || "SP"], ["Size", "size", money], ["Status", "status"], ["Matched", "matched", money],
    ["At", "average", money], ["Remaining", "remaining", money], ["Cancelled", "cancelled", some], ["Lapsed", "lapsed", some], ["Voided", "voided", some],
    ["Profit", "profit", money]]],
  ["Refused", "refusals", [["At", "at", clock], ["Account", "username"], ["Call", "operation"], ["Code", "code"], ["Why", "why"]]],
  ["Connections", "connections", [["Connection", "connection_id"], ["From", "peer"], ["Account", "username"], ["Subscriptions", "subscriptions"],
    ["Messages", "messages", whole], ["Unsent bytes", "backlog", whole], ["Since", "since", clock]]],
  ["Faults", "faults", [["Fault", "kind"], ["What it does", "does"], ["Happened", "done", whole], ["Still to come", "left", whole]]],
];
layTables(TABLES);
follow("rehearsal/events", state => {
  put(document.getElementById("time"), new Date(state.now).toISOString().replace("T", " ").slice(0, 19) + " UTC · speed " + state.speed + (state.behind > 1 ? " · " + state.behind.toFixed(1) + " s behind" : ""), "soft");
  showTiles(state.tiles);
  for (const table of TABLES) showTable(table, state[table[1]], state.counts[table[1]] ?? state[table[1]].length);
});
