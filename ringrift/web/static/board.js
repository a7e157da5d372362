// Boards: stepping through a game, choosing a move by clicks or keys, and a search that grows.
// What the page shows comes from the server as parts with ids, which replace the old ones.
"use strict";

const byId = (id) => document.getElementById(id);

function swap(html) {
  const cell = document.activeElement?.dataset?.cell;
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const fresh of [...page.body.children]) byId(fresh.id)?.replaceWith(document.importNode(fresh, true));
  if (cell) document.querySelector(`[data-cell="${cell}"]`)?.focus({ preventScroll: true });
}

async function load(address, options) {
  const response = await fetch(address, options);
  const text = await response.text();
  if (response.ok) return text;
  const page = new DOMParser().parseFromString(text, "text/html");
  throw new Error(page.querySelector(".lead")?.textContent || `the server answered ${response.status}`);
}

const typing = (event) => event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;

// A game: the slider, the keys, the list of moves, the graph and autoplay all lead to a ply.
function viewer(root) {
  const plies = Number(root.dataset.plies);
  const slider = byId("ply"), button = byId("autoplay");
  let shown = Number(byId("position").dataset.ply), wanted = shown, busy = false, timer = 0;

  function mark() {
    slider.value = shown;
    const line = root.querySelector(".graph .cursor");
    if (line) for (const end of ["x1", "x2"]) line.setAttribute(end, place(line.ownerSVGElement, shown));
    root.querySelector(".turn [aria-current]")?.removeAttribute("aria-current");
    const move = root.querySelector(`.turn [data-ply="${shown}"]`);
    move?.setAttribute("aria-current", "step");
    const list = root.querySelector(".turns .scroll");
    if (move) list.scrollTop += move.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
    else list.scrollTop = 0;
  }

  async function show(ply) {
    wanted = Math.min(Math.max(ply, 0), plies);
    if (busy) return;
    busy = true;
    while (shown !== wanted) {
      const next = wanted;
      try {
        swap(await load(`${root.dataset.base}?ply=${next}`));
      } catch {
        wanted = shown; // the server is away: stay
        break;
      }
      shown = next;
      mark();
    }
    busy = false;
    history.replaceState(null, "", `?ply=${shown}`);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
    button.setAttribute("aria-pressed", "false");
  }

  function start() {
    if (wanted === plies) show(0);
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
    timer = setInterval(() => (wanted === plies ? stop() : show(wanted + 1)), 700);
  }

  const keys = { ArrowLeft: () => wanted - 1, ArrowRight: () => wanted + 1, Home: () => 0, End: () => plies };
  document.addEventListener("keydown", (event) => {
    if (typing(event) || !keys[event.key] || event.target.closest(".scroll")) return;
    event.preventDefault();
    stop();
    show(keys[event.key]());
  });
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='?ply=']");
    const graph = event.target.closest(".graph");
    if (link) show(Number(new URLSearchParams(link.getAttribute("href")).get("ply")));
    else if (graph) show(plyAt(graph, event.clientX));
    else return;
    event.preventDefault();
    stop();
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (timer ? stop() : start()));
  for (const element of root.querySelectorAll(".script")) element.hidden = false;
  mark();
}

const numbers = (graph) => ["plies", "pad", "width"].map((name) => Number(graph.dataset[name]));
const place = (graph, ply) => {
  const [plies, pad, width] = numbers(graph);
  return pad + ((width - 2 * pad) * ply) / Math.max(1, plies);
};
const plyAt = (graph, x) => {
  const [plies, pad, width] = numbers(graph);
  return Math.round(((new DOMPoint(x, 0).matrixTransform(graph.getScreenCTM().inverse()).x - pad) / (width - 2 * pad)) * plies);
};

