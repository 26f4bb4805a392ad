// Attendance: what has to be mended first, a day, the log, months, requests; and a week of one person.
import { get, may, post, query } from "../core/api.js";
import { h, inOrder, signal } from "../core/dom.js";
import { addDays, clockOf, day, duration, fromSite, lastOf, moment, number, spoken, t, time, today, toSite, weekOf, word } from "../core/i18n.js";
import { BASE, remember } from "../core/router.js";
import { bdi, button, chip, empty, head, inWords, loaded, nameOf, note, outcome, toast } from "../pieces/bits.js";
import { bars } from "../pieces/chart.js";
import { ask, checkbox, dialog, field, input, select } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { saved } from "../pieces/saved.js";
import { tabbar, viewOf } from "../pieces/tabbar.js";
import { table } from "../pieces/table.js";

export default function attendance({ place }) {
  if (place.rest[0]) return week(Number(place.rest[0]));
  const shown = { exceptions, day: oneDay, log, months, requests };
  const views = Object.keys(shown).filter(name => name !== "requests" || may("operator")), view = viewOf(place, views);
  return h("div", {}, head(t("app.attendance"), h("span.grow"), button(t("attendance.export"), exporting, { sign: "down" })),
    tabbar(t("app.attendance"), views.map(name => [name, t(`attendance.${name}`)]), view),
    h("div.below", {}, () => shown[view.value](place.query)));
}

// A day, or a month, that an address names, if it is one.
const named = (query, name, otherwise) => (/^\d{4}-\d\d(-\d\d)?$/.test(query.get(name) ?? "") && Date.parse(query.get(name)) ? query.get(name) : otherwise);
const midnight = day_ => (day_ ? fromSite(`${day_}T00:00`) : null);

const personLink = row => h("a.strong", { href: `${BASE}attendance/${row.person_id}` }, bdi(nameOf(row)));

function period(from, to, change) {
  const begin = input("from", from, { type: "date", max: today(), onchange: () => change(begin.value, end.value) });
  const end = input("to", to, { type: "date", max: today(), onchange: () => change(begin.value, end.value) });
  return h("div.filters", {}, field(t("attendance.from"), begin), field(t("attendance.to"), end));
}

// --- exceptions ------------------------------------------------------------------------------

function exceptions(at) {
  const asked = { from: named(at, "from", addDays(today(), -6)), to: named(at, "to", today()) };
  const filters = signal(asked);
  const shown = table({ path: "/api/attendance/exceptions", filters, label: t("attendance.exceptions"),
    columns: [{ label: t("attendance.name") }, { label: t("attendance.notes") }, { label: t("app.change"), hidden: true }],
    row: oddDay, none: () => empty("yes", t("attendance.fine")) });
  return h("div", {}, period(asked.from, asked.to, (from, to) => { if (from && to) { remember({ from, to }); filters.value = { from, to }; shown.again(); } }), shown.el);
}

const oddDay = (d, again) => [
  h("td", {}, h("div.person", {}, h("span.mark.warn", {}, icon("warn", 18)), h("div", {}, personLink(d), h("div.small.muted.num", {}, `${day(d.date)} · ${clockOf(d.first_in)} – ${clockOf(d.last_out)}`)))),
  h("td", {}, h("span.chips", {}, ...marks(d))),
  h("td", {}, h("div.row.end", {}, may("operator") && d.open_visits > 0 && button(t("attendance.add_exit"), () => punch({ person_id: d.person_id, name: nameOf(d), at: `${d.date}T17:00`, direction: missing(d) }, again), { kind: "small" }),
    h("a.btn.small", { href: `${BASE}attendance/${d.person_id}?week=${d.date}` }, t("attendance.look"))))];

const missing = d => (d.visits.some(v => v.open && !v.entry) ? "entry" : "exit");
const marks = d => [
  d.visits.some(v => v.open && !v.exit) && chip("warn", "warn", t("attendance.open")),
  d.visits.some(v => v.open && !v.entry) && chip("warn", "warn", t("attendance.no_entry")),
  d.late_s && chip("warn", "clock", t("attendance.late", { by: duration(d.late_s) })),
  d.clock_unset && chip("warn", "clock", t("attendance.clock_unset")),
  d.corrections > 0 && chip("", "edit", t("attendance.corrections", { n: d.corrections })),
].filter(Boolean);

