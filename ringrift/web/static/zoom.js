// Charts and boards that zoom: by wheel (with Ctrl, or after a click), by dragging, with two fingers, by
// keys and by buttons. In charts marks and words keep their size, the words of the axes their place. A
// tap on a board with small cells enlarges it first. Without this file they are plain pictures.
"use strict";

const MOST = 32, DRAG_PIXELS = 4, CELL_PIXELS = 24, CELL_PIXELS_ENLARGED = 42;
const views = new Map(); // by the name of the picture, so that its newer self shows the same part

function zoomable(svg) {
  const board = svg.matches(".board"), name = board ? "the board" : svg.getAttribute("aria-label");
  const { x: left, y: top, width, height } = svg.viewBox.baseVal;
  const view = views.get(name) ?? { x: left, y: top, k: 1 };
  const pointers = new Map(); // by id: where they were last
  let dragged = false, finger = false;
  views.set(name, view);

  function show() {
    view.x = Math.min(Math.max(view.x, left), left + width * (1 - 1 / view.k));
    view.y = Math.min(Math.max(view.y, top), top + height * (1 - 1 / view.k));
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${width / view.k} ${height / view.k}`);
    svg.style.setProperty("--zoom", view.k);
    svg.classList.toggle("zoomed", view.k > 1);
    for (const text of svg.querySelectorAll(".up, .along")) {
      const across = view.x + text.getAttribute("x") * (1 / view.k - 1), down = view.y + text.getAttribute("y") * (1 / view.k - 1);
      text.setAttribute("transform", `translate(${text.matches(".up") ? across : 0} ${text.matches(".along") ? down : 0})`);
    }
    for (const button of tools.children) button.disabled = button.textContent !== "+" && view.k === 1;
  }

  function zoom(factor, x = view.x + width / view.k / 2, y = view.y + height / view.k / 2) {
    const k = Math.min(Math.max(view.k * factor, 1), MOST);
    view.x = x - ((x - view.x) * view.k) / k;
    view.y = y - ((y - view.y) * view.k) / k;
    view.k = k;
    show();
  }

  function pan(dx, dy) { // in pixels
    const size = width / view.k / svg.getBoundingClientRect().width;
    view.x -= dx * size;
    view.y -= dy * size;
    show();
  }

  const at = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
  const apart = () => { const [one, two] = [...pointers.values()]; return Math.hypot(one.x - two.x, one.y - two.y); };
  const middle = () => { const [one, two] = [...pointers.values()]; return at((one.x + two.x) / 2, (one.y + two.y) / 2); };

  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== svg) return;
    event.preventDefault();
    const { x, y } = at(event.clientX, event.clientY);
    zoom(Math.exp(-event.deltaY / 400), x, y);
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => {
    if (!pointers.size) dragged = false;
    finger = event.pointerType === "touch";
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  svg.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last || pointers.size > 2) return;
    const dx = event.clientX - last.x, dy = event.clientY - last.y, before = pointers.size === 2 && apart();
    if (!dragged && pointers.size === 1 && (view.k === 1 || Math.hypot(dx, dy) < DRAG_PIXELS)) return;
    dragged = true;
    svg.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    pan(dx / pointers.size, dy / pointers.size);
    if (before) zoom(apart() / before, middle().x, middle().y);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) svg.addEventListener(end, (event) => pointers.delete(event.pointerId));
  svg.addEventListener("click", (event) => {
    const cell = board && finger && event.target.closest("[data-cell]")?.getBoundingClientRect().width;
    if (dragged || (cell && cell < CELL_PIXELS)) {
      event.preventDefault();
      event.stopPropagation();
      const { x, y } = at(event.clientX, event.clientY);
      if (!dragged) zoom(CELL_PIXELS_ENLARGED / cell, x, y);
    } else if (!board && !event.target.closest("a")) svg.focus({ preventScroll: true });
  }, true);
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ("+=".includes(event.key)) zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") zoom(0);
    else if (steps[event.key] && event.target === svg && view.k > 1) pan(...steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const tools = document.createElement("p");
  tools.className = "zoom";
  for (const [text, label, factor] of [["+", "Enlarge", 1.5], ["−", "Reduce", 1 / 1.5], ["Show all", "", 0]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet small";
    button.textContent = text;
    if (label) button.setAttribute("aria-label", `${label}: ${name}`);
    button.addEventListener("click", () => zoom(factor));
    tools.append(button);
  }
  (svg.closest(".scroll") ?? svg).after(tools);
  svg.dataset.zooms = "";
  if (!board) svg.tabIndex = 0;
  show();
}

function find() {
  for (const svg of document.querySelectorAll("svg:is(.elo, .curves, .graph, .board):not([data-zooms])")) {
    const next = (svg.closest(".scroll") ?? svg).nextElementSibling;
    if (next?.matches(".zoom")) next.remove(); // of its older self
    zoomable(svg);
  }
}

find();
new MutationObserver(find).observe(document.body, { childList: true, subtree: true });
