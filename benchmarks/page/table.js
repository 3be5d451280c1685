// The standings as a table: rows once a filter, then only their order changes.

const AT_ONCE = 40;
let rows = [];
let pending = [];
let sorted = { key: "rank", up: true };

const standing = () => DATA.standings[state.budget][state.task] || [];
const cells = (task = state.task) => DATA.cells[task] || {};
const value = (name, entry, task) => ((cells(task)[entry] || {}).f || {})[name] || [null];
const kindOf = (entry) => (DATA.entries[entry] || { kind: "simple" }).kind;

function columns() {
  const shown = DATA.columns.filter((name) => !(state.task === "" && DATA.figures[name].apart));
  const more = state.figure && !shown.includes(state.figure) ? [state.figure] : [];
  return [
    { key: "rank", title: "Rank", number: true, up: true, at: (row) => row.rank, show: (row) => (row.rank ? [el("span", { class: "rank" }, String(row.rank)), row.last > row.rank ? el("span", { class: "range" }, `to ${row.last}`) : null] : "–") },
    { key: "name", title: "Entry", up: true, at: (row) => row.entry },
    { key: "score", title: "Score", number: true, up: false, at: (row) => row.score && row.score[0], show: score,
      hint: "Return, 0 the frozen prior and 1 the exact optimum; 95 % interval" },
    ...[...shown, ...more].map((name) => ({
      key: name, title: label(name), number: true, up: DATA.figures[name].good < 0, hint: DATA.figures[name].hint,
      at: (row) => value(name, row.entry)[0], show: (row) => measured(name, value(name, row.entry)),
    })),
    { key: "samples", title: "Samples", hint: "Melodies that are drawn for one that is graded", number: true, up: true, at: (row) => (cells()[row.entry] || {}).samples, show: (row) => number((cells()[row.entry] || {}).samples, 0) },
    { key: "seeds", title: "Seeds", number: true, up: false, at: (row) => (cells()[row.entry] || {}).seeds, show: (row) => number((cells()[row.entry] || {}).seeds, 0) },
    { key: "why", title: "Notes", up: true, at: (row) => row.why || row.search || null, show: notes },
  ];
}
function measured(name, found) {
  const range = span(name, found);
  return [figure(name, found[0]), range ? el("span", { class: "range" }, range) : null];
}
function score(row) {
  const found = row.score || [null];
  if (!known(found[0])) return "–";
  const at = (v) => Math.max(5, Math.min(87, 5 + 82 * v)), [v, low, high] = found;
  const micro = draw("svg", { class: "micro", viewBox: "0 0 92 10", "aria-hidden": "true" }, draw("line", { class: "axis", x1: 5, x2: 87, y1: 5, y2: 5 }));
  if (known(low)) micro.append(draw("line", { class: "span", x1: at(low), x2: at(high), y1: 5, y2: 5 }));
  micro.append(draw("circle", { class: "dot", cx: at(v), cy: 5, r: 3.2 }));
  const range = known(low) ? el("span", { class: "range" }, `${number(low, 3)} to ${number(high, 3)}`) : null;
  return [number(v, 3), range, micro];
}
const mark = (row) => (row.search === "below" ? el("span", { class: "mark" }, "below best-of-N") : row.search === "above" ? el("span", { class: "mark good" }, "above best-of-N") : null);
function notes(row) {
  return [mark(row), row.why ? el("span", { class: "why" }, row.why) : null];
}
function cellsOf(row, shown) {
  return shown.map((column) => {
    if (column.key !== "name") return el("td", { class: column.number ? "n" : null }, column.show(row) ?? "–");
    const kind = kindOf(row.entry);
    return el("th", { class: "name", scope: "row" },
      el("button", { type: "button", "data-entry": row.entry, onclick: () => open_(row.entry) }, row.entry.split("_").flatMap((part, i) => (i ? ["_", el("wbr"), part] : [part]))),
      el("span", { class: "kind" }, sign(kind), DATA.kinds[kind]));
  });
}
function build() {
  const shown = columns(), table = byId("table"), wanted = state.find.toLowerCase();
  table.tHead.replaceChildren(el("tr", {}, shown.map((column) =>
    el("th", { scope: "col", class: [column.number ? "n" : "", column.key === "name" ? "name" : ""].join(" ").trim() || null, "aria-sort": "none", "data-key": column.key },
      el("button", { type: "button", title: column.hint, onclick: () => sort(column.key) }, column.title)))));
  const human = { entry: DATA.human, rank: null, score: value("score", DATA.human), why: "What people wrote, paid by the same rules" };
  const there = cells()[DATA.human] ? [human] : [];
  table.tBodies[0].replaceChildren(...there.map((row) => el("tr", {}, cellsOf(row, shown))));
  const given = standing().filter((row) => row.entry !== DATA.human);
  rows = given.filter((row) => `${row.entry} ${DATA.kinds[kindOf(row.entry)]}`.toLowerCase().includes(wanted)).map((row) => ({
    row, at: Object.fromEntries(shown.map((column) => [column.key, column.at(row)])),
    node: el("tr", { class: [row.rank ? "" : "unranked", row.entry === state.entry ? "chosen" : ""].join(" ").trim() || null }, cellsOf(row, shown)),
  }));
  const scope = state.task ? `the task ${words(state.task)}` : `${DATA.tasks.length === 2 ? "both" : `all ${DATA.tasks.length}`} tasks`;
  const budget = state.budget === "none" ? "any KL" : `a KL of at most ${state.budget} nats a step`;
  byId("scope").textContent = `Ranked over ${scope}, among entries with ${budget}. ${state.task ? "Ranks of one task are indicative. " : ""}An entry stands above another only where the interval of their difference leaves out 0.`;
  byId("caption").textContent = `Standings over ${scope}, ${budget}`;
  const ranked = given.filter((row) => row.rank).length;
  byId("count").textContent = `${rows.length} of ${given.length} entries shown, ${ranked} ranked; the human row stays on top.`;
  if (!shown.some((column) => column.key === sorted.key)) sorted = { key: "rank", up: true };
  order();
}
function sort(key) {
  const column = columns().find((each) => each.key === key);
  sorted = { key, up: sorted.key === key ? !sorted.up : column.up };
  order();
}
// What is seen first is there at once; the browser lays out the rest frame by frame.
function append(nodes) {
  if (nodes !== pending) return; // sorted anew meanwhile
  byId("table").tBodies[1].append(...nodes.splice(0, AT_ONCE));
  if (nodes.length) requestAnimationFrame(() => append(nodes));
}
// Rows without a value come last whichever way; equal ones keep the order of the standings.
function order() {
  const way = sorted.up ? 1 : -1, { key } = sorted;
  const given = new Map(rows.map((each, place) => [each, place]));
  const compare = (a, b) => {
    const p = a.at[key], q = b.at[key], none = (v) => v === null || v === undefined || v === "" || Number.isNaN(v);
    if (none(p) || none(q)) return none(p) - none(q) || given.get(a) - given.get(b);
    return way * (typeof p === "string" ? (p < q ? -1 : p > q ? 1 : 0) : p - q) || given.get(a) - given.get(b);
  };
  const nodes = [...rows].sort(compare).map((each) => each.node);
  byId("table").tBodies[1].replaceChildren(...nodes.splice(0, AT_ONCE));
  pending = nodes;
  if (nodes.length) requestAnimationFrame(() => append(nodes));
  for (const head of byId("table").tHead.rows[0].cells) {
    head.setAttribute("aria-sort", head.dataset.key === key ? (sorted.up ? "ascending" : "descending") : "none");
  }
}
