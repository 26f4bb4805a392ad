// A list that the server searches, sorts and cuts into pages; more comes when its end is near.
import { page, query } from "../core/api.js";
import { h, listen, onEnd, signal } from "../core/dom.js";
import { keepPlace } from "../core/focus.js";
import { t } from "../core/i18n.js";
import { button, inWords, note, skeleton } from "./bits.js";

const PAGE = 50;
const CONTROLS = "a[href], button, summary, input[type=checkbox]";
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

// Arrow keys go from a control of a row to the same one of the next; Enter on what only marks a row
// opens it. From a search field the first arrow goes into the list.
function steps(event, body) {
  const { key, target } = event, step = STEPS[key], row = target.closest("tr");
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const rows = [...body.rows], at = rows.indexOf(row), seen = one => [...one.querySelectorAll(CONTROLS)].filter(el => el.checkVisibility());
  if (key === "Enter" && at >= 0 && target.type === "checkbox") row.querySelector("a[href]")?.click();
  const next = step ? rows[at + step] : key === "Home" ? rows[0] : key === "End" ? rows.at(-1) : null;
  if (!next || (at < 0 && step !== 1)) return;
  const controls = seen(next), to = controls[Math.max(0, at < 0 ? controls.findIndex(el => el.tagName === "A") : Math.min(seen(row).indexOf(target), controls.length - 1))];
  if (!to) return;
  event.preventDefault();
  to.focus();
  next.scrollIntoView({ block: "nearest" });
}

// columns: [{key, label, sort, optional, hidden}]; row(found) gives the cells; filters: a signal of
// the query; label: what the table is; rows: fetches what the rows need besides. Gives {el, total, again}.
export function table({ path, filters, columns, row, none, label, sort, onSort, rows: keep }) {
  const total = signal(null), problem = signal(null), waiting = signal(true), more = signal(null);
  const body = h("tbody", { onkeydown: event => steps(event, body) });
  let asking = null, count = 0;

  async function load(from) {
    asking?.abort();
    asking = new AbortController();
    waiting.value = true;
    try {
      const found = await page(from ?? `${path}?${query({ ...filters.peek(), limit: PAGE })}`, { abort: asking.signal });
      const rows = found.rows.map(one => h("tr", {}, ...row(one, again)));
      if (from) body.append(...rows);
      else keepPlace([...body.children], () => { body.replaceChildren(...rows); count = 0; return rows; });
      keep?.(found.rows).catch(error => { problem.value = error; });
      count += found.rows.length;
      total.value = found.total ?? count;
      more.value = found.next;
      problem.value = null;
      if (found.next && end.getBoundingClientRect().top < innerHeight + 300 && count < 500) load(found.next);
      else waiting.value = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      problem.value = error;
      waiting.value = false;
    }
  }
  const again = () => load();
  const end = h("div.list-end", {});
  const watch = new IntersectionObserver(([seen]) => {
    if (seen.isIntersecting && more.peek() && !waiting.peek()) load(more.peek());
  }, { rootMargin: "400px" });
  watch.observe(end);
  onEnd(() => { watch.disconnect(); asking?.abort(); });

  const heading = c => h("th", { scope: "col", class: c.optional ? "opt" : "",
    "aria-sort": () => (c.sort && sort ? (sort.value === c.sort ? "ascending" : sort.value === `-${c.sort}` ? "descending" : null) : null) },
  c.sort ? h("button", { type: "button", onclick: () => onSort(sort.peek() === c.sort ? `-${c.sort}` : c.sort) }, c.label,
    h("span", { "aria-hidden": "true" }, () => (sort.value === c.sort ? " ↑" : sort.value === `-${c.sort}` ? " ↓" : "")))
    : c.hidden ? h("span.vh", {}, c.label) : c.label);

  const el = h("div", {},
    () => problem.value && note("bad", inWords(problem.value), button(t("app.again"), again)),
    h("section.card", { "aria-label": label, hidden: () => total.value === 0 || total.value === null },
      h("table.list", {}, h("caption.vh", {}, label), h("thead", {}, h("tr", {}, columns.map(heading))), body)),
    () => !total.value && (total.value === null || waiting.value) && !problem.value && skeleton(6), // also while parts come empty
    () => total.value === 0 && !waiting.value && none(),
    end,
    () => more.value && !waiting.value && h("p.centre", {}, button(t("list.more"), () => load(more.peek()))));
  listen(document, "keydown", event => { if (event.key === "ArrowDown" && event.target.type === "search" && !event.target.closest("dialog")) steps(event, body); });
  load();
  return { el, total, again };
}