// Puts down a passage that the gate did not see.
async function punch({ person_id, name, at, direction }, again) {
  const done = await ask(t("attendance.punch", { name }), [
    h("div.pair", {}, field(t("attendance.at"), input("at", at, { type: "datetime-local", required: true, autofocus: true }), t("attendance.zone")), field(t("decision.direction"), select("direction", direction, ["entry", "exit"].map(w => [w, word("direction", w)])))),
    field(t("act.reason"), input("reason", "", { required: true, minlength: 3, maxlength: 500 }), t("act.reason.hint")),
  ], { yes: t("app.save"), act: given => post("/api/attendance", { person_id, direction: given.direction, created_at: fromSite(given.at), reason: given.reason }) });
  if (done) { toast(t("app.saved")); again(); }
}

// Puts another row in the place of one; the old one stays on record.
async function correct(row, again) {
  const versions = await get(`/api/attendance/${row.id}`);
  const done = await ask(t("attendance.correct"), [
    h("div.pair", {}, field(t("attendance.at"), input("at", toSite(row.created_at), { type: "datetime-local", required: true, autofocus: true }), t("attendance.zone")), field(t("decision.direction"), select("direction", row.direction, ["entry", "exit"].map(w => [w, word("direction", w)])))),
    field(t("attendance.void"), checkbox("void", false), t("attendance.void.hint")),
    field(t("act.reason"), input("reason", "", { required: true, minlength: 3, maxlength: 500 }), t("act.reason.hint")),
    versions.versions.length > 1 && h("details", {}, h("summary", {}, t("attendance.history")), h("ul.rows", {}, versions.versions.map(v => h("li", {}, h("span.num", {}, moment(v.created_at)), h("span", {}, word("direction", v.direction)), h("span.muted", {}, [v.author, v.cause].filter(Boolean).join(": ")))))),
  ], { yes: t("app.save"), act: given => post(`/api/attendance/${row.id}/corrections`, given.void ? { status: "void", reason: given.reason }
    : { ...(given.at === toSite(row.created_at) ? {} : { created_at: fromSite(given.at) }), ...(given.direction === row.direction ? {} : { direction: given.direction }), reason: given.reason }) });
  if (done) { toast(t("app.saved")); again(); }
}

const shotOf = id => `/api/gate/snapshots/${id}/thumbnail`;
const look = id => dialog(t("now.shot"), close => [h("img.shot.large", { src: shotOf(id), alt: t("now.shot") }), h("div.row.end", {}, button(t("app.close"), () => close(), { kind: "main" }))]);

// --- a day -----------------------------------------------------------------------------------

function oneDay(at) {
  const chosen = signal(named(at, "day", today())), filters = signal({}), came = signal([]), problem = signal(null), turn = inOrder();
  let shown = null;
  const pick = value => { if (value) { remember({ day: value }); chosen.value = value; look(); } };
  const before = button(t("attendance.before"), () => pick(addDays(chosen.peek(), -1)), { sign: "back" });
  const after = button(t("attendance.after"), () => pick(addDays(chosen.peek(), 1)), { sign: "next", disabled: () => chosen.value >= today() });
  async function look() {
    const on = chosen.peek();
    filters.value = { from: on, to: on, by: "day" };
    shown?.again();
    const mine = turn();
    try {
      const told = await get("/api/attendance/arrivals", { day: on });
      if (mine()) { came.value = told; problem.value = null; }
    } catch (error) { if (mine()) { came.value = []; problem.value = error; } }
  }
  look();
  shown = table({ path: "/api/attendance/summary", filters, label: t("attendance.day"),
    columns: ["name", "in_out", "inside", "notes"].map((key, n) => ({ label: t(`attendance.${key}`), optional: n > 1 })),
    row: d => [h("td", {}, personLink(d), h("div.small.muted", {}, bdi(d.department ?? ""))), h("td.num", {}, `${clockOf(d.first_in)} – ${d.visits.at(-1)?.present ? t("attendance.present") : clockOf(d.last_out)}`),
      h("td.num.opt", {}, duration(d.inside_s)), h("td.opt", {}, h("span.chips", {}, ...marks(d)))],
    none: () => empty("clock", t("attendance.nobody")) });
  const arrivals = () => Array.from({ length: 24 }, (_, hour) => [number(hour), came.value.find(c => c.hour === hour)?.people ?? 0]);
  return h("div", {}, h("div.filters", {}, h("div.row", {}, before,
    h("input", { type: "date", value: () => chosen.value, max: today(), "aria-label": t("attendance.day"), onchange: e => pick(e.target.value) }), after), () => spoken(chosen.value) && h("p.muted", { role: "status" }, spoken(chosen.value))),
  h("div.stack", {}, () => problem.value && note("bad", inWords(problem.value)), () => came.value.length > 0 && h("section.card", { "aria-labelledby": "arrivals" }, h("header", {}, h("h2", { id: "arrivals" }, t("attendance.arrivals"))), bars(t("attendance.arrivals"), arrivals())),
    shown.el));
}

