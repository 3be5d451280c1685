// One entry: what it is, its figures beside the human ones, and its melodies to read and to hear.

const BLOCKS = {};
let playing = null;

// The melodies of an entry on a task; read from the page when they are first asked for.
function melodies(task, entry) {
  const id = (DATA.melodies[task] || {})[entry];
  if (!id) return [];
  if (!BLOCKS[id]) BLOCKS[id] = parsed(byId(id).textContent);
  return BLOCKS[id];
}
function aboutEntry(entry, task) {
  const about = DATA.entries[entry] || { facts: [] }, cell = cells(task)[entry] || { f: {} };
  const place = standing().find((row) => row.entry === entry) || {};
  const facts = [...about.facts, ["Seeds", number(cell.seeds, 0)], ["Melodies a seed", number(cell.melodies, 0)], ["Samples a melody", number(cell.samples, 0)]];
  return [about.about ? el("p", {}, about.about) : null, mark(place) || place.why ? el("p", {}, mark(place), " ", el("span", { class: "note" }, place.why || "")) : null,
    el("dl", { class: "told" }, facts.filter(([, text]) => text !== "–").map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))))];
}
// Every figure beside the human one, a family of metrics after the other.
function figures(entry, task) {
  const cell = cells(task)[entry] || { f: {} }, names = Object.keys(cell.f).filter((name) => DATA.figures[name]);
  const people = (cells(task)[DATA.human] || { f: {} }).f, isHuman = entry === DATA.human;
  const families = [...new Set(names.map((name) => DATA.figures[name].family))];
  const group = (family) => el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, family), el("th", { scope: "col", class: "n" }, isHuman ? "Human" : words(entry)), isHuman ? null : el("th", { scope: "col", class: "n" }, "Human"))),
    el("tbody", {}, names.filter((name) => DATA.figures[name].family === family).map((name) => el("tr", {}, el("th", { scope: "row", title: DATA.figures[name].hint || null }, label(name)),
      el("td", { class: "n" }, measured(name, cell.f[name])), isHuman ? null : el("td", { class: "n" }, people[name] ? measured(name, people[name]) : "–")))));
  return el("details", {}, el("summary", {}, isHuman ? `Every figure on ${words(task)}` : `Every figure on ${words(task)}, beside the human one`), el("div", { class: "families" }, families.map((family) => el("div", { class: "box" }, group(family)))));
}
function open_(entry, move = true) {
  state.entry = entry;
  byId("who").value = entry;
  if (state.task) state.where = state.task;
  show();
  document.querySelectorAll("#table tr").forEach((row) => row.classList.toggle("chosen", row.querySelector(".name button")?.dataset.entry === entry));
  scatter();
  if (move) {
    byId("entry").scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
    byId("entry-title").focus({ preventScroll: true });
  }
  remember();
}
function show() {
  stop();
  const entry = state.entry, task = state.where;
  byId("where").value = task;
  byId("entry-title").textContent = `Listen: ${entry === DATA.human ? "human melodies" : words(entry)}`;
  byId("profile").replaceChildren(...aboutEntry(entry, task).filter(Boolean));
  byId("figures").replaceChildren(figures(entry, task));
  const own = melodies(task, entry), box = byId("melodies");
  if (!own.length) {
    const elsewhere = DATA.tasks.map((each) => each.name).filter((name) => (DATA.melodies[name] || {})[entry]);
    box.replaceChildren(el("p", { class: "note" }, elsewhere.length ? `No melodies of this task are on the page; there are some of ${elsewhere.map(words).join(", ")}.` : "No melodies of this entry are on the page."));
    return;
  }
  box.replaceChildren(el("p", { class: "note" }, DATA.chosen), ...own.map((melody, place) => card(entry, task, melody, place)));
}
// A card a progression: the entry, people and the exact optimum take turns over the same chords.
function card(entry, task, melody, place) {
  const over = (name) => melodies(task, name).find((other) => other.progression === melody.progression);
  const voices = [[entry, entry === DATA.human ? "Human" : words(entry), melody], [DATA.human, "Human", over(DATA.human)], [DATA.optimum, "Exact optimum", over(DATA.optimum)]]
    .filter(([name, , found], i) => found && (i === 0 || name !== entry));
  const body = el("div", {}), name = `voice-${place}`;
  const choice = el("div", { class: "segments", role: "radiogroup", "aria-label": "Whose melody" }, voices.map(([, title, found], i) =>
    el("label", {}, el("input", { type: "radio", name, value: i, checked: i === 0, onchange: () => { stop(); perform(body, found, voices); } }), el("span", {}, title))));
  const made = el("article", { class: "card" }, el("header", {}, el("h3", {}, `Progression ${melody.progression + 1}`, el("small", {}, `${melody.key}, ${melody.meter}, ${melody.bars} bars`)), voices.length > 1 ? choice : null), body);
  requestAnimationFrame(() => perform(body, melody, voices));
  return made;
}
function perform(body, melody, voices) {
  const paid = known(melody.return) ? `paid ${number(melody.return, 2)}${known(melody.optimum) ? ` of ${number(melody.optimum, 2)} at most` : ""}` : "";
  const score = el("div", { class: "strip", tabindex: 0, role: "region", "aria-label": "Score" });
  score.innerHTML = melody.score || "";
  const strip = el("div", { class: "strip", tabindex: 0, role: "region", "aria-label": "Piano roll and reward" });
  const parts = [melody.score ? score : null, melody.sound ? player(melody, strip) : el("p", { class: "note" }, "This task’s melodies are on the page without sound."), strip];
  const rewards = Object.keys(melody.paid).length ? paidTable(voices) : null;
  body.replaceChildren(...parts.filter(Boolean), el("p", { class: "key" }, el("span", {}, el("i", { style: "background:var(--chord)" }), "chord tone"), el("span", {}, el("i", { style: "background:var(--other)" }), "other tone"), Object.keys(melody.paid).length ? [el("span", {}, el("i", { style: "background:var(--plus)" }), "paid"), el("span", {}, el("i", { style: "background:var(--minus)" }), "charged")] : null, el("span", {}, paid)), ...(rewards ? [rewards] : []));
  strip.melody = melody;
  roll(strip);
}
function paidTable(voices) {
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const terms = [...new Set(voices.flatMap(([, , found]) => Object.keys(found.paid)))];
  return el("details", {}, el("summary", {}, "The reward in numbers"), el("div", { class: "box", tabindex: 0, role: "region", "aria-label": "Reward by term" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Term"), voices.map(([, title]) => el("th", { scope: "col", class: "n" }, title)))),
    el("tbody", {}, terms.map((term) => el("tr", {}, el("th", { scope: "row", style: "font-weight:400" }, words(term)), voices.map(([, , found]) => el("td", { class: "n" }, number(found.paid[term] ? sum(found.paid[term]) : 0, 2))))),
      el("tr", {}, el("th", { scope: "row" }, "all"), voices.map(([, , found]) => el("td", { class: "n" }, number(found.return, 2))))))));
}
const PITCHES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

