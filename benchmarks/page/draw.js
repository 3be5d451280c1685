// Elements, numbers and scales: what the table, the pictures and the melodies are drawn with.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const words = (name) => name.replaceAll("_", " ");
const known = (value) => typeof value === "number" && Number.isFinite(value);
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function number(value, digits) {
  if (!known(value)) return "–";
  const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return /^-[0.]*$/.test(text) ? text.slice(1) : text.replace("-", "−");
}
// A figure as people read it: shares in percent, as many digits as the figure bears.
function figure(name, value, unit = true) {
  const about = DATA.figures[name] || { scale: 1, digits: 3, unit: "" };
  const text = number(known(value) ? value * about.scale : value, about.digits);
  return unit && about.unit === "%" && text !== "–" ? `${text} %` : text;
}
const label = (name) => (DATA.figures[name] ? DATA.figures[name].label : words(name));
const span = (name, [, low, high]) => (known(low) && known(high) ? `${figure(name, low, false)} to ${figure(name, high, false)}` : "");
const short = (value) => (value >= 1e6 ? `${number(value / 1e6, value % 1e6 ? 1 : 0)} M` : value >= 1e3 ? `${number(value / 1e3, 0)} k` : number(value, 0));
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// Round numbers from low to high, about so many.
function ticks(low, high, about = 5) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((n) => n * power >= raw) * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}
function extent(values, room = 0.06) {
  const some = values.filter(known);
  if (!some.length) return [0, 1];
  const low = Math.min(...some), high = Math.max(...some);
  const more = (high - low || Math.abs(high) || 1) * room;
  return [low - more, high + more];
}
const linear = ([a, b], [p, q]) => (value) => p + ((value - a) / (b - a || 1)) * (q - p);

// A chart with axes: its <svg>, the two scales, and the frame.
function axes(box, { title, about, across, up, x, y, height, left = 58, xs, ys, xText, yText, bend = (v) => v }) {
  const width = Math.max(300, box.clientWidth - 26 || 600), bottom = 46, top = 14, right = 14;
  const frame = { left, right: width - right, top, bottom: height - bottom };
  const straight = linear(x.map(bend), [frame.left, frame.right]), px = (v) => straight(bend(v)), py = linear(y, [frame.bottom, frame.top]);
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${title}. ${about || ""}` }, draw("title", {}, title));
  for (const at of ys || ticks(...y)) {
    svg.append(draw("line", { class: "grid", x1: frame.left, x2: frame.right, y1: py(at), y2: py(at) }),
      draw("text", { class: "soft", x: frame.left - 8, y: py(at) + 4, "text-anchor": "end" }, yText ? yText(at) : number(at, 0)));
  }
  for (const at of xs || ticks(...x, Math.max(3, Math.floor(width / 110)))) {
    svg.append(draw("line", { class: "grid", x1: px(at), x2: px(at), y1: frame.bottom, y2: frame.bottom + 4 }),
      draw("text", { class: "soft", x: px(at), y: frame.bottom + 18, "text-anchor": "middle" }, xText ? xText(at) : number(at, 0)));
  }
  svg.append(draw("text", { class: "axis-title soft", x: (frame.left + frame.right) / 2, y: height - 8, "text-anchor": "middle" }, across),
    draw("text", { class: "axis-title soft", transform: `translate(13 ${(frame.top + frame.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, up));
  return { svg, px, py, frame };
}
const tickText = (values) => {
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : 1;
  const digits = Math.max(0, Math.min(5, -Math.floor(Math.log10(step) + 1e-9) + (/[^0]/.test(String(step / 10 ** Math.floor(Math.log10(step))).slice(2, 3)) ? 1 : 0)));
  return (value) => number(value, digits);
};

// A sign a kind of system, so that colour is not all that tells them apart.
const SIGNS = {
  learned: "M0-5.5A5.5 5.5 0 1 1 0 5.5 5.5 5.5 0 1 1 0-5.5Z", generator: "M0-6.5 6 5H-6Z", search: "M-3.5-3.5H3.5V3.5H-3.5Z",
  prior: "M-5-5H5V5H-5Z", planner: "M0-7.5 2 -2.4 7.2-2.3 3.1 1 4.5 6.2 0 3.1-4.5 6.2-3.1 1-7.2-2.3-2-2.4Z",
  simple: "M-5-3.2-3.2-5 0-1.8 3.2-5 5-3.2 1.8 0 5 3.2 3.2 5 0 1.8-3.2 5-5 3.2-1.8 0Z", human: "M0-6.5 6.5 0 0 6.5-6.5 0Z",
};
const sign = (kind) => draw("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true", style: `color:var(--${kind})` }, draw("path", { d: SIGNS[kind], fill: "currentColor" }));

function tell(node, text) {
  const tip = byId("tip");
  const show = () => {
    const { left, top, width } = node.getBoundingClientRect();
    tip.textContent = typeof text === "function" ? text() : text;
    tip.hidden = false;
    const room = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(innerWidth - room.width - 8, left + width / 2 - room.width / 2))}px`;
    tip.style.top = `${top - room.height - 8 < 8 ? top + 24 : top - room.height - 8}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const [name, what] of [["mouseenter", show], ["focus", show], ["mouseleave", hide], ["blur", hide]]) node.addEventListener(name, what);
  return node;
}