// --- the log ---------------------------------------------------------------------------------

function log(at) {
  const asked = signal({ from: named(at, "from", addDays(today(), -6)), to: named(at, "to", today()), status: at.get("status") ?? "", direction: at.get("direction") ?? "" });
  const filters = signal({});
  let shown = null;
  function change(values) {
    asked.value = { ...asked.peek(), ...values };
    const { from, to, status, direction } = asked.peek();
    remember({ from, to, status, direction });
    filters.value = { from: midnight(from), to: midnight(to && addDays(to, 1)), status, direction };
    shown?.again();
  }
  change({});
  const pick = (name, options) => h("select", { "aria-label": t(`attendance.${name}`), onchange: e => change({ [name]: e.target.value }) },
    h("option", { value: "" }, t(`attendance.${name}.any`)), options.map(([value, text]) => h("option", { value, selected: value === asked.peek()[name] }, text)));
  // pictures of decisions, where they are kept and the role may see them
  const slots = new Map(), slot = r => { const el = h("span", { hidden: true }); slots.set(r.id, el); return el; };
  async function fill(rows) {
    if (!rows.length || !may("operator")) return;
    for (const one of await get("/api/gate/pictures", { ids: rows.map(r => r.id).join(",") })) {
      slots.get(one.attendance_id)?.replaceChildren(h("button.plain", { type: "button", "aria-label": t("now.shot"), onclick: () => look(one.snapshot_id) }, h("img.shot", { src: shotOf(one.snapshot_id), alt: "", loading: "lazy", width: 44, height: 44 })));
      slots.get(one.attendance_id).hidden = false;
    }
  }
  shown = table({ path: "/api/attendance", filters, label: t("attendance.log"), rows: fill,
    columns: [{ label: t("attendance.name") }, { label: t("attendance.at") }, { label: t("decision.direction"), optional: true }, { label: t("attendance.why"), optional: true }, { label: t("app.change"), hidden: true }],
    row: (r, again) => [
      h("td", {}, h("div.person", {}, outcome(r.status !== "denied"), slot(r), h("div", {}, r.person ? h("a.strong", { href: `${BASE}attendance/${r.person_id}` }, bdi(r.person.name)) : h("strong", {}, t("now.unknown")), h("div.small.muted", {}, bdi(r.person?.personnel_code ?? "")),
        h("div.small.muted.phone", {}, `${word("direction", r.direction)} · ${word("reason", r.reason)}`)))),
      h("td.num", {}, moment(r.created_at)), h("td.opt", {}, word("direction", r.direction)), h("td.opt", {}, word("status", r.status), h("div.small.muted", {}, `${word("reason", r.reason)} · ${word("method", r.method)}`)),
      h("td", {}, may("operator") && r.person_id !== null && button(t("attendance.correct"), () => correct(r, again), { kind: "small" }))],
    none: () => empty("clock", t("attendance.nothing")) });
  return h("div", {}, h("div.filters", {}, field(t("attendance.from"), input("from", asked.peek().from, { type: "date", onchange: e => change({ from: e.target.value }) })), field(t("attendance.to"), input("to", asked.peek().to, { type: "date", onchange: e => change({ to: e.target.value }) })),
    field(t("attendance.status"), pick("status", ["granted", "denied", "granted_not_used", "void"].map(s => [s, word("status", s)]))),
    field(t("attendance.direction"), pick("direction", ["entry", "exit"].map(w => [w, word("direction", w)]))), saved("attendance", { view: "log" }, ["status", "direction"])), shown.el);
}

// --- months ----------------------------------------------------------------------------------

