const token = new URLSearchParams(location.search).get("token") ?? "";
const ms = value => value == null ? "" : value.toLocaleString("en-GB", {maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0});
const long = value => value == null ? "" : value < 60000 ? (value / 1000).toFixed(1) + " s" : Math.floor(value / 60000) + " min";
const yes = value => value ? "yes" : "";
const held = seconds => seconds == null ? "" : long(seconds * 1000);
const odds = value => value || "SP";
const number = value => String(value ?? "");  // a name made of digits
const members = hosted => whole(Array.isArray(hosted) ? hosted.length : hosted);
const amount = (value, row) => (row?.format ?? money)(value);
for (const each of [ms, amount, long, held, odds, number, members]) NUMBERS.add(each);
const wrong = value => value ? "bad" : "";
const TABLES = [
  ["Strategies", "strategies", [["Strategy", "strategy"], ["Markets", "markets", whole], ["Orders", "orders", whole], ["Live", "live", whole],
    ["Matched", "matched", money], ["Exposure", "exposure", money], ["Profit", "profit", money]]],
  ["Markets", "markets", [["Market", "market_id"], ["Name", "title"], ["Status", "status"], ["In play", "inplay", yes], ["Strategy", "strategy"],
    ["Orders", "orders", whole], ["Live", "live", whole], ["Matched", "matched", money], ["Exposure", "exposure", money], ["Profit", "profit", money],
    ["Changes", "changes", whole], ["Last change", "pt", clock], ["Host", "host"]]],
  ["Live orders", "orders", [["Order", "order_id"], ["Bet", "bet_id"], ["Market", "market_id"], ["Strategy", "strategy"], ["Selection", "selection_id", number],
    ["Side", "side"], ["Price", "price", odds], ["Size", "size", money], ["Matched", "matched", money], ["Remaining", "remaining", money],
    ["Status", "status"], ["In doubt", "in_doubt", yes, wrong], ["Age", "age_ms", long]]],
  ["Accounts", "clients", [["Account", "username"], ["Venue", "venue"], ["Kind", "paper", value => value ? "paper" : "live"], ["Session", "session"],
    ["Funds", "funds", money], ["Exposure", "exposure", money], ["Currency", "currency"], ["Known for", "funds_age_s", held],
    ["Transactions this hour", "transactions_hour", whole]]],
  ["Latency, milliseconds", "latency", [["What", "what"], ["Count", "count", whole], ["Median", "median", ms], ["99 %", "p99", ms], ["Worst", "worst", ms]]],
  ["Streams", "streams", [["Stream", "stream"], ["State", "state", undefined, value => value === "SUBSCRIBED" ? "" : "bad"], ["What is wrong", "error"],
    ["Markets", "markets", whole], ["Left out", "left_out", whole, wrong], ["Messages", "messages", whole], ["Changes", "changes", whole],
    ["Lag ms", "lag_ms", ms], ["Silent", "silent_ms", long], ["Reconnects", "reconnects", whole]]],
  ["Hosts", "hosts", [["Host", "name"], ["Markets", "markets", members], ["Waiting", "depth", whole],
    ["Folded unseen", "behind", whole], ["Lost", "lost", whole, wrong], ["Busy ms", "busy_ms", ms], ["Stalled", "stalled", yes, wrong], ["Process", "pid", number]]],
  ["Limits", "risk", [["What", "name"], ["At most", "limit", amount], ["Now", "now", amount]]],
  ["Last events", "events", [["At", "at", clock], ["Kind", "kind"], ["What", "text"]]],
];
const LATENCIES = {tick_ms: "Change read to the end of its callbacks", order_ms: "Order asked to its answer", stream_lag_ms: "Published to read"};
const words = name => name.replaceAll("_", " ");
const live = () => state?.live_orders ?? (state?.orders ?? []).length;
const sum = (rows, field) => rows.reduce((total, row) => total + (row[field] ?? 0), 0);
layTables(TABLES);
let state = null;

