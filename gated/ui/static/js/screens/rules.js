// Rules: weeks to draw, groups and where they pass, holidays, what holds for everybody, and a try.
import { del, get, may, post, put } from "../core/api.js";
import { h, inOrder, signal } from "../core/dom.js";
import { day, digits, fromSite, moment, t, today, word } from "../core/i18n.js";
import { bdi, button, chip, empty, head, inWords, loaded, note, toast } from "../pieces/bits.js";
import { ask, checkbox, field, input, select } from "../pieces/dialog.js";
import { finder } from "../pieces/finder.js";
import { icon } from "../pieces/icon.js";
import { tabbar, viewOf } from "../pieces/tabbar.js";

// names of weekdays come from any week
const weekdays = Array.from({ length: 7 }, (_, n) => `2026-01-${String(5 + n).padStart(2, "0")}`);

export default function rules({ place }) {
  const shown = { try: trying, schedules, groups, holidays, site };
  const views = Object.keys(shown), view = viewOf(place, views);
  return h("div", {}, head(t("app.rules")),
    tabbar(t("app.rules"), views.map(name => [name, t(`rules.${name}`)]), view),
    h("div.below", {}, () => shown[view.value]()));
}

// --- may this person enter on Sunday at seven? -----------------------------------------------

function trying() {
  const found = signal(null), problem = signal(null), turn = inOrder();
  const at = input("at", `${today()}T07:00`, { type: "datetime-local", required: true });
  const search = finder({ autofocus: true });
  const run = async event => {
    event.preventDefault();
    const mine = turn();
    try {
      const told = await get(`/api/persons/${search.person().id}/explain`, { at: fromSite(at.value) });
      if (mine()) { found.value = told; problem.value = null; }
    } catch (error) { if (mine()) problem.value = error; }
  };
  // what was said holds for who was asked about, then
  const another = () => { turn()(); found.value = problem.value = null; };
  return h("section.card.pad", { "aria-label": t("rules.try") }, h("form.stack", { onsubmit: run, oninput: another },
    h("div.pair", {}, search.el, field(t("why.at"), at, t("attendance.zone"))),
    h("div.row", {}, h("button.btn.main", { type: "submit", disabled: () => !search.people.value.length }, t("rules.try.go")))),
  () => problem.value && note("bad", inWords(problem.value)),
  () => found.value && h("div.below", { role: "status" }, note(found.value.outcome === "granted" ? "ok" : found.value.outcome === "waits" ? "warn" : "bad",
    h("strong", {}, t(`why.${found.value.outcome}`)), found.value.outcome === "granted" ? "" : ` ${word("reason", found.value.reason)}`,
    found.value.opens_at && h("div", {}, t("why.opens", { at: moment(found.value.opens_at) })),
    found.value.schedules.length > 0 && h("div", {}, t("rules.by", { what: found.value.schedules.join(", ") })))));
}

// --- weeks -----------------------------------------------------------------------------------

const minutes = text => { const [hour, minute] = text.split(":").map(Number); return hour * 60 + minute; };
const clockOf = m => `${String(Math.floor(m / 60)).padStart(2, "0")}:${String(m % 60).padStart(2, "0")}`;
const spans = hours => hours.filter(text => /^\d\d:\d\d-\d\d:\d\d$/.test(text)).map(text => text.split("-").map(minutes)).map(([begin, end]) => [begin, end <= begin ? 1440 : end]);

function band(hours, draw) {
  const el = h("svg.band", { viewBox: "0 0 1440 100", preserveAspectRatio: "none", "aria-hidden": "true" }, h("rect.back", { x: 0, y: 0, width: 1440, height: 100 }),
    [360, 720, 1080].map(x => h("rect.hour", { x, y: 0, width: 4, height: 100 })),
    () => spans(hours.value).map(([begin, end]) => h("rect.in", { x: begin, y: 15, width: Math.max(end - begin, 4), height: 70 })));
  if (!draw) return el;
  let from = null;
  const at = e => { const box = el.getBoundingClientRect(); return Math.min(1440, Math.max(0, Math.round((e.clientX - box.left) / box.width * 96) * 15)); };
  el.addEventListener("pointerdown", e => { from = at(e); el.setPointerCapture(e.pointerId); });
  el.addEventListener("mousedown", e => e.preventDefault()); // else a selection there would be dragged
  el.addEventListener("pointercancel", () => { from = null; });
  el.addEventListener("pointerup", e => {
    if (from === null) return; // it was pressed elsewhere
    const to = at(e), [begin, end] = [Math.min(from, to), Math.max(from, to)];
    const inside = spans(hours.peek()).findIndex(([b, f]) => begin >= b && begin < f);
    if (end - begin >= 15) draw(merge([...spans(hours.peek()), [begin, end]]));
    else if (inside >= 0) draw(spans(hours.peek()).filter((_, n) => n !== inside)); // a tap takes away
    from = null;
  });
  return el;
}
const merge = list => list.sort(([a], [b]) => a - b).reduce((all, [begin, end]) => { const last = all.at(-1); if (last && begin <= last[1]) last[1] = Math.max(last[1], end); else all.push([begin, end]); return all; }, []);
const said = list => list.map(([begin, end]) => `${clockOf(begin)}-${end === 1440 ? "24:00" : clockOf(end)}`);