function months(at) {
  const month = signal(named(at, "month", today()).slice(0, 7));
  const filters = signal({});
  let shown = null;
  function change(value) {
    if (!value) return;
    month.value = value;
    remember({ month: value });
    filters.value = { from: `${value}-01`, to: lastOf(value) };
    shown?.again();
  }
  change(month.peek());
  shown = table({ path: "/api/attendance/summary/totals", filters, label: t("attendance.months"),
    columns: [{ label: t("attendance.name") }, { label: t("attendance.days") }, { label: t("attendance.inside") }, { label: t("attendance.breaks"), optional: true }, { label: t("attendance.open_visits"), optional: true }],
    row: r => [h("td", {}, personLink(r), h("div.small.muted", {}, bdi(r.department ?? ""))), h("td.num", { "data-label": t("attendance.days") }, number(r.days)), h("td.num", { "data-label": t("attendance.inside") }, duration(r.inside_s)), h("td.num.opt", {}, duration(r.break_s)), h("td.num.opt", {}, r.open_visits ? chip("warn", "warn", number(r.open_visits)) : "–")],
    none: () => empty("calendar", t("attendance.nothing")) });
  const links = () => h("div.row", {}, ["csv", "xlsx"].map(format => h("a.btn", { href: `/api/attendance/summary?${query({ ...filters.value, format, bom: format === "csv" || null })}`, download: "" }, icon("down"), t("attendance.days_as", { format: format.toUpperCase() }))));
  return h("div", {}, h("div.filters", {}, field(t("attendance.month"), input("month", month.peek(), { type: "month", max: today().slice(0, 7), onchange: e => change(e.target.value) })), links), shown.el);
}

