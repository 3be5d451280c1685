// The pictures: return against human distance, learning curves, profiles, who beats whom.

const HUES = ["learned", "search", "prior", "generator", "planner", "accent", "human", "simple"];
let chosen = [];

const empty = (box, text) => box.replaceChildren(el("p", { class: "empty" }, text));
const standingNames = () => standing().map((row) => row.entry).filter((name) => name !== DATA.human);

function scatter() {
  const box = byId("scatter"), up = byId("up").value, across = byId("across").value;
  const scores = Object.fromEntries(standing().map((row) => [row.entry, row.score]));
  const get = (name, entry) => (name === "score" ? scores[entry] || [null] : value(name, entry));
  const scaled = (name, found) => found.map((v) => (known(v) ? v * (DATA.figures[name] || { scale: 1 }).scale : null));
  const points = standingNames().map((entry) => ({ entry, kind: kindOf(entry), x: scaled(across, get(across, entry)), y: scaled(up, get(up, entry)) }))
    .filter((p) => known(p.x[0]) && known(p.y[0]) && (byId("trivial").checked || p.kind !== "simple"));
  if (!points.length) return empty(box, "No entry of this choice has both figures.");
  const floor = scaled(across, value(across, DATA.human)), people = scaled(up, value(up, DATA.human));
  const distance = ["mmd2", "frechet"].includes(across), bend = distance ? (v) => Math.sign(v) * Math.sqrt(Math.abs(v)) : (v) => v;
  const far = [...points.flatMap((p) => p.x), ...floor].filter(known), x = distance ? [Math.min(0, ...far), Math.max(...far) * 1.15] : extent([...far, 0]), y = extent([...points.flatMap((p) => p.y), ...people]);
  const xs = distance ? rootTicks(x[1]) : ticks(...x, 6), ys = ticks(...y, 6);
  const title = (name) => (name === "score" ? "normalised score" : `${label(name)}${DATA.figures[name].unit ? `, ${DATA.figures[name].unit}` : ""}`);
  const { svg, px, py, frame } = axes(box, { title: `${title(up)} against ${title(across)}`, about: `${points.length} entries.`, across: `${title(across)}${distance ? " (square-root axis)" : ""}`, up: title(up), x, y, xs, ys, bend, xText: distance ? (v) => String(v) : tickText(xs), yText: tickText(ys), height: Math.min(560, Math.max(380, box.clientWidth * 0.5)) });
  const taken = [];
  const free = (b) => b[0] >= frame.left && b[2] <= frame.right && b[1] >= 2 && b[3] <= frame.bottom && taken.every((t) => b[2] < t[0] || b[0] > t[2] || b[3] < t[1] || b[1] > t[3]);
  if (known(floor[0])) {
    const from = px(Math.max(x[0], known(floor[1]) ? floor[1] : floor[0])), to = px(known(floor[2]) ? floor[2] : floor[0]);
    svg.append(draw("rect", { class: "floor", x: from, y: frame.top, width: Math.max(2, to - from), height: frame.bottom - frame.top }));
    const words_ = draw("text", { class: "floor-label", x: to + 6, y: frame.bottom - 8 }, "floor: human against human");
    svg.append(words_); taken.push([to + 4, frame.bottom - 22, to + 170, frame.bottom]);
  }
  if (known(people[0])) {
    svg.append(draw("line", { class: "floor-line", x1: frame.left, x2: frame.right, y1: py(people[0]), y2: py(people[0]) }),
      draw("text", { class: "floor-label", x: frame.right - 4, y: py(people[0]) - 6, "text-anchor": "end" }, "human melodies"));
    taken.push([frame.right - 96, py(people[0]) - 20, frame.right, py(people[0])]);
  }
  const curve = points.filter((p) => /^best_of_\d+$/.test(p.entry)).sort((a, b) => parseInt(a.entry.slice(8)) - parseInt(b.entry.slice(8)));
  if (curve.length > 1) svg.append(draw("polyline", { class: "search-line", points: curve.map((p) => `${px(p.x[0])},${py(p.y[0])}`).join(" ") }));
  for (const p of points) taken.push([px(p.x[0]) - 6, py(p.y[0]) - 6, px(p.x[0]) + 6, py(p.y[0]) + 6]);
  const searching = (p) => curve.includes(p) && ![curve[0], curve.at(-1)].includes(p);
  for (const p of points) {
    const cx = px(p.x[0]), cy = py(p.y[0]), whisker = (a, b, c, d) => draw("line", { class: "whisker", x1: a, y1: b, x2: c, y2: d });
    const node = draw("g", { class: `point${p.entry === state.entry ? " chosen" : ""}`, tabindex: 0, role: "button", "aria-label": `${p.entry}: ${title(up)} ${number(p.y[0], 3)}, ${title(across)} ${number(p.x[0], 4)}`, style: `color:var(--${p.kind})`, onclick: () => open_(p.entry), onkeydown: (event) => { if (["Enter", " "].includes(event.key)) { event.preventDefault(); open_(p.entry); } } });
    if (known(p.x[1])) node.append(whisker(px(Math.max(x[0], p.x[1])), cy, px(Math.min(x[1], p.x[2])), cy));
    if (known(p.y[1])) node.append(whisker(cx, py(Math.max(y[0], p.y[1])), cx, py(Math.min(y[1], p.y[2]))));
    node.append(draw("path", { class: "sign", d: SIGNS[p.kind], transform: `translate(${cx} ${cy})` }));
    const wide = p.entry.length * 6.6, text = searching(p) ? null : [[9, 4, "start"], [-9, 4, "end"], [0, -11, "middle"], [0, 19, "middle"], [9, -9, "start"], [9, 17, "start"], [-9, -9, "end"], [-9, 17, "end"]]
      .map(([dx, dy, anchor]) => { const left = cx + dx - (anchor === "end" ? wide : anchor === "middle" ? wide / 2 : 0); return { dx, dy, anchor, at: [left, cy + dy - 11, left + wide, cy + dy + 3] }; }).find((each) => free(each.at));
    if (text) { taken.push(text.at); node.append(draw("text", { x: cx + text.dx, y: cy + text.dy, "text-anchor": text.anchor }, words(p.entry))); }
    const line = (name, found) => `${title(name)}: ${number(found[0], 3)}${known(found[1]) ? ` (${number(found[1], 3)} to ${number(found[2], 3)})` : ""}`;
    svg.append(tell(node, `${words(p.entry)}\n${line(up, p.y)}\n${line(across, p.x)}\nKL: ${figure("kl", value("kl", p.entry)[0])} nats a step`));
  }
  const kinds = [...new Set(points.map((p) => p.kind))];
  box.replaceChildren(svg, el("p", { class: "legend" }, kinds.map((kind) => el("span", {}, sign(kind), DATA.kinds[kind]))));
}

