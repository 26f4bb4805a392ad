// Filters that somebody keeps under a name. They stay in this browser, each account's apart.
import { query, session } from "../core/api.js";
import { h, signal } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { address, go } from "../core/router.js";
import { button } from "./bits.js";
import { ask, field, input } from "./dialog.js";

const MOST = 20;
const opened = new Map(); // the name that was chosen last, by list

// path: of the list; fixed: what its address always has; keys: what narrows it down, without periods.
export function saved(path, fixed, keys) {
  const place = `filters ${session.peek()?.username} ${path} ${query(fixed)}`;
  const kept = signal(read(place));
  const keep = next => { localStorage.setItem(place, JSON.stringify(next)); kept.value = next; };
  const current = () => { const at = new URLSearchParams(address.value); return query(Object.fromEntries(keys.map(key => [key, at.get(key)]))); };
  // who has chosen one and gone on from there has changed it
  const name = () => Object.keys(kept.value).find(one => kept.value[one] === current()) ?? (kept.value[opened.get(place)] !== undefined ? opened.get(place) : "");
  const changed = () => Boolean(name()) && kept.value[name()] !== current();
  const choose = wanted => { opened.set(place, wanted); go(`${path}?${[query(fixed), kept.peek()[wanted] ?? ""].filter(Boolean).join("&")}`); };
  const save = () => ask(t("saved.save"), [
    field(t("saved.name"), input("name", name(), { required: true, maxlength: 60, autofocus: true }), t("saved.hint")),
  ], { yes: t("app.save"), act: given => {
    const next = { ...kept.peek(), [given.name]: current() };
    if (Object.keys(next).length > MOST) throw new Error(t("saved.most", { n: MOST }));
    opened.set(place, given.name);
    keep(next);
  } });
  const forget = () => { const { [name()]: _, ...rest } = kept.peek(); opened.delete(place); keep(rest); };
  const option = one => h("option", { value: one, selected: one === name() }, one === name() && changed() ? t("saved.changed", { name: one }) : one);
  return () => [
    Object.keys(kept.value).length > 0 && h("select", { "aria-label": t("saved.label"), onchange: e => choose(e.target.value) }, h("option", { value: "" }, t("saved.none")), Object.keys(kept.value).map(option)),
    current() && (!name() || changed()) && button(t("saved.save"), save, { sign: "plus" }),
    name() && !changed() && button(t("saved.forget"), forget, { sign: "bin" })];
}

function read(place) {
  try { return Object.fromEntries(Object.entries(JSON.parse(localStorage.getItem(place)) ?? {}).filter(([, value]) => typeof value === "string")); } catch { return {}; }
}
