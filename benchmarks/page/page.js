// The page's state: which task, which budget, which entry; kept in the address so that it can be shared.

const budgets = DATA.budgets.map((budget) => (budget === null ? "none" : String(budget)));
const state = { task: "", budget: budgets.at(-1), figure: "", find: "", entry: "", where: "" };

function remember() {
  const kept = new URLSearchParams();
  for (const name of ["task", "budget", "figure", "entry"]) if (state[name]) kept.set(name, state[name]);
  try { history.replaceState(null, "", `#${kept}`); } catch { /* some viewers of files forbid it */ }
}
function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  const may = { task: DATA.tasks.map((task) => task.name), budget: budgets, figure: Object.keys(DATA.figures), entry: Object.keys(DATA.entries) };
  for (const [name, allowed] of Object.entries(may)) if (allowed.includes(said.get(name))) state[name] = said.get(name);
}
function options(select, pairs, chosen_) {
  select.replaceChildren(...pairs.map(([given, title]) => el("option", { value: given, selected: given === chosen_ }, title)));
  select.value = chosen_;
}
function redraw() { build(); pictures(); remember(); }

function wire() {
  state.budget = DATA.budget === null ? "none" : String(DATA.budget);
  const scored = (task) => DATA.standings.none[task].some((row) => row.rank || (row.score && known(row.score[0])));
  if (DATA.tasks.length === 1 || !scored("")) state.task = (DATA.tasks.find((task) => scored(task.name)) || DATA.tasks[0]).name;
  recall();
  const tasks = DATA.tasks.map((task) => [task.name, words(task.name)]);
  options(byId("task"), [...(DATA.tasks.length > 1 ? [["", `the whole suite (${tasks.length})`]] : []), ...tasks], state.task);
  byId("budget").append(el("div", { class: "segments" }, budgets.map((budget) => el("label", {}, el("input", { type: "radio", name: "budget", value: budget, checked: budget === state.budget }), el("span", {}, budget)))));
  const families = {};
  for (const [name, about] of Object.entries(DATA.figures)) if (!DATA.columns.includes(name)) (families[about.family] ||= []).push(name);
  options(byId("figure"), [["", "none"]], "");
  for (const [family, names] of Object.entries(families)) byId("figure").append(el("optgroup", { label: family }, names.map((name) => el("option", { value: name }, label(name)))));
  byId("figure").value = state.figure;
  const first = standing().find((row) => row.rank) || standing()[0] || { entry: DATA.human };
  state.entry ||= first.entry;
  state.where = state.task || [...DATA.sounding, ...DATA.tasks.map((task) => task.name)].find((name) => (DATA.melodies[name] || {})[state.entry]) || tasks[0][0];
  options(byId("who"), Object.keys(DATA.entries).map((name) => [name, words(name)]), state.entry);
  options(byId("where"), tasks, state.where);
  const has = (name) => DATA.figures[name];
  options(byId("up"), [["score", "normalised score"], ...["share_of_optimum", "return"].filter(has).map((name) => [name, label(name)])], has("share_of_optimum") ? "share_of_optimum" : "score");
  options(byId("across"), ["mmd2", "frechet", "c2st", "kl"].filter(has).map((name) => [name, label(name)]), "mmd2");
  byId("task").addEventListener("change", (event) => { state.task = event.target.value; if (state.task) { state.where = state.task; show(); } redraw(); });
  byId("budget").addEventListener("change", (event) => { state.budget = event.target.value; redraw(); });
  byId("figure").addEventListener("change", (event) => { state.figure = event.target.value; build(); remember(); });
  byId("find").addEventListener("input", (event) => { state.find = event.target.value; build(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("who").addEventListener("change", (event) => open_(event.target.value, false));
  byId("where").addEventListener("change", (event) => { state.where = event.target.value; show(); });
  for (const id of ["up", "across", "trivial"]) byId(id).addEventListener("change", scatter);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") byId("tip").hidden = true; });
  let width = innerWidth, timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; pictures(); document.querySelectorAll(".strip").forEach((strip) => strip.melody && roll(strip)); } }, 150);
  });
}
function theme() {
  const button = byId("theme"), wish = matchMedia("(prefers-color-scheme: dark)");
  let own = null;
  try { own = localStorage.getItem("musicgym-theme"); } catch { /* a file's page may have no storage */ }
  const wear = () => {
    const dark = own ? own === "dark" : wish.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
  };
  button.addEventListener("click", () => {
    own = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("musicgym-theme", own); } catch { /* then it lasts for this visit */ }
    wear();
  });
  wish.addEventListener("change", wear);
  wear();
}
theme();
wire();
build();
show();
pictures();
