// Several people at once: who is chosen in a list, what may be done with them, what came of it.
import { ApiError, get, may, post } from "../core/api.js";
import { h, signal } from "../core/dom.js";
import { number, t } from "../core/i18n.js";
import { bdi, button, inWords, nameOf, toast } from "../pieces/bits.js";
import { ask, dialog, field, input, select } from "../pieces/dialog.js";

const AT_ONCE = 100; // the API takes so many in one request

// Gives {box(person), bar()}: a box for each row, and what is shown above the list. done: after an act.
// Who is chosen stays so while one searches for the next.
export function chosen(done, empty) {
  const who = signal(new Map()), shown = new Map(); // id -> person; id -> box, of the rows that are there
  function choose(people, wanted) {
    const next = new Map(who.peek());
    for (const p of people) { if (wanted) next.set(p.id, p); else next.delete(p.id); }
    who.value = next;
    for (const [id, { box }] of shown) box.checked = next.has(id);
  }
  function box(p) {
    const el = h("input", { type: "checkbox", "aria-label": t("bulk.choose", { name: p.personnel_code }), checked: who.peek().has(p.id), onchange: e => choose([p], e.target.checked) });
    shown.set(p.id, { box: el, p });
    return el;
  }
  const here = () => [...shown].filter(([, { box: el }]) => el.isConnected).map(([, { p }]) => p);
  const all = h("input", { type: "checkbox", id: "choose-all", checked: () => who.value.size > 0,
    indeterminate: () => who.value.size > 0 && here().some(p => !who.value.has(p.id)), onchange: e => choose(e.target.checked ? here() : [...who.peek().values()], e.target.checked) });
  const act = (run, { kind = "", ...more } = {}) => button(t(`bulk.${run}`), () => ACTS[run]([...who.peek().values()]).then(ended => { if (ended) { choose([...who.peek().values()], false); done(); } }), { kind: `small ${kind}`, ...more });
  const bar = () => h("div.chosen.row", { hidden: () => empty(), role: "group", "aria-label": t("bulk.label") },
    h("div.check", {}, all, h("label", { for: "choose-all" }, t("bulk.all"))),
    h("span.num.strong", { role: "status" }, () => (who.value.size ? t("bulk.count", { n: who.value.size }) : "")),
    h("div.row", { hidden: () => who.value.size === 0 }, act("activate", { sign: "yes" }), act("deactivate", { sign: "no" }), act("join"), act("leave"),
      may("admin") && act("erase", { kind: "bad", sign: "bin" })));
  return { box, bar };
}

const switching = name => people => ask(t(`bulk.${name}.title`, { n: people.length }), [names(people)],
  { yes: t(`bulk.${name}`), kind: name === "deactivate" ? "bad" : "", act: () => send("/api/persons/bulk", people, { act: name }) }).then(told(people));

const membership = name => async people => {
  const groups = await get("/api/groups").catch(error => { toast(inWords(error)); return null; });
  if (!groups) return false;
  if (!groups.length) { toast(t("bulk.no_groups")); return false; }
  return ask(t(`bulk.${name}.title`, { n: people.length }), [names(people), field(t("bulk.group"), select("group", "", groups.map(g => [g.id, g.name]), { required: true }))],
    { yes: t(`bulk.${name}`), act: given => send("/api/persons/bulk", people, { act: name, group: Number(given.group) }) }).then(told(people));
};

function erase(people) {
  return ask(t("bulk.erase.title", { n: people.length }), [
    h("p", {}, t("bulk.erase.hint")), names(people),
    field(t("bulk.erase.type", { n: people.length }), input("count", "", { required: true, autofocus: true, inputmode: "numeric", maxlength: 6 })),
    field(t("act.reason"), input("reason", "", { minlength: 3 }), t("bulk.erase.reason")),
  ], { yes: t("bulk.erase"), kind: "bad", act: async given => {
    if (![String(people.length), number(people.length)].includes(given.count)) throw new Error(t("bulk.erase.wrong"));
    return send("/api/persons/bulk-erase", people, { reason: given.reason }, true);
  } }).then(told(people));
}

const ACTS = { activate: switching("activate"), deactivate: switching("deactivate"), join: membership("join"), leave: membership("leave"), erase };

// In parts, as many as the API takes; what a part says of its people is kept when the next one fails.
async function send(path, people, body, counted = false) {
  const results = [];
  for (let at = 0; at < people.length; at += AT_ONCE) {
    const ids = people.slice(at, at + AT_ONCE).map(p => p.id);
    try { results.push(...await post(path, { ...body, ids, ...(counted && { count: ids.length }) })); } catch (error) {
      if (!results.length) throw error;
      results.push(...people.slice(at).map(p => ({ person_id: p.id, done: false, code: error.code ?? "unavailable", detail: inWords(error) })));
      break;
    }
  }
  return results;
}

const names = people => h("p.muted.names", {}, bdi(people.slice(0, 8).map(nameOf).join(", ")), people.length > 8 && ` ${t("bulk.more", { n: people.length - 8 })}`);

const told = people => async results => {
  if (!results) return false;
  const by = new Map(people.map(p => [p.id, p])), failed = results.filter(one => !one.done), receipts = results.filter(one => one.receipt);
  const good = results.length - failed.length;
  if (!failed.length && !receipts.length) { toast(t("bulk.done", { n: good })); return true; }
  const line = (one, text) => h("li", {}, h("div.grow", {}, bdi(nameOf(by.get(one.person_id))), h("div.small.muted", {}, bdi(by.get(one.person_id).personnel_code))), text);
  await dialog(t("bulk.outcome"), close => [
    h("p", { role: "status" }, t("bulk.done", { n: good }), failed.length > 0 && ` ${t("bulk.failed", { n: failed.length })}`),
    failed.length > 0 && list(t("bulk.not_done"), failed.map(one => line(one, h("span.small.bad-text", {}, inWords(new ApiError(0, one)))))),
    receipts.length > 0 && list(t("bulk.receipts"), receipts.map(one => line(one, h("span.small.num.break", {}, `${t("receipt.seq")} ${one.receipt.seq} · ${one.receipt.hash.slice(0, 16)}`)))),
    h("div.row.end", {}, receipts.length > 0 && button(t("app.print"), () => print()), button(t("app.close"), () => close(), { kind: "main" })),
  ], { wide: true });
  return good > 0;
};

const list = (label, lines) => h("section", { "aria-label": label }, h("h3", {}, label), h("ul.rows.tall", { tabindex: 0, "aria-label": label }, lines));