// What is wanted most stands there: the month that is over.
const lastMonth = () => { const end = addDays(`${today().slice(0, 7)}-01`, -1); return [`${end.slice(0, 7)}-01`, end]; };
const exporting = () => ask(t("attendance.export"), [
  h("div.pair", {}, field(t("attendance.from"), input("from", lastMonth()[0], { type: "date", required: true, autofocus: true })), field(t("attendance.to"), input("to", lastMonth()[1], { type: "date", required: true }))),
  h("div.pair", {}, field(t("export.what"), select("what", "summary", [["summary", t("export.days")], ["export", t("export.log")]])), field(t("export.format"), select("format", "xlsx", [["xlsx", "Excel (XLSX)"], ["csv", "CSV"]]))),
  h("p.muted", {}, t("export.journaled")),
], { yes: t("app.download"), act: async given => {
  const values = given.what === "summary" ? { from: given.from, to: given.to } : { from: fromSite(`${given.from}T00:00`), to: fromSite(`${addDays(given.to, 1)}T00:00`) };
  const link = h("a", { href: `/api/attendance/${given.what}?${query({ ...values, format: given.format, bom: given.format === "csv" || null })}`, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
} });

// --- requests --------------------------------------------------------------------------------

// Open requests, with the name of each who asks.
async function wishes() {
  const found = await get("/api/correction-requests", { state: "open", limit: 200 });
  const people = await Promise.all([...new Set(found.map(r => r.person_id))].map(id => get(`/api/persons/${id}`).catch(() => null)));
  return found.map(r => { const who = people.find(p => p?.id === r.person_id); return { ...r, name: who && nameOf(who) }; });
}

function requests() {
  return h("div", {}, loaded(wishes, (found, again) => (found.length ? h("section.card", { "aria-label": t("attendance.requests") }, h("ul.rows", {}, found.map(r => h("li", {},
    h("div.grow", {}, h("a.strong", { href: `${BASE}attendance/${r.person_id}` }, bdi(r.name ?? t("request.of", { id: r.person_id }))), h("div", {}, wish(r)), h("div.small.muted", {}, h("q", {}, bdi(r.reason)), ` · ${moment(r.asked_at)}`)),
    button(t("request.approve"), async () => { try { await post(`/api/correction-requests/${r.id}/approve`); toast(t("app.saved")); } finally { again(); } }, { kind: "small main" }),
    button(t("request.refuse"), () => ask(t("request.refuse"), [field(t("act.reason"), input("reason", "", { required: true, minlength: 3, autofocus: true }))], { yes: t("request.refuse"), kind: "bad", act: given => post(`/api/correction-requests/${r.id}/refuse`, given) }).then(done => done && again()), { kind: "small" })))))
    : empty("yes", t("request.none")))));
}

export const wish = r => [r.status === "void" ? t("request.void") : r.attendance_id ? t("request.change") : t("request.missing"), r.direction && word("direction", r.direction), r.created_at && moment(r.created_at)].filter(Boolean).join(" · ");

// --- a week of one person --------------------------------------------------------------------

function week(id) {
  const at = named(new URL(location.href).searchParams, "week", today());
  const monday = signal(weekOf(at));
  const move = n => { monday.value = addDays(monday.peek(), n); remember({ week: monday.peek() }); };
  return h("div", {}, h("a.back", { href: `${BASE}attendance` }, icon("back", 16), t("app.attendance")),
    h("div", {}, () => { const first = monday.value; return h("div", {}, loaded(async () => {
      const last = addDays(first, 6);
      const [p, days, rows] = await Promise.all([get(`/api/persons/${id}`), get("/api/attendance/summary", { person_id: id, from: first, to: last }),
        get("/api/attendance", { person_id: id, from: fromSite(`${first}T00:00`), to: fromSite(`${addDays(last, 1)}T00:00`), limit: 500 })]);
      return { p, days, rows };
    }, ({ p, days, rows }, again) => calendar(p, first, days, rows, move, again))); }));
}

function calendar(p, first, days, rows, move, again) {
  const inside = days.reduce((sum, d) => sum + d.inside_s, 0);
  return h("div", {}, head(nameOf(p), h("a.btn", { href: `${BASE}people/${p.id}` }, icon("person"), t("now.person")), h("span.grow"),
    button(t("attendance.before"), () => move(-7), { sign: "back" }), button(t("attendance.after"), () => move(7), { sign: "next", disabled: addDays(first, 7) > today() }),
    may("operator") && button(t("attendance.add"), () => punch({ person_id: p.id, name: nameOf(p), at: `${today()}T09:00`, direction: "entry" }, again), { kind: "main", sign: "plus" })),
  h("p.muted.sub.num", {}, `${day(first)} – ${day(addDays(first, 6))} · ${duration(inside)}`),
  h("section.card.week", { "aria-label": t("attendance.week") }, Array.from({ length: 7 }, (_, n) => addDays(first, n)).map(date => {
    const d = days.find(one => one.date === date);
    return h("div.weekday", { class: date === today() ? "today" : "" }, h("h2", {}, day(date)), d ? h("div.num", {}, duration(d.inside_s)) : h("div.muted", {}, "–"), strip(d), d && h("span.chips", {}, ...marks(d)));
  })),
  h("section.card.top", { "aria-labelledby": "passages" }, h("header", {}, h("h2", { id: "passages" }, t("attendance.passages"))),
    rows.length ? h("ul.rows", {}, rows.map(r => h("li", {}, outcome(r.status !== "denied"), h("div.grow", {}, h("strong", {}, `${day(r.local_time.slice(0, 10))}, ${time(r.created_at)}`), h("div.small.muted", {}, `${word("direction", r.direction)} · ${word("status", r.status)} · ${word("method", r.method)}`)),
      r.chain && r.method === "manual" && chip("", "edit", t("attendance.by_hand")), may("operator") && button(t("attendance.correct"), () => correct(r, again), { kind: "small" })))) : empty("clock", t("attendance.nothing"))));
}

// The hours of a day, with what was inside; the same is said in words.
function strip(d) {
  const minutes = at => Number(at.slice(11, 13)) * 60 + Number(at.slice(14, 16));
  const visits = (d?.visits ?? []).filter(v => v.entry);
  const words = visits.map(v => `${clockOf(v.entry)}–${v.present ? t("attendance.present") : clockOf(v.exit)}`).join(", ");
  return h("svg.strip", { viewBox: "0 0 1440 120", preserveAspectRatio: "none", role: "img", "aria-label": words || t("attendance.nothing") },
    h("rect.back", { x: 0, y: 0, width: 1440, height: 120 }),
    [360, 720, 1080].map(x => h("rect.hour", { x, y: 0, width: 4, height: 120 })),
    visits.map(v => {
      const begin = minutes(v.entry), end = v.exit && v.exit.slice(0, 10) === d.date ? minutes(v.exit) : v.open ? begin + 30 : 1440;
      return h("rect", { x: begin, y: 20, width: Math.max(end - begin, 12), height: 80, class: v.open && !v.present ? "odd" : "in" });
    }));
}