function schedules() {
  return h("div", {}, loaded(() => get("/api/access/schedules"), (found, again) => h("div.stack", {},
    may("operator") && h("div.row", {}, button(t("rules.schedule.add"), () => edit(null, again), { kind: "main", sign: "plus" })),
    found.length ? found.map(s => h("section.card", { "aria-label": s.name }, h("header", {}, h("h2", {}, bdi(s.name)), may("operator") && button(t("app.change"), () => edit(s, again), { kind: "quiet", sign: "edit" }),
      may("operator") && button(t("app.remove"), () => ask(t("app.remove"), [h("p", {}, bdi(s.name))], { yes: t("app.remove"), kind: "bad", act: () => del(`/api/access/schedules/${s.id}`) }).then(done => done && again()), { kind: "quiet" })),
    h("div.pad.draw", {}, s.week.map((hours, n) => [h("span.small", {}, day(weekdays[n], { weekday: "short" })), band({ value: hours }), h("span.small.muted.num", { dir: "ltr" }, digits(hours.join(", ")) || "–")]))))
      : empty("calendar", t("rules.schedule.none")))));
}

async function edit(schedule, again) {
  const week = (schedule?.week ?? [...Array(5).fill(["08:00-18:00"]), [], []]).map(hours => signal(hours));
  const row = (hours, n) => {
    const name = day(weekdays[n], { weekday: "long" });
    const text = input(`day${n}`, hours.peek().join(", "), { "aria-label": name, dir: "ltr", pattern: "(\\s*\\d\\d:\\d\\d-\\d\\d:\\d\\d\\s*(,|$))*", placeholder: "08:00-17:00", onchange: e => { hours.value = e.target.value.split(",").map(x => x.trim()).filter(Boolean); } });
    return [h("span.small", {}, name), band(hours, list => { hours.value = said(list); text.value = hours.peek().join(", "); }), text];
  };
  const done = await ask(schedule ? schedule.name : t("rules.schedule.add"), [
    field(t("people.name"), input("name", schedule?.name, { required: true, autofocus: true })),
    h("p.muted", {}, t("rules.draw")), h("div.draw", {}, week.map(row)),
    field(t("rules.holiday_as_usual"), checkbox("as_usual", schedule ? schedule.holiday === null : false), t("rules.holiday.hint")),
  ], { wide: true, yes: t("app.save"), act: given => {
    const body = { name: given.name, week: week.map(hours => hours.peek()), holiday: given.as_usual ? null : schedule?.holiday ?? [] };
    return schedule ? put(`/api/access/schedules/${schedule.id}`, body) : post("/api/access/schedules", body);
  } });
  if (done) { toast(t("app.saved")); again(); }
}

// --- groups ----------------------------------------------------------------------------------

function groups() {
  return h("div", {}, loaded(async () => {
    const [all, weeks] = await Promise.all([get("/api/groups"), get("/api/access/schedules")]);
    return { weeks, all: await Promise.all(all.map(async g => ({ ...g, rules: await get(`/api/groups/${g.id}/access`) }))) };
  }, ({ all, weeks }, again) => {
    const nameOfWeek = id => (id === null ? t("rules.always") : weeks.find(w => w.id === id)?.name ?? "?");
    return h("div.stack", {}, may("operator") && h("div.row", {}, button(t("rules.group.add"), () => ask(t("rules.group.add"), [field(t("people.name"), input("name", "", { required: true, autofocus: true })), field(t("rules.description"), input("description", "")), lateAfter()], { yes: t("person.create"), act: given => post("/api/groups", given) }).then(done => done && again()), { kind: "main", sign: "plus" })),
      all.length ? h("section.card", { "aria-label": t("person.groups") }, h("ul.rows", {}, all.map(g => h("li", {}, h("span.mark", {}, icon("people", 18)), h("div.grow", {}, h("strong", {}, bdi(g.name)), h("div.small.muted", {}, g.description ?? ""),
        h("span.chips", {}, g.rules.map(r => chip("", "clock", `${r.gate ?? t("rules.everywhere")}: ${nameOfWeek(r.schedule_id)}`)))),
      h("a.btn.small", { href: `/ui/people?group=${encodeURIComponent(g.name)}` }, t("rules.members")),
      may("operator") && button(t("app.change"), () => pass(g, weeks, again), { kind: "small" }))))) : empty("people", t("groups.none")));
  }));
}

