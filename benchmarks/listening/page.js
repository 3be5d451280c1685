"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SCALES = [["fluency", "Fluency"], ["creativity", "Creativity"],
    ["emotion", "Emotional expression"], ["harmony", "Harmony"]];
  const TOTAL = data.sounds.length, KEPT = "musicgym-listening-" + data.page;
  const $ = (id) => document.getElementById(id);
  const players = [...document.querySelectorAll(".player")].map((box) => ({
    box, button: box.querySelector(".play"), audio: box.querySelector("audio"),
    ring: box.querySelector(".ring"), heard: box.querySelector(".heard"),
    scales: box.querySelector(".scales"),
  }));
  const choices = [...document.querySelectorAll("#choose button")];
  let shown = 0, began = false;

  // --- What the listener said; kept in the browser where it lets us -----------------------------

  const blank = () => ({ choice: null, plays: [0, 0], seconds: null, marks: [{}, {}] });
  let said = { listener: "", started: "", place: 0,
    pairs: Array.from({ length: TOTAL }, blank) };

  function restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT));
      if (kept && kept.pairs.length === TOTAL) said = kept;
    } catch { /* a browser may refuse to keep what a file's page says */ }
  }
  function keep() {
    try { localStorage.setItem(KEPT, JSON.stringify(said)); } catch { /* see above */ }
  }

  // --- What is saved ----------------------------------------------------------------------------

  function unseal(text) { // as page.py seals it
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    let state = parseInt(data.page.slice(0, 8), 16) || 1;
    for (let i = 0; i < bytes.length; i++) {
      state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
      bytes[i] ^= state & 255;
    }
    return JSON.parse(new TextDecoder().decode(bytes));
  }
  function result() {
    const { format, systems, pairs, left } = unseal(data.sealed);
    const melody = (pair, side) => (left[pair] ? 1 - side : side);
    const made = [], ratings = [];
    said.pairs.forEach(({ choice, plays, seconds, marks }, pair) => {
      if (choice === null) return;
      made.push({ pair, preferred: choice === "none" ? null : melody(pair, Number(choice)),
        left: left[pair], plays: left[pair] ? [plays[1], plays[0]] : plays, seconds });
      if (data.ratings) marks.forEach((mark, side) => {
        ratings.push({ pair, melody: melody(pair, side), ...mark });
      });
    });
    return { format, page: data.page, listener: said.listener, started: said.started,
      saved: new Date().toISOString(), systems, pairs, choices: made, ratings };
  }

  // --- Playing ----------------------------------------------------------------------------------

  function toggle(side) {
    const { audio } = players[side];
    if (audio.paused) {
      stop(1 - side);
      audio.play().catch(() => {});
    } else stop(side);
  }
  function stop(side) {
    const { audio } = players[side];
    audio.pause();
    if (audio.currentTime) audio.currentTime = 0;
  }
  players.forEach(({ button, audio, ring, heard }, side) => {
    button.addEventListener("click", () => toggle(side));
    const draw = () => {
      const done = audio.duration ? audio.currentTime / audio.duration : 0;
      ring.style.strokeDashoffset = String(289 * (1 - done));
      button.classList.toggle("begun", done > 0);
      if (!audio.paused) requestAnimationFrame(draw);
    };
    audio.addEventListener("playing", () => {
      button.setAttribute("aria-pressed", "true");
      if (audio.currentTime < 0.1) {
        said.pairs[shown].plays[side] += 1;
        keep();
        update();
      }
      draw();
    });
    for (const event of ["pause", "ended"]) audio.addEventListener(event, () => {
      button.setAttribute("aria-pressed", "false");
      draw();
    });
    audio.addEventListener("seeked", draw);
    audio.addEventListener("error", () => {
      if (audio.getAttribute("src")) {
        heard.textContent = "Your browser cannot play Ogg Vorbis; try Firefox or Chrome.";
      }
    });
  });

  // --- The four scales --------------------------------------------------------------------------

  function scales(side) {
    const letter = "AB"[side], box = players[side].scales;
    for (const [name, title] of SCALES) {
      const field = document.createElement("fieldset"), legend = document.createElement("legend");
      const marks = document.createElement("div");
      legend.textContent = title;
      marks.className = "marks";
      for (let mark = 1; mark <= 5; mark++) {
        const label = document.createElement("label"), input = document.createElement("input");
        const dot = document.createElement("span");
        input.type = "radio";
        input.name = name + side;
        input.value = String(mark);
        input.setAttribute("aria-label", `${title} of ${letter}: ${mark} of 5`);
        dot.textContent = String(mark);
        input.addEventListener("change", () => {
          said.pairs[shown].marks[side][name] = mark;
          keep();
          update();
        });
        label.append(input, dot);
        marks.append(label);
      }
      field.append(legend, marks);
      box.append(field);
    }
    const ends = document.createElement("p");
    ends.className = "ends";
    ends.innerHTML = "<span>1 poor</span><span>5 excellent</span>";
    box.append(ends);
  }

  // --- Screens ----------------------------------------------------------------------------------

  function screen(name) {
    for (const id of ["start", "listen", "end"]) $(id).hidden = id !== name;
    window.scrollTo(0, 0);
  }
  function show(place) {
    shown = said.place = place;
    keep();
    [0, 1].forEach(stop);
    if (place >= TOTAL) return finish();
    screen("listen");
    began = performance.now();
    players.forEach(({ audio, button, box, heard }, side) => {
      heard.textContent = "";
      audio.src = "data:audio/ogg;base64," + data.sounds[place][side];
      button.classList.remove("begun");
      for (const input of box.querySelectorAll("input")) {
        input.checked = said.pairs[place].marks[side][input.name.slice(0, -1)] === +input.value;
      }
    });
    $("where").textContent = `Pair ${place + 1} of ${TOTAL}`;
    const done = said.pairs.filter((pair) => pair.choice !== null).length;
    $("bar").setAttribute("aria-valuemax", String(TOTAL));
    $("bar").setAttribute("aria-valuenow", String(done));
    $("bar").firstElementChild.style.width = `${(100 * done) / TOTAL}%`;
    update();
    $("where").focus(); // away from what was pressed, so that the keys mean the new pair
  }
  function missing() {
    const { plays, choice, marks } = said.pairs[shown];
    const unheard = [0, 1].filter((side) => !plays[side]).map((side) => "AB"[side]);
    if (unheard.length) return `Listen to ${unheard.join(" and ")} first.`;
    if (choice === null) return "Which one is better?";
    const open = [0, 1].filter((side) => SCALES.some(([name]) => !marks[side][name]));
    if (data.ratings && open.length) {
      return `Rate ${open.map((side) => "AB"[side]).join(" and ")} on all four scales.`;
    }
    return "";
  }
  function update() {
    const { plays, choice } = said.pairs[shown], heard = plays[0] > 0 && plays[1] > 0;
    for (const button of choices) {
      button.disabled = !heard;
      button.setAttribute("aria-pressed", String(button.dataset.choice === choice));
    }
    players.forEach(({ box, heard: line }, side) => {
      box.classList.toggle("chosen", choice === String(side));
      if (plays[side]) line.textContent = plays[side] === 1 ? "heard once" : `heard ${plays[side]} times`;
    });
    $("hint").textContent = missing();
    $("next").disabled = missing() !== "";
    $("next").textContent = shown + 1 < TOTAL ? "Next" : "Finish";
    $("back").disabled = shown === 0;
  }
  function choose(choice) {
    const pair = said.pairs[shown];
    if (!pair.plays[0] || !pair.plays[1]) return;
    if (pair.choice === null) pair.seconds = Math.round((performance.now() - began) / 100) / 10;
    pair.choice = choice;
    keep();
    update();
  }
  function next() { if (!missing()) show(shown + 1); }
  function back() { if (shown > 0) show(shown - 1); }
  function finish() {
    const text = JSON.stringify(result(), null, 1);
    $("text").value = text;
    if ($("save").href) URL.revokeObjectURL($("save").href);
    $("save").href = URL.createObjectURL(new Blob([text + "\n"], { type: "application/json" }));
    screen("end");
    $("save").focus();
  }

  for (const button of choices) button.addEventListener("click", () => choose(button.dataset.choice));
  $("next").addEventListener("click", next);
  $("back").addEventListener("click", back);
  $("again").addEventListener("click", () => show(TOTAL - 1));
  $("other").addEventListener("click", () => {
    try { localStorage.removeItem(KEPT); } catch { /* nothing was kept */ }
    said = { listener: "", started: "", place: 0, pairs: Array.from({ length: TOTAL }, blank) };
    $("listener").value = "";
    screen("start");
    $("listener").focus();
  });
  $("text").addEventListener("focus", () => $("text").select());
  $("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    said.listener = $("listener").value.trim() || "listener";
    said.started = said.started || new Date().toISOString();
    show(Math.min(said.place, TOTAL));
  });
  document.addEventListener("keydown", (event) => {
    if ($("listen").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target, inScale = on.matches("input");
    const keys = { a: () => toggle(0), b: () => toggle(1), Backspace: back };
    if (!inScale) { // there the arrows move between the marks
      keys.ArrowLeft = () => choose("0");
      keys.ArrowRight = () => choose("1");
      keys.ArrowDown = () => choose("none");
    }
    // Enter on a button is the button's own, but on the choice that was made it goes on.
    if (!on.matches("button") || (choices.includes(on) && !missing())) keys.Enter = next;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.repeat) return;
    event.preventDefault();
    act();
  });

  restore();
  $("count").textContent = String(TOTAL);
  $("listener").value = said.listener;
  document.body.classList.toggle("with-scales", data.ratings);
  if (data.ratings) [0, 1].forEach(scales);
  if (said.started && said.listener) show(Math.min(said.place, TOTAL));
  else {
    screen("start");
    if (matchMedia("(hover: hover)").matches) $("listener").focus(); // no keyboard over a phone
  }
})();