// A game being played: clicks and keys lead to one of the legal moves.
function table(root) {
  let moves = [], path = [], sending = false;
  const cells = () => [...root.querySelectorAll("[data-cell]")];
  const fits = (move, steps = path) => steps.every((cell, at) => move.steps[at]?.includes(cell));
  const open = () => moves.filter((move) => move.steps.length && fits(move));
  const ends = (list) => new Set(list.flatMap((move) => move.steps[path.length] ?? []));

  function read() {
    moves = JSON.parse(byId("choosing")?.dataset.choices ?? "[]").map(([token, steps, taken, label]) => ({ token, steps, taken, label }));
    path = [];
    const list = root.querySelector(".turns .scroll");
    list.scrollTop = list.scrollHeight;
    begin();
  }

  function begin() { // the only stack that may move is chosen already
    const list = open();
    if (list.length && list.every((move) => move.steps.length > path.length + 1) && ends(list).size === 1) path.push([...ends(list)][0]);
    draw();
  }

  function draw() {
    const list = open(), targets = ends(list);
    const home = path.at(-1) ?? [...targets][0] ?? cells()[0]?.dataset.cell;
    for (const cell of cells()) {
      const name = cell.dataset.cell, isTarget = targets.has(name);
      cell.classList.toggle("target", isTarget);
      cell.classList.toggle("picked", path.includes(name));
      cell.setAttribute("aria-disabled", String(!isTarget));
      cell.tabIndex = name === home ? 0 : -1;
    }
    const bar = byId("choices");
    if (!bar) return;
    bar.replaceChildren(...buttons(list));
  }

  function buttons(list) {
    const words = path.length && !begun() ? [] : moves.filter((move) => !move.steps.length);
    const spelled = list.filter((move) => move.steps.length === path.length || /^[LTEF]/.test(move.token));
    const made = [...spelled, ...words].map((move) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = move.steps.length ? "" : "quiet";
      button.textContent = move.label;
      button.dataset.token = move.token;
      button.addEventListener("click", () => send("move", { token: move.token }));
      for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => take(move.taken));
      for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => take([]));
      return button;
    });
    if (path.length && !begun()) {
      const back = document.createElement("button");
      back.type = "button";
      back.className = "quiet";
      back.textContent = "choose again";
      back.addEventListener("click", again);
      made.push(back);
    }
    return made;
  }

  const begun = () => { // whether the first step was chosen for the player
    const list = moves.filter((move) => move.steps.length);
    return path.length === 1 && list.every((move) => move.steps[0].includes(path[0]) && move.steps[0].length === 1);
  };
  const again = () => { path = []; begin(); };

  function take(names) {
    for (const cell of cells()) cell.classList.toggle("taken", names.includes(cell.dataset.cell));
  }

  function choose(name) {
    if (sending || !moves.length) return;
    if (!ends(open()).has(name)) {
      path = [];
      begin();
      if (!ends(open()).has(name)) return;
    }
    path.push(name);
    const list = open();
    if (list.length === 1 && list[0].steps.length === path.length) return void send("move", { token: list[0].token });
    draw();
    if (list.every((move) => move.steps.length === path.length)) byId("choices").querySelector("button")?.focus();
  }

  async function send(action, fields = {}) {
    if (sending) return;
    sending = true;
    const focused = root.contains(document.activeElement);
    root.classList.add("busy");
    try {
      const body = new URLSearchParams({ ply: byId("position").dataset.ply, ...fields });
      show(await load(`${root.dataset.base}/${action}`, { method: "POST", body, headers: { "X-Part": "1" } }));
      byId("trouble").textContent = "";
    } catch (error) {
      byId("trouble").textContent = error.message;
      again();
    }
    sending = false;
    root.classList.remove("busy");
    if (focused && document.activeElement === document.body) {
      root.querySelector('[data-cell][tabindex="0"]')?.focus({ preventScroll: true });
    }
    refresh();
  }

  function neighbour(from, key) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const middle = (cell) => { const box = cell.getBBox(); return [box.x + box.width / 2, box.y + box.height / 2]; };
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const cell of cells()) {
      const [cx, cy] = middle(cell), along = (cx - x) * dx + (cy - y) * dy, across = Math.abs((cx - x) * dy) + Math.abs((cy - y) * dx);
      if (along < 1 || across > along) continue;
      if (along + 2 * across < least) { least = along + 2 * across; best = cell; }
    }
    return best;
  }

  root.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-cell]"), action = event.target.closest("[data-action]");
    if (cell) choose(cell.dataset.cell);
    else if (action && (!action.dataset.confirm || confirm(action.dataset.confirm))) send(action.dataset.action);
  });
  root.addEventListener("mouseover", (event) => {
    const name = event.target.closest?.("[data-cell]")?.dataset.cell, list = name ? open().filter((move) => fits(move, [...path, name])) : [];
    take(list.length === 1 ? list[0].taken : []);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return void again();
    const cell = event.target.closest("[data-cell]");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") choose(cell.dataset.cell);
    else if (event.key.startsWith("Arrow")) neighbour(cell, event.key)?.focus();
    else return;
    event.preventDefault();
  });

  let newest = 0, refreshing = false;
  const version = (part) => Number(part.dataset.version);

  function show(html) { // answers may overtake each other: an older one is dropped
    const page = new DOMParser().parseFromString(html, "text/html");
    if (version(page.getElementById("position")) < version(byId("position"))) return;
    swap(html);
    read();
  }

  async function refresh() { // a version that comes during a request is looked at after it
    if (refreshing) return;
    refreshing = true;
    try {
      while (!sending && newest > version(byId("position"))) show(await load(`${root.dataset.base}/position`));
    } catch {
      // the server is away; the next version comes when it is back
    }
    refreshing = false;
  }

  const changes = new EventSource(`${root.dataset.base}/live`);
  changes.addEventListener("message", (message) => { newest = Number(message.data); refresh(); });
  addEventListener("pagehide", () => changes.close());
  read();
}