// The piano roll with what each term pays under it, step by step.
function roll(strip) {
  const { melody } = strip, wide = innerWidth > 640, left = wide ? 132 : 106, right = 56;
  const width = Math.max(strip.clientWidth || 700, left + right + melody.steps * 7), step = (width - left - right) / melody.steps;
  const pitches = melody.notes.map((note) => note[2]);
  const bottom = Math.min(60, ...pitches) - 1, top = Math.max(72, ...pitches) + 1;
  const high = 7, head = 22, foot = head + (top - bottom + 1) * high;
  const terms = Object.entries(melody.paid).map(([name, values]) => ({ name, values, sum: values.reduce((a, b) => a + b, 0) })).filter((term) => term.values.some((v) => v)).sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const lane = 26, height = foot + 22 + terms.length * lane + (terms.length ? 8 : 0);
  const x = (t) => left + t * step, y = (pitch) => head + (top - pitch) * high;
  const svg = draw("svg", { class: "roll", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Piano roll of ${melody.notes.length} notes${terms.length ? `; below it the reward by term: ${terms.map((term) => `${words(term.name)} ${number(term.sum, 2)}`).join(", ")}` : ""}` });
  svg.append(draw("rect", { class: "paper", x: left, y: head, width: x(melody.steps) - left, height: foot - head, rx: 4 }));
  for (const [onset, length, symbol, tones] of melody.chords) {
    for (let pitch = bottom; pitch <= top; pitch++) if (tones.includes(pitch % 12)) svg.append(draw("rect", { class: "tone", x: x(onset), y: y(pitch), width: length * step, height: high }));
    if (length * step > 6.4 * symbol.length + 3 || onset % melody.bar === 0) svg.append(draw("text", { x: x(onset) + 1, y: head - 7, "font-size": 11 }, symbol));
  }
  for (let t = 0; t <= melody.steps; t += melody.beat) {
    const bar = t % melody.bar === 0;
    svg.append(draw("line", { class: bar ? "measure" : "beat", x1: x(t), x2: x(t), y1: head, y2: bar ? height - 4 : foot }));
    if (bar && t < melody.steps) svg.append(draw("text", { class: "soft", x: x(t) + 2, y: foot + 13, "font-size": 10 }, String(t / melody.bar + 1)));
  }
  for (let pitch = bottom; pitch <= top; pitch++) if (pitch % 12 === melody.tonic) svg.append(draw("text", { class: "soft", x: left - 7, y: y(pitch) + high / 2 + 4, "text-anchor": "end", "font-size": 11 }, `${PITCHES[pitch % 12]}${Math.floor(pitch / 12) - 1}`));
  for (const [onset, length, pitch] of melody.notes) {
    const chord = melody.chords.find(([from, long]) => onset >= from && onset < from + long);
    svg.append(draw("rect", { class: chord && chord[3].includes(pitch % 12) ? "in" : "out", x: x(onset) + 0.5, y: y(pitch), width: Math.max(2, length * step - 1.5), height: high, rx: 2 },
      draw("title", {}, `${PITCHES[pitch % 12]}${Math.floor(pitch / 12) - 1}, bar ${Math.floor(onset / melody.bar) + 1}, over ${chord ? chord[2] : "no chord"}`)));
  }
  terms.forEach((term, i) => {
    const middle = foot + 22 + i * lane + lane / 2, most = Math.max(...term.values.map(Math.abs));
    svg.append(draw("line", { class: "zero", x1: left, x2: x(melody.steps), y1: middle, y2: middle }),
      draw("text", { class: "soft", x: left - 7, y: middle + 4, "text-anchor": "end", "font-size": wide ? 12 : 10.5 }, words(term.name)),
      draw("text", { x: width - 2, y: middle + 4, "text-anchor": "end" }, number(term.sum, 2)));
    term.values.forEach((v, t) => {
      if (!v) return;
      const tall = Math.max(1.5, (Math.abs(v) / most) * (lane / 2 - 3));
      svg.append(draw("rect", { class: v > 0 ? "plus" : "minus", x: x(t) + 0.5, y: v > 0 ? middle - tall : middle, width: Math.max(1.5, step - 1.5), height: tall }, draw("title", {}, `${words(term.name)}: ${number(v, 3)} at bar ${Math.floor(t / melody.bar) + 1}, beat ${number(1 + (t % melody.bar) / melody.beat, t % melody.beat ? 2 : 0)}`)));
    });
  });
  if (melody.given) svg.append(draw("rect", { class: "given", x: left, y: head, width: melody.given * step, height: height - head - 4 }), draw("text", { class: "soft", x: left + 5, y: foot - 5, "font-size": 11 }, "given"));
  const now = draw("line", { class: "now", x1: left, x2: left, y1: head - 2, y2: height - 2, visibility: "hidden" });
  svg.append(now);
  svg.addEventListener("click", (event) => {
    const at = ((event.clientX - svg.getBoundingClientRect().left) * width) / svg.getBoundingClientRect().width;
    if (strip.seek && at >= left && at <= x(melody.steps)) strip.seek(((at - left) / step) * melody.seconds);
  });
  strip.mark = (seconds, seen) => {
    const at = x(Math.min(melody.steps, seconds / melody.seconds));
    now.setAttribute("x1", at); now.setAttribute("x2", at); now.setAttribute("visibility", seen ? "visible" : "hidden");
    if (seen && width > strip.clientWidth + 2 && playing) strip.scrollLeft = at - strip.clientWidth / 2;
  };
  strip.replaceChildren(svg);
  if (strip.audio) strip.mark(strip.audio.currentTime, strip.audio.currentTime > 0);
}
const GLYPH = { play: "M4 2.5v15l13-7.5z", pause: "M4 3h4.5v14H4zM11.5 3H16v14h-4.5z" };
function player(melody, strip) {
  const bytes = Uint8Array.from(atob(melody.sound), (letter) => letter.charCodeAt(0));
  const audio = el("audio", { preload: "metadata", src: URL.createObjectURL(new Blob([bytes], { type: "audio/ogg" })) });
  const total = melody.steps * melody.seconds;
  const face = draw("path", { d: GLYPH.play });
  const button = el("button", { type: "button", "aria-label": "Play", onclick: () => (audio.paused ? start() : audio.pause()) }, draw("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, face));
  const slider = el("input", { type: "range", min: 0, max: total, step: 0.1, value: 0, "aria-label": "Place in the melody", oninput: () => seek(Number(slider.value)) });
  const output = el("output", {}, `0:00 / ${clock(total)}`);
  const seek = (seconds) => { audio.currentTime = seconds; follow_(); };
  const follow_ = () => {
    slider.value = audio.currentTime;
    slider.setAttribute("aria-valuetext", `${clock(audio.currentTime)} of ${clock(total)}`);
    output.textContent = `${clock(Math.min(total, audio.currentTime))} / ${clock(total)}`;
    strip.mark(audio.currentTime, true);
  };
  const tick = () => { if (!audio.paused) { follow_(); requestAnimationFrame(tick); } };
  const start = () => { if (playing && playing !== audio) playing.pause(); playing = audio; if (audio.ended) audio.currentTime = 0; audio.play(); };
  const face_ = () => { face.setAttribute("d", audio.paused ? GLYPH.play : GLYPH.pause); button.setAttribute("aria-label", audio.paused ? "Play" : "Pause"); };
  audio.addEventListener("play", () => { face_(); tick(); });
  audio.addEventListener("pause", face_);
  audio.addEventListener("ended", () => { face_(); follow_(); });
  strip.seek = seek; strip.audio = audio;
  return el("div", { class: "player" }, button, slider, output, audio);
}
function stop() { if (playing) playing.pause(); playing = null; }
