// Replaces the elements with `data-live` by their newer selves when the log has grown, and shows
// times as ages. Everything works without this file.
"use strict";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function showAges(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const seconds = Math.max(0, (Date.now() - Date.parse(element.dateTime)) / 1000);
    const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
    if (!element.title) element.title = element.textContent + " UTC";
    element.textContent = `${Math.floor(seconds / size)} ${unit} ago`;
  }
}

const sent = new Map(); // what the server sent of each element, by id

function nameCells(root) { // for narrow screens, where a row is a paragraph
  for (const table of root.querySelectorAll("table.stack")) {
    const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    for (const cell of table.querySelectorAll("tbody td:not(:first-child):not(.text)")) if (cell.textContent.trim()) cell.dataset.name = names[cell.cellIndex];
  }
}

function replace(old, fresh) {
  if (sent.get(old.id) === fresh.outerHTML) return;
  if (old.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  for (const details of fresh.querySelectorAll("details[id]")) {
    const before = document.getElementById(details.id);
    if (before) details.open = before.open;
  }
  sent.set(old.id, fresh.outerHTML);
  showAges(fresh);
  nameCells(fresh);
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  fresh.dispatchEvent(new CustomEvent("live", { bubbles: true }));
}

async function refresh() {
  const response = await fetch(location.href, { headers: { "X-Live": "1" } });
  if (!response.ok && response.status !== 400) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const fresh = page.getElementById(old.id);
    if (fresh) replace(old, document.importNode(fresh, true));
  }
}

let due = false;
let busy = false;

async function look() {
  if (busy || !due || document.hidden) return;
  busy = true;
  due = false;
  try {
    await refresh();
  } catch {
    due = true; // the server is away; the next version comes when it is back
  }
  busy = false;
  if (due) setTimeout(look, 1000);
}

function follow() {
  const versions = new EventSource("/live");
  let seen = document.body.dataset.version;
  versions.addEventListener("message", (message) => {
    if (message.data === seen) return;
    seen = message.data;
    due = true;
    look();
  });
  addEventListener("pagehide", () => versions.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("visibilitychange", look);
}

for (const output of document.querySelectorAll("output[for]")) {
  const input = document.getElementById(output.htmlFor.value);
  input?.addEventListener("input", () => { output.value = input.value; });
  if (input?.type === "range") input.addEventListener("change", () => input.form.requestSubmit());
}
for (const element of document.querySelectorAll("[data-live][id]")) sent.set(element.id, element.outerHTML);
showAges(document);
nameCells(document);
setInterval(() => showAges(document), 5000);
if (document.body.dataset.version && document.querySelector("[data-live]")) follow();