const lateAfter = (value = "") => field(t("rules.late_after"), input("late_after", value, { type: "time" }), t("rules.late_after.hint"));

async function pass(g, weeks, again) {
  const rule = g.rules[0], many = g.rules.length > 1;
  const done = await ask(g.name, [
    many && note("warn", t("rules.many")),
    field(t("rules.opens"), checkbox("opens", g.rules.length > 0), t("rules.opens.hint")),
    field(t("rules.when"), select("schedule_id", rule?.schedule_id ?? "", [["", t("rules.always")], ...weeks.map(w => [w.id, w.name])])),
    field(t("rules.gate"), input("gate", rule?.gate ?? ""), t("rules.gate.hint")),
    lateAfter(g.late_after ?? ""),
  ], { yes: t("app.save"), act: async given => {
    if (given.late_after !== (g.late_after ?? null)) await put(`/api/groups/${g.id}`, { late_after: given.late_after });
    await put(`/api/groups/${g.id}/access`, given.opens ? [{ gate: given.gate, schedule_id: given.schedule_id && Number(given.schedule_id) }] : []);
  } });
  if (done) again();
}

// --- holidays, everybody ---------------------------------------------------------------------

function holidays() {
  const add = again => ask(t("rules.holiday.add"), [field(t("attendance.day"), input("day", today(), { type: "date", required: true, autofocus: true })), field(t("people.name"), input("name", "", { required: true }))],
    { yes: t("person.create"), act: given => put(`/api/access/holidays/${given.day}`, { name: given.name }) }).then(done => done && again());
  return h("div", {}, loaded(() => get("/api/access/holidays"), (found, again) => h("div.stack", {},
    may("operator") && h("div.row", {}, button(t("rules.holiday.add"), () => add(again), { kind: "main", sign: "plus" })),
    found.length ? h("section.card", { "aria-label": t("rules.holidays") }, h("ul.rows", {}, found.map(d => h("li", {}, h("div.grow", {}, h("strong", {}, bdi(d.name)), h("div.small.muted", {}, day(d.day, { dateStyle: "full" }))),
      may("operator") && button(t("app.remove"), async () => { await del(`/api/access/holidays/${d.day}`); again(); }, { kind: "small" }))))) : empty("calendar", t("rules.holiday.none")))));
}

function site() {
  const yes = value => t(value ? "app.yes" : "app.no");
  return h("div", {}, loaded(async () => ({ r: await get("/api/access/rules"), weeks: await get("/api/access/schedules") }), ({ r, weeks }, again) => h("section.card", { "aria-label": t("rules.site") },
    h("header", {}, h("h2", {}, t("rules.site")), may("admin") && button(t("app.change"), () => everybody(r, weeks, again), { kind: "quiet", sign: "edit" })),
    h("dl.pairs", {}, [["anti_passback", t(`passback.${r.anti_passback}`)], ["occupancy", r.occupancy ?? t("access.open_end")], ["two_person", yes(r.two_person)], ["ungrouped", yes(r.ungrouped)], ["credential_alone", yes(r.credential_alone)],
      ["two_factors", weeks.find(w => w.id === r.two_factors)?.name ?? "–"], ["first_in", weeks.find(w => w.id === r.first_in)?.name ?? "–"], ["timezone", r.timezone ?? "–"]].map(([key, value]) => [h("dt", {}, t(`rules.${key}`)), h("dd", {}, String(value))])))));
}

async function everybody(r, weeks, again) {
  const choice = [["", "–"], ...weeks.map(w => [w.id, w.name])], id = value => value && Number(value);
  const done = await ask(t("rules.site"), [
    field(t("rules.anti_passback"), select("anti_passback", r.anti_passback, ["off", "soft", "hard", "timed"].map(v => [v, t(`passback.${v}`)]))),
    field(t("rules.occupancy"), input("occupancy", r.occupancy, { type: "number", min: 1 })),
    field(t("rules.two_person"), checkbox("two_person", r.two_person)), field(t("rules.ungrouped"), checkbox("ungrouped", r.ungrouped)), field(t("rules.credential_alone"), checkbox("credential_alone", r.credential_alone)),
    h("div.pair", {}, field(t("rules.two_factors"), select("two_factors", r.two_factors, choice)), field(t("rules.first_in"), select("first_in", r.first_in, choice))),
    field(t("rules.timezone"), input("timezone", r.timezone, { list: "zones" })), h("datalist", { id: "zones" }, Intl.supportedValuesOf("timeZone").map(zone => h("option", { value: zone }))),
  ], { wide: true, yes: t("app.save"), act: given => put("/api/access/rules", { ...given, occupancy: id(given.occupancy), two_factors: id(given.two_factors), first_in: id(given.first_in) }) });
  if (done) { toast(t("app.saved")); again(); }
}