// Round numbers for an axis of square roots: dense near 0, where the good entries are.
function rootTicks(high) {
  const found = [0];
  for (const power of [0.001, 0.01, 0.1, 1, 10, 100]) for (const n of [1, 2, 5]) {
    const at = Number((n * power).toPrecision(3));
    if (at <= high && Math.sqrt(at) - Math.sqrt(found.at(-1)) > 0.07 * Math.sqrt(high)) found.push(at);
  }
  return found;
}

// Which entries the curves and the profiles show: the best few, until one presses others.
function choose() {
  const names = standingNames(), first = names.filter((name) => (DATA.cells[state.task][name] || {}).curve).concat(names);
  chosen = chosen.filter((name) => names.includes(name));
  for (const name of first) if (chosen.length < 5 && !chosen.includes(name)) chosen.push(name);
}
function hues() { return Object.fromEntries(chosen.map((name, place) => [name, `var(--${HUES[place % HUES.length]})`])); }
function chips(box, names, redraw) {
  const hue = hues();
  box.replaceChildren(...names.map((name) => el("button", { type: "button", "aria-pressed": String(chosen.includes(name)), style: `color:${hue[name] || "var(--soft)"}`, "data-name": name,
    onclick: () => {
      chosen = chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name].slice(-HUES.length);
      redraw();
      const again = box.querySelector(`[data-name="${CSS.escape(name)}"]`);
      if (again) again.focus();
    } }, el("i", {}), el("span", {}, words(name)))));
}
function bands(box, lines, options) {
  const { svg, px, py, frame } = axes(box, { height: 320, ...options });
  const hue = hues(), ends = [];
  for (const { name, points } of lines) {
    const group = draw("g", { style: `color:${hue[name]}` }, draw("title", {}, words(name)));
    const edge = points.filter((p) => known(p[2]) && known(p[3]));
    if (edge.length > 1) group.append(draw("polygon", { class: "band", points: [...edge.map((p) => `${px(p[0])},${py(p[3])}`), ...edge.reverse().map((p) => `${px(p[0])},${py(p[2])}`)].join(" ") }));
    group.append(draw("polyline", { class: "line", points: points.map((p) => `${px(p[0])},${py(p[1])}`).join(" ") }));
    svg.append(group);
    if (options.named) ends.push({ name, y: py(points.at(-1)[1]) });
  }
  ends.sort((a, b) => a.y - b.y).forEach((end, i) => { if (i && end.y < ends[i - 1].y + 14) end.y = ends[i - 1].y + 14; });
  for (const end of ends) svg.append(draw("text", { class: "line-label", style: `color:${hue[end.name]}`, x: frame.right - 4, y: Math.min(frame.bottom - 3, end.y - 5), "text-anchor": "end" }, words(end.name)));
  box.replaceChildren(svg);
}
function curves() {
  const task = state.task || DATA.tasks.map((each) => each.name).find((name) => Object.values(cells(name)).some((cell) => cell.curve)) || "";
  const taught = standingNames().filter((name) => (cells(task)[name] || {}).curve);
  const boxes = [["curve-return", 1, "return"], ["curve-kl", 4, "KL, nats a step"]];
  chips(byId("learners"), taught, follow);
  const shown = taught.filter((name) => chosen.includes(name));
  for (const [id, place, title] of boxes) {
    const box = byId(id);
    if (!shown.length) { empty(box, taught.length ? "Press an entry above." : "No entry here kept its learning curve."); continue; }
    const lines = shown.map((name) => ({ name, points: cells(task)[name].curve.map((row) => [row[0], ...row.slice(place, place + 3)]).filter((p) => known(p[1])) })).filter((line) => line.points.length);
    if (!lines.length) { empty(box, "Not kept."); continue; }
    const y = extent(lines.flatMap((line) => line.points.flatMap((p) => p.slice(1)))), x = [0, Math.max(...lines.flatMap((line) => line.points.map((p) => p[0])))];
    if (place === 4) y[0] = Math.min(0, y[0]);
    const ys = ticks(...y);
    bands(box, lines, { title: `${title} in training on ${words(task)}`, up: `${title}${state.task ? "" : ` (${words(task)})`}`, across: "environment steps", x, y, ys, yText: tickText(ys), xText: short, named: place === 1 });
  }
}
function profiles() {
  const box = byId("profiles"), of = (DATA.profiles.of || {})[state.task] || {};
  const names = standingNames().filter((name) => of[name]);
  chips(byId("runners"), names, follow);
  const shown = names.filter((name) => chosen.includes(name));
  if (!shown.length) return empty(box, names.length ? "Press an entry above." : "No entry here has normalised scores.");
  const { taus } = DATA.profiles, x = [taus[0], taus.at(-1)];
  const lines = shown.map((name) => ({ name, points: of[name].map((p, i) => [taus[i], ...p.map((v) => 100 * v)]) }));
  const xs = ticks(...x, 6);
  bands(box, lines, { title: "Share of runs that reach a normalised score", across: "normalised score", up: "runs that reach it, %", x, y: [0, 102], xs, xText: tickText(xs) });
}
function better() {
  const box = byId("better"), found = (DATA.better || {})[state.task];
  if (!found || found.names.length < 2) return empty(box, "Fewer than two entries have normalised scores here.");
  const names = standingNames().filter((name) => found.names.includes(name)).slice(0, 12), at = names.map((name) => found.names.indexOf(name));
  const longest = Math.max(...names.map((name) => name.length)), left = Math.min(170, 7 * longest + 14);
  const cell = Math.max(31, Math.min(56, (box.clientWidth - 30 - left - 52) / names.length)), top = left * 0.78 + 14;
  const width = left + cell * names.length + 52, height = top + cell * 0.72 * names.length + 8;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Probability that a run of the row's entry scores more than one of the column's. ${names.slice(0, 3).map((a, i) => names.slice(i + 1, i + 3).map((b) => `${a} over ${b}: ${number(100 * found.p[found.names.indexOf(a)][found.names.indexOf(b)], 0)} %`).join("; ")).join("; ")}` });
  names.forEach((name, i) => {
    const y = top + cell * 0.72 * i, x = left + cell * i;
    svg.append(draw("text", { x: left - 8, y: y + cell * 0.36 + 4, "text-anchor": "end" }, words(name)),
      draw("text", { transform: `translate(${x + cell / 2 + 4} ${top - 8}) rotate(-50)` }, words(name)));
    names.forEach((other, j) => {
      const p = i === j ? null : found.p[at[i]][at[j]], strong = p === null ? 0 : Math.abs(p - 0.5) * 2;
      const where = left + cell * j, hue = p > 0.5 ? "plus" : "minus";
      svg.append(draw("g", {}, draw("title", {}, i === j ? words(name) : `${words(name)} over ${words(other)}: ${number(100 * p, 0)} %`),
        draw("rect", { x: where + 1, y: y + 1, width: cell - 2, height: cell * 0.72 - 2, rx: 4, fill: p === null ? "var(--wash)" : `color-mix(in srgb, var(--${hue}) ${Math.round(strong * 38)}%, var(--sheet))` }),
        draw("text", { x: where + cell / 2, y: y + cell * 0.36 + 4, "text-anchor": "middle" }, p === null ? "" : number(100 * p, 0))));
    });
  });
  box.replaceChildren(svg, el("p", { class: "note" }, `Percent; 50 is a draw.${found.names.length > names.length ? ` The first ${names.length} entries.` : ""}`));
}
function follow() { curves(); profiles(); }
function pictures() { choose(); scatter(); curves(); profiles(); better(); }