function strategiesOf(rows) {
  const found = new Map();
  for (const row of rows) {
    const name = row.strategy ?? "", known = found.get(name) ?? {strategy: name, markets: 0, orders: 0, live: 0, matched: 0, exposure: 0, profit: 0};
    known.markets += 1;
    for (const field of ["orders", "live", "matched", "exposure", "profit"]) known[field] += row[field] ?? 0;
    found.set(name, known);
  }
  return [...found.values()];
}
function risksOf(risk) {
  if (!risk) return [];
  const found = [];
  for (const [currency, now] of Object.entries(risk.by_currency ?? {})) {
    found.push({name: "exposure, " + currency, limit: risk.max_exposure, now: now.exposure});
    found.push({name: "loss since 00:00 " + (risk.risk_timezone ?? "UTC") + ", " + currency, limit: risk.max_daily_loss, now: now.loss_today});
    found.push({name: "settled today, " + currency, now: now.settled_today});
  }
  found.push({name: "orders in the last second", limit: risk.max_orders_per_second, now: risk.orders_last_second, format: whole});
  return found;
}
function noticesOf(state) {
  const found = [];
  if (state.stopping) found.push("Stopping: " + state.stopping);
  else if (state.placing_allowed === false) found.push("No orders are placed now");
  if (state.cancelling && !state.cancelling.done) found.push("Orders are being cancelled: " + (Array.isArray(state.cancelling.open) ? state.cancelling.open.length : state.cancelling.open) + " still rest at the exchange");
  const left = state.cancelling?.left ?? [];
  if (left.length) found.push("Orders that cannot be cancelled: " + left.map(bet => "bet " + bet.bet_id + " of market " + bet.market_id + (bet.why ? ", " + bet.why : "")).join("; "));
  const doubtful = (state.orders ?? []).filter(order => order.in_doubt).length;
  if (doubtful) found.push(doubtful + (doubtful === 1 ? " order is" : " orders are") + " in doubt: it is not known whether the exchange has " + (doubtful === 1 ? "it" : "them"));
  for (const each of state.held ?? []) found.push("Nothing that adds to the risk is placed in market " + each.market_id + ": " + each.why);
  for (const host of state.hosts ?? []) if (host.stalled) found.push("Host " + host.name + " is stalled: a callback has been running for " + long(host.busy_ms) + (host.busy_in ? ", " + host.busy_in : ""));
  for (const each of state.watchdogs ?? []) if (each.kind !== "STALLED") found.push(each.text[0].toUpperCase() + each.text.slice(1));
  for (const stream of state.streams ?? []) if (stream.state === "DOWN" || stream.state === "REFUSED") found.push("Stream " + stream.stream + " is " + stream.state.toLowerCase() + (stream.error ? ": " + stream.error : ""));
  return found;
}
function show() {
  const markets = (state.markets ?? []).map(row => ({...row, title: [row.event, row.name].filter(Boolean).join(" · ")}));
  const active = row => row.live > 0 ? 0 : row.orders > 0 ? 1 : 2;
  const found = {
    ...state, strategies: strategiesOf(markets), markets: markets.map((row, at) => [row, at]).sort(([a, i], [b, j]) => active(a) - active(b) || i - j).map(([row]) => row),
    latency: Object.entries(state.latency ?? {}).map(([name, value]) => ({what: LATENCIES[name] ?? words(name), ...value})),
    risk: risksOf(state.risk), events: [...(state.events ?? [])].reverse(),
  };
  put(document.getElementById("time"), [state.reference && "reference " + state.reference, new Date(state.at).toISOString().replace("T", " ").slice(0, 19) + " UTC"].filter(Boolean).join(" · "), "soft");
  const {tick_ms: tick = {}, order_ms: order = {}} = state.latency ?? {}, one = (state.clients ?? []).length < 2;
  showTiles([
    ["placing", state.placing_allowed ? "allowed" : "halted", state.placing_allowed ? "good" : "bad"],
    ["markets", new Set(markets.map(row => row.market_id)).size],
    ["live orders", live()],
    ...(one ? [["matched", money(sum(markets, "matched"))], ["exposure", money(sum(markets, "exposure"))],
      ["profit", money(sum(markets, "profit")), sum(markets, "profit") < 0 ? "bad" : "good"]] : []),
    ["change to callbacks" + (tick.p99 == null ? "" : " · 99 % " + ms(tick.p99)), tick.median == null ? "none" : ms(tick.median) + " ms"],
    ["order to answer" + (order.p99 == null ? "" : " · 99 % " + ms(order.p99)), order.median == null ? "none" : ms(order.median) + " ms"],
  ]);
  const wanted = document.getElementById("find").value.trim().toLowerCase();
  for (const table of TABLES) {
    const all = found[table[1]] ?? [];
    const rows = wanted && !["latency", "risk"].includes(table[1]) ? all.filter(row => Object.values(row).some(value => String(value ?? "").toLowerCase().includes(wanted))) : all;
    showTable(table, rows.slice(0, ROWS), rows.length);
  }
  const notices = noticesOf(state), list = document.getElementById("notices");
  list.hidden = !notices.length;
  fill(list, notices.length, () => element("li"));
  notices.forEach((text, at) => put(list.children[at], text));
  const stop = document.getElementById("stop");
  stop.disabled = Boolean(state.stopping);
  put(stop, state.stopping ? "Stopping" : "Stop trading", "danger");
}

const since = follow("events?token=" + encodeURIComponent(token), told => { state = told; show(); });
setInterval(() => {
  const seconds = since();
  if (seconds > 3) put(document.getElementById("link"), "no news for " + Math.round(seconds) + " s", "lost");
}, 1000);
document.getElementById("find").addEventListener("input", () => state && show());

const dialog = document.getElementById("confirm"), refused = document.getElementById("refused");
document.getElementById("stop").addEventListener("click", () => {
  const orders = live();
  put(document.getElementById("what"), "Nothing more is placed. " + (state?.on_stop === "leave" ? "Orders that rest at the exchange are left there" : "This system's orders at the exchange are cancelled") +
    " (" + orders + (orders === 1 ? " is" : " are") + " live now), and it ends. What is matched stays matched.");
  refused.hidden = true;
  document.getElementById("really").disabled = false;
  dialog.showModal();
});
document.getElementById("keep").addEventListener("click", () => dialog.close());
document.getElementById("really").addEventListener("click", async event => {
  event.target.disabled = true;
  try {
    const answer = await fetch("stop", {method: "POST", headers: {Authorization: "Bearer " + token}});
    if (!answer.ok) throw new Error(await answer.text());
    dialog.close();
  } catch (error) {
    put(refused, "It was not stopped: " + error.message + ". Stop it with the command: headrace live stop", "bad");
    refused.hidden = false;
    event.target.disabled = false;
  }
});