// A search: the server sends its parts again while it grows.
function grow(address, ended = () => {}) {
  const growing = new EventSource(address);
  const end = () => { growing.close(); ended(); };
  growing.addEventListener("message", (message) => swap(JSON.parse(message.data)));
  growing.addEventListener("trouble", (message) => { byId("trouble").textContent = JSON.parse(message.data); end(); });
  growing.addEventListener("end", end);
  growing.addEventListener("error", () => {
    if (growing.readyState !== EventSource.CLOSED) return;
    byId("trouble").textContent = "The search was refused: sign in first, or wait until others have ended.";
  });
  addEventListener("pagehide", () => growing.close());
}

function search(root) {
  if (!root.dataset.done) grow(root.dataset.stream);
  for (const element of root.querySelectorAll(".script")) element.hidden = false;
  root.addEventListener("click", (event) => {
    if (event.target.id !== "reviewing") return;
    event.target.disabled = true;
    grow(byId("review").dataset.stream);
  });
  document.addEventListener("keydown", (event) => {
    if (!typing(event) && !event.target.closest(".table, .scroll")) root.querySelector(`[data-key="${event.key}"]`)?.click();
  });
}

// A new game: only the seats of the board are asked for.
function lobby(form) {
  function show() {
    const seats = Number(form.config.value.split("_")[1][0]), network = form.config.selectedOptions[0].dataset.network;
    for (const field of form.querySelectorAll("[data-seat]")) field.hidden = field.disabled = Number(field.dataset.seat) > seats;
    for (const [field, value] of [["name", "person"], ["other", "other"]]) {
      for (const one of form.querySelectorAll(`.${field}`)) one.hidden = one.closest("fieldset").querySelector("select").value !== value;
    }
    for (const option of form.querySelectorAll("option[value=current]")) {
      option.disabled = !network;
      if (option.selected && !network) option.parentElement.value = "D3";
    }
    form.querySelector(".pie").hidden = seats !== 2;
  }
  form.addEventListener("change", show);
  for (const element of form.querySelectorAll(".unused")) element.remove();
  show();
}

if (byId("viewer")) viewer(byId("viewer"));
if (byId("table")) table(byId("table"));
if (byId("search")) search(byId("search"));
if (byId("newgame")) lobby(byId("newgame"));
