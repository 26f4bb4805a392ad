// Which screen an address means; a screen is loaded when it is opened for the first time.
import { signal } from "./dom.js";

export const BASE = "/ui/";
export const here = signal(read());
export const address = signal(location.search); // what the screen is narrowed down to at this moment

function plain(part) { try { return decodeURIComponent(part); } catch { return part; } }

function read() {
  const [name = "", ...rest] = location.pathname.slice(BASE.length).split("/").filter(Boolean).map(plain);
  return { name, rest, query: new URLSearchParams(location.search) };
}

export function go(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path.startsWith("/") ? path : BASE + path);
  moved();
}
function moved() {
  address.value = location.search;
  here.value = read();
}

// Keeps what a list is narrowed down to in the address, for "back" and for whoever is sent the link.
export function remember(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value === null || value === undefined || value === false) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(null, "", url);
  address.value = url.search;
}

addEventListener("popstate", moved);
document.addEventListener("click", event => {
  const link = event.target.closest?.(`a[href^="${BASE}"]`);
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target || link.download) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
