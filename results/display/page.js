"use strict";
// Draws the charts of the page again from their data: by time, zoomed, with what is under the pointer told; and shows
// the orders of a market. Without it the page has the same charts by market number, and all of its tables.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const WIDE = 2000, HIGH = 1000, MINUTE = 60e3, HOUR = 3600e3, DAY = 864e5;
const DASHES = ["", "7 4", "2 4"];
const SIGNS = {cancelled: "✕", lapsed: "┃", voided: "∅", refused: "✖"};
const escaped = value => String(value).replace(/[&<>"']/g, each => `&#${each.charCodeAt(0)};`);
const money = value => value === null || value === undefined ? "" :
  (Math.round(value * 100) / 100 + 0).toLocaleString("en-GB", {minimumFractionDigits: 2, maximumFractionDigits: 2});
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = share => `${(share * 100).toFixed(2)}%`;
const utc = (time, parts) => new Date(time).toLocaleString("en-GB", {timeZone: "UTC", ...parts});
const DATE = {day: "2-digit", month: "short", year: "numeric"}, CLOCK = {hour: "2-digit", minute: "2-digit"};
const element = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
};

// -- axes ------------------------------------------------------------------------------------------------------------

const axis = (low, high, ticks, log) => ({low, high, ticks, share: log ?
  value => Math.log(value / low) / Math.log(high / low) : value => (value - low) / (high - low || 1)});
const stepOf = (span, most) => {
  const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map(each => power * each).find(each => each >= rough * (1 - 1e-9)) || power * 10;
};
const ticksOf = (low, high, step) => {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
  for (let at = Math.ceil(low / step - 1e-9); at <= Math.floor(high / step + 1e-9); at++)
    found.push([at * step, (at * step + 0).toLocaleString("en-GB", {minimumFractionDigits: digits,
                                                                   maximumFractionDigits: digits})]);
  return found;
};
function rounded(low, high) {  // to round numbers around both
  if (low === high) [low, high] = low > 0 ? [0, high] : low < 0 ? [low, 0] : [0, 1];
  const step = stepOf(high - low, 6);
  return axis(Math.floor(low / step) * step, Math.ceil(high / step) * step,
              ticksOf(Math.floor(low / step) * step, Math.ceil(high / step) * step, step));
}
const exact = (low, high, most) => axis(low, high, ticksOf(low, high, stepOf(high - low || 1, most)));
const counted = (low, high) => {
  if (low === high) high = low + 1;
  return axis(low, high, ticksOf(low, high, Math.max(1, Math.ceil(stepOf(high - low, 8)))));
};
const PRICES = [1.01, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000];
function priced(low, high) {
  const made = axis(low, high, [], true);
  for (const price of PRICES)
    if (price >= low && price <= high &&
        (!made.ticks.length || made.share(price) - made.share(made.ticks[made.ticks.length - 1][0]) >= 0.1))
      made.ticks.push([price, String(price)]);
  return made.ticks.length > 1 ? made : axis(low, high, ticksOf(low, high, stepOf(high - low, 5)), true);
}
const STEPS = [1e3, 2e3, 5e3, 1e4, 15e3, 3e4, ...[1, 2, 5, 10, 15, 30].map(n => n * MINUTE),
               ...[1, 2, 3, 6, 12].map(n => n * HOUR), ...[1, 2, 4, 7, 14].map(n => n * DAY)];
function timed(low, high) {
  if (high - low < 1e3) [low, high] = [low - 500, high + 500];
  const span = high - low, long = span >= DAY, ticks = [];
  const step = STEPS.find(each => span / each <= (long && each < DAY ? 4 : 6));
  if (step) {
    const shape = step >= DAY ? {day: "2-digit", month: "short"} : step < MINUTE ? {...CLOCK, second: "2-digit"} :
      long ? {day: "2-digit", month: "short", ...CLOCK} : CLOCK;
    for (let at = Math.ceil(low / step); at * step <= high; at++) ticks.push([at * step, utc(at * step, shape)]);
  } else {
    const months = [1, 2, 3, 6, 12, 24, 60, 120, 240].find(n => span / (n * 30 * DAY) < 6) || 600;
    const begin = new Date(low), first = begin.getUTCFullYear() * 12 + begin.getUTCMonth();
    for (let n = first; Date.UTC(0, n) && n < first + 12e3; n++) {
      const at = Date.UTC(Math.floor(n / 12), n % 12);
      if (at > high) break;
      if (at >= low && n % months === 0) ticks.push([at, utc(at, {month: "short", year: "numeric"})]);
    }
  }
  return axis(low, high, ticks);
}

// -- drawing ---------------------------------------------------------------------------------------------------------

const wide = (x, value) => Math.round(clamp(x.share(value), -1, 2) * WIDE);
const high = (y, value) => Math.round((1 - clamp(y.share(value), -1, 2)) * HIGH);
function paint(plot, x, y, inside, over) {
  const svg = plot.querySelector("svg"), left = Math.max(44, 14 + 6 * Math.max(0, ...y.ticks.map(each => each[1].length)));
  plot.style.paddingLeft = `${left}px`;
  let grid = "", side = "", bottom = "";
  for (const [value, label] of y.ticks) {
    const at = percent(1 - y.share(value));
    grid += `<line x1="0" x2="100%" y1="${at}" y2="${at}"/>`;
    side += `<text x="-8" y="${at}" text-anchor="end">${escaped(label)}</text>`;
  }
  let last = -1;
  const room = 90 / (plot.clientWidth || 600);
  for (const [value, label] of x.ticks) {
    const share = x.share(value), at = percent(share);
    grid += `<line x1="${at}" x2="${at}" y1="0" y2="100%"/>`;
    if (last >= 0 && share - last < room * Math.min(1, label.length / 12)) continue;
    last = share;
    const anchor = share < 0.1 ? "start" : share > 0.9 ? "end" : "middle";
    bottom += `<text x="${at}" y="100%" dy="8" text-anchor="${anchor}">${escaped(label)}</text>`;
  }
  const told = [...svg.children].filter(each => ["title", "desc"].includes(each.localName));
  svg.innerHTML = `<g class="grid">${grid}</g><g class="y">${side}</g><g class="x">${bottom}</g>` +
    `<svg viewBox="0 0 ${WIDE} ${HIGH}" preserveAspectRatio="none" width="100%" height="100%">${inside}</svg>${over || ""}`;
  svg.prepend(...told);
  plot.axes = {x, y};
}
const zero = y => y.low < 0 && y.high > 0 ?
  `<line class="zero" x1="0" x2="${WIDE}" y1="${high(y, 0)}" y2="${high(y, 0)}"/>` : "";

// A chart: what `range` of x it has in all, how a view of it is drawn, and what is under the pointer.
class Chart {
  constructor(figure, spec) {
    this.figure = figure; this.spec = spec; this.view = null;
    this.plots = [...figure.querySelectorAll(".plot")];
    this.tools = element("div", "tools");
    this.plots[0] && figure.insertBefore(this.tools, figure.querySelector("figcaption").nextSibling);
    this.whole = this.button("whole", () => this.zoom(null));
    this.whole.disabled = true;
    for (const plot of this.plots) this.listen(plot);
  }
  button(text, action) {
    const made = element("button", "", text);
    made.type = "button";
    made.addEventListener("click", action);
    this.tools.append(made);
    return made;
  }
  zoom(view) { this.view = view; this.whole.disabled = view === null; this.draw(); }
  listen(plot) {
    const tip = element("div", "tip"), cross = element("div", "cross"), picked = element("div", "picked");
    for (const each of [tip, cross, picked]) { each.hidden = true; plot.append(each); }
    const at = event => {
      const box = plot.querySelector("svg").getBoundingClientRect(), outer = plot.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      return {share: clamp(x / box.width, 0, 1), up: clamp(1 - y / box.height, 0, 1), x: x + box.left - outer.left,
              y: y + box.top - outer.top, left: box.left - outer.left, top: box.top - outer.top, box, outer};
    };
    let begun = null;
    plot.addEventListener("pointerdown", event => {
      if (event.pointerType !== "touch") { begun = at(event); event.preventDefault(); }
    });
    plot.addEventListener("pointermove", event => {
      const now = at(event);
      if (begun && Math.abs(now.x - begun.x) > 5) {
        picked.hidden = false;
        picked.style.left = `${now.left + Math.min(now.share, begun.share) * now.box.width}px`;
        picked.style.width = `${Math.abs(now.share - begun.share) * now.box.width}px`;
        const both = this.spec.kind === "dots";
        picked.style.top = `${both ? now.top + (1 - Math.max(now.up, begun.up)) * now.box.height : now.top}px`;
        picked.style.height = `${both ? Math.abs(now.up - begun.up) * now.box.height : now.box.height}px`;
      }
      const found = this.near(plot, now);
      tip.hidden = cross.hidden = !found;
      if (!found) return;
      tip.textContent = found.text;
      cross.style.left = `${now.left + found.share * now.box.width}px`;
      const room = now.outer.width - tip.offsetWidth - 8;
      tip.style.left = `${clamp(now.x + 14 > room ? now.x - tip.offsetWidth - 14 : now.x + 14, 0, Math.max(0, room))}px`;
      tip.style.top = `${clamp(now.y - tip.offsetHeight - 8, 0, now.outer.height)}px`;
    });
    const leave = () => { tip.hidden = cross.hidden = picked.hidden = true; begun = null; };
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("pointerup", event => {
      const now = at(event), from = begun;
      picked.hidden = true; begun = null;
      if (from && Math.abs(now.x - from.x) > 5) { this.pick(plot, from, now); leave(); return; }
      const found = this.near(plot, now);
      if (found && found.market !== undefined && found.market !== null && event.pointerType !== "touch")
        show(found.market, true);
    });
    plot.addEventListener("dblclick", () => this.zoom(null));
  }
  pick(plot, one, other) {
    const {x} = plot.axes, value = share => x.low + share * (x.high - x.low);
    this.zoom([value(Math.min(one.share, other.share)), value(Math.max(one.share, other.share))]);
  }
}

class Lines extends Chart {
  constructor(figure, spec) {
    super(figure, spec);
    this.series = data.curves[spec.of];
    this.by = "n";
    if (this.series.some(each => each.t.some(time => time !== null))) {
      const kinds = [["n", "by market number"], ["t", "by time"]];
      this.kinds = kinds.map(([kind, text]) => [kind, this.button(text, () => charts.forEach(each => each.put && each.put(kind)))]);
    }
    this.put("n");
  }
  put(kind) {
    this.by = kind;
    for (const [each, button] of this.kinds || []) button.setAttribute("aria-pressed", each === kind);
    this.zoom(null);
  }
  at(series, place) { return this.by === "n" ? series.n[place] : (series.t[place] || 0) * 1000; }
  draw() {
    const ends = this.series.flatMap(each => [this.at(each, 0), this.at(each, each.n.length - 1)]);
    const [low, high_] = this.view || [Math.min(...ends), Math.max(...ends)];
    const x = this.by === "t" ? timed(low, high_) : this.view ? exact(low, high_, 8) : counted(low, high_);
    if (this.by === "n") x.ticks = x.ticks.filter(each => Number.isInteger(each[0]));
    const values = this.view ? [] : [0];
    for (const each of this.series) {
      let held = null;
      each[this.spec.value].forEach((value, place) => {
        const here = this.at(each, place);
        if (here < x.low) held = value;
        else if (here <= x.high) { if (held !== null) values.push(held); held = null; values.push(value); }
      });
      if (held !== null && this.at(each, each.n.length - 1) >= x.low) values.push(held);
    }
    const y = rounded(Math.min(...values, values.length ? Infinity : 0), Math.max(...values, values.length ? -Infinity : 1));
    const paths = this.series.map((each, number) => {
      let path = "";
      each[this.spec.value].forEach((value, place) => {
        const [right, up] = [wide(x, this.at(each, place)), high(y, value)];
        path += place ? `H${right}V${up}` : `M${right} ${up}`;
      });
      const dash = DASHES[Math.floor(number / 4) % 3];
      return `<path class="line s${number}"${dash ? ` stroke-dasharray="${dash}"` : ""} d="${path}"/>`;
    });
    paint(this.plots[0], x, y, zero(y) + paths.join(""));
  }
  near(plot, now) {
    const {x, y} = plot.axes, wanted = x.low + now.share * (x.high - x.low);
    let best = null;
    for (const series of this.series) {
      let low = 0, top = series.n.length - 1;
      if (!series.n.length) continue;
      while (low < top) {
        const middle = (low + top + 1) >> 1;
        if (this.at(series, middle) <= wanted) low = middle; else top = middle - 1;
      }
      for (const place of [low, Math.min(low + 1, series.n.length - 1)]) {
        const here = this.at(series, place), value = series[this.spec.value][place];
        if (here < x.low || here > x.high) continue;
        const far = Math.abs(x.share(here) - now.share) * 2 + Math.abs(y.share(value) - now.up) * 0.5;
        if (!best || far < best.far) best = {far, series, place, here, value};
      }
    }
    if (!best) return null;
    const {series, place} = best, market = series.m[place];
    const lines = [`${series.name}: ${money(best.value)}`];
    if (market !== null && market !== undefined) lines.push(`${money(series.gain[place])} in ${title(market)}`, `market number ${series.n[place].toLocaleString("en-GB")}`);
    return {share: x.share(best.here), text: lines.join("\n"), market};
  }
}

class Dots extends Chart {
  constructor(figure, spec) { super(figure, spec); this.draw(); }
  draw() {
    const {series, log} = this.spec, points = series.flatMap(each => each.points);
    let x, y;
    if (this.view) [x, y] = this.view.map(([low, high_]) => log ? priced(low, high_) : exact(low, high_, 6));
    else if (log || this.spec.even) {
      const every = points.flat(), low = Math.min(...every), high_ = Math.max(...every);
      x = y = log ? priced(low * 0.97, high_ * 1.03) : rounded(Math.min(0, low), Math.max(0, high_));
    } else [x, y] = [0, 1].map(at => rounded(Math.min(0, ...points.map(each => each[at])), Math.max(0, ...points.map(each => each[at]))));
    let inside = "";
    if (this.spec.even) {
      const ends = [Math.max(x.low, y.low), Math.min(x.high, y.high)];
      if (ends[0] < ends[1]) inside += `<line class="even" x1="${wide(x, ends[0])}" y1="${high(y, ends[0])}" x2="${wide(x, ends[1])}" y2="${high(y, ends[1])}"/>`;
    }
    series.forEach((each, number) => {
      const path = each.points.filter(([a, b]) => a >= x.low && a <= x.high && b >= y.low && b <= y.high)
        .map(([a, b]) => `M${wide(x, a)} ${high(y, b)}h1`).join("");
      inside += `<path class="dots s${number}" stroke-linecap="${number % 2 ? "square" : "round"}" d="${path}"/>`;
    });
    paint(this.plots[0], x, y, inside);
  }
  pick(plot, one, other) {
    const value = (made, share) => this.spec.log ? made.low * (made.high / made.low) ** share : made.low + share * (made.high - made.low);
    const {x, y} = plot.axes;
    const ends = (made, a, b) => [value(made, Math.min(a, b)), value(made, Math.max(a, b))];
    if (Math.abs(one.up - other.up) > 0.01) this.zoom([ends(x, one.share, other.share), ends(y, one.up, other.up)]);
  }
  near(plot, now) {
    const {x, y} = plot.axes;
    let best = null;
    for (const series of this.spec.series)
      series.points.forEach((point, place) => {
        const far = Math.hypot((x.share(point[0]) - now.share) * now.box.width, (y.share(point[1]) - now.up) * now.box.height);
        if (far < 24 && (!best || far < best.far)) best = {far, series, point, place};
      });
    if (!best) return null;
    const names = this.spec.names || ["starting price", "matched at"];
    const extra = best.series.texts ? `\n${best.series.texts[best.place]}` : "";
    return {share: x.share(best.point[0]), text: `${best.series.name}${extra}\n${names[1]} ${best.point[1]}\n${names[0]} ${best.point[0]}`};
  }
}

class Market extends Chart {
  constructor(figure, spec) {
    super(figure, spec);
    this.button("all of the market", () => this.zoom([0, spec.end]));
    this.whole.textContent = "around the orders";
    this.draw();
  }
  draw() { this.plots.forEach(plot => this.panel(plot, this.spec.panels[Number(plot.dataset.panel)])); }
  panel(plot, panel) {
    const {spec} = this, [begin, end] = this.view || spec.focus, x = timed(spec.zero + begin, spec.zero + end);
    const at = time => spec.zero + time, seen = (time, until) => until >= begin && time <= end;
    const traded = [], beside = [];
    for (const [kind, [times, prices]] of Object.entries(panel.lines))
      prices.forEach((price, place) => {
        if (price !== null && seen(times[place], place + 1 < times.length ? times[place + 1] : spec.end)) (kind === "traded" ? traded : beside).push(price);
      });
    for (const [kind, side, time, price] of panel.marks) if (seen(time, time)) traded.push(price);
    let found = traded.length ? traded : beside;
    if (!found.length) found = [1, 2];
    let low = Math.min(...found), top = Math.max(...found);
    const near = beside.filter(price => price >= low / 1.2 && price <= top * 1.2);
    low = Math.min(low, ...near); top = Math.max(top, ...near);
    const room = (top - low) * 0.08 || 0.05;
    const y = top / low > 3 ? priced(low / 1.1, top * 1.1) : exact(low - room, top + room, 5);
    const left = time => wide(x, clamp(at(time), x.low, x.high));
    let inside = "", over = "";
    for (const [kind, from, until] of spec.spans)
      if (seen(from, until)) inside += `<rect class="${kind}" x="${left(from)}" y="0" width="${Math.max(1, left(until) - left(from))}" height="${HIGH}"/>`;
    if (spec.start !== null && spec.start >= begin && spec.start <= end)
      inside += `<line class="start" x1="${left(spec.start)}" x2="${left(spec.start)}" y1="0" y2="${HIGH}"/>`;
    for (const kind of ["lay", "back", "traded"]) {
      const [times, prices] = panel.lines[kind];
      let path = "", drawn = false;
      times.forEach((time, place) => {
        const until = place + 1 < times.length ? times[place + 1] : spec.end;
        if (prices[place] === null || !seen(time, until)) { drawn = false; return; }
        path += `${drawn ? "V" : `M${left(time)} `}${high(y, prices[place])}H${left(until)}`;
        drawn = true;
      });
      inside += `<path class="${kind}" d="${path}"/>`;
    }
    for (const [side, price, from, until] of panel.orders)
      if (seen(from, until)) inside += `<path class="order ${side}" d="M${left(from)} ${high(y, price)}H${left(until)}"/>`;
    for (const [kind, side, time, price] of panel.marks) {
      if (!seen(time, time)) continue;
      if (kind === "fill") { inside += `<path class="fill ${side}" d="M${left(time)} ${high(y, price)}h1"/>`; continue; }
      const sign = SIGNS[kind] || (side === "BACK" ? "▲" : "▼");
      over += `<text class="mark ${side} ${kind}" x="${percent(x.share(at(time)))}" y="${percent(1 - clamp(y.share(price), 0, 1))}">${sign}</text>`;
    }
    paint(plot, x, y, inside, over);
  }
  near(plot, now) {
    const {spec} = this, {x, y} = plot.axes, panel = spec.panels[Number(plot.dataset.panel)];
    const clock = time => utc(spec.zero + time, {...CLOCK, second: "2-digit", fractionalSecondDigits: 3});
    const near = [];
    for (const mark of panel.marks) {
      const share = x.share(spec.zero + mark[2]);
      const far = Math.hypot((share - now.share) * now.box.width, (y.share(mark[3]) - now.up) * now.box.height);
      if (far < 16) near.push({far, mark, share});
    }
    if (near.length) {  // marks that lie on each other are told together
      near.sort((one, other) => one.far - other.far);
      const lines = new Set();
      for (const {far, mark} of near.slice(0, 6))
        if (far <= near[0].far + 4) for (const line of [...mark[4], `${mark[0] === "fill" ? "matched" : mark[0]} at ${clock(mark[2])}`]) lines.add(line);
      return {share: near[0].share, text: [...lines].join("\n")};
    }
    const time = x.low + now.share * (x.high - x.low) - spec.zero;
    const held = kind => {
      const [times, prices] = panel.lines[kind];
      let low = 0, top = times.length;
      while (low < top) { const middle = (low + top) >> 1; if (times[middle] <= time) low = middle + 1; else top = middle; }
      return low && prices[low - 1] !== null ? prices[low - 1] : "–";
    };
    return {share: now.share, text: `${clock(Math.round(time))} UTC\nlast traded ${held("traded")}\nbest to back ${held("back")}, to lay ${held("lay")}`};
  }
}

const KINDS = {lines: Lines, dots: Dots, market: Market}, charts = [];

// -- the orders of a market --------------------------------------------------------------------------------------------

const markets = data.markets || [];
function title(place) {
  const [id, kind, venue, start] = markets[place] || [];
  return [id, kind, venue, start === null || start === undefined ? "" : `${utc(start * 1000, DATE)} ${utc(start * 1000, CLOCK)}`].filter(Boolean).join(" · ");
}
function show(place, jump) {
  const box = document.getElementById("orders-shown");
  if (!box || !markets[place]) return;
  box.replaceChildren(element("h3", "", title(place)));
  const [id] = markets[place], rows = (data.orders || {})[place], chart = (data.charted || {})[id];
  if (chart) {
    const line = element("p"), link = element("a", "", "Its prices, with the orders in them");
    link.href = `#${chart}`;
    line.append(link);
    box.append(line);
  }
  if (rows === undefined)
    box.append(element("p", "soft", `The orders of this market are not in the page, which has those of ${Object.keys(data.orders || {}).length.toLocaleString("en-GB")} markets. To have them, and a chart: headrace report ${data.folder || "RESULT"} --market ${id}`));
  else {
    const table = element("table", "rows"), head = element("tr");
    for (const [name, kind] of data.columns) head.append(element("th", kind.split(" ")[0], name));
    const thead = element("thead"), body = element("tbody"), wide_ = element("div", "wide");
    thead.append(head);
    for (const row of rows) {
      const line = element("tr");
      row.forEach((value, at) => {
        const [name, kind, words] = data.columns[at], cell = element("td", kind);
        cell.dataset.name = name;
        cell.append(element("span", "", value === null ? "" : words ? words[value] : kind.startsWith("n") ? money(value) : String(value)));
        line.append(cell);
      });
      body.append(line);
    }
    table.append(thead, body); wide_.append(table); box.append(wide_);
    const all = (data.cut || {})[place];
    if (all) box.append(element("p", "soft", `${rows.length.toLocaleString("en-GB")} of ${all.toLocaleString("en-GB")} orders: the first.`));
  }
  if (jump) document.getElementById("orders").scrollIntoView({behavior: "auto", block: "start"});
}

document.body.classList.add("js");
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const spec = (data.charts || {})[figure.dataset.chart];
  if (spec) charts.push(new KINDS[spec.kind](figure, spec));
}
document.addEventListener("click", event => {
  if (event.target.closest("a,summary,button,input")) return;
  const row = event.target.closest("tr");
  if (!row || !row.closest("table.rows") || !row.closest("tbody")) return;
  row.classList.toggle("open");
  if (row.dataset.market !== undefined) {
    const narrow = window.matchMedia("(max-width:760px)").matches;
    show(Number(row.dataset.market), !narrow || row.classList.contains("open"));
  }
});
const search = document.getElementById("find-market");
if (search) {
  const find = () => {
    const wanted = search.value.trim(), place = markets.findIndex(each => each[0] === wanted);
    if (place >= 0) show(place, false);
    else if (wanted) document.getElementById("orders-shown").replaceChildren(element("p", "soft", `No market ${wanted} in the page.`));
  };
  search.addEventListener("change", find);
  search.addEventListener("keydown", event => { if (event.key === "Enter") find(); });
}
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => charts.forEach(each => each.draw()), 150);
});
})();
