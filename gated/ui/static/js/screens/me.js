// What somebody sees of themselves: own days, requests for corrections, the password.
import { del, get, page, post, put } from "../core/api.js";
import { h } from "../core/dom.js";
import { addDays, clockOf, date, day, duration, fromSite, moment, t, today, toSite, word } from "../core/i18n.js";
import { button, chip, empty, head, loaded, toast } from "../pieces/bits.js";
import { ask, checkbox, field, input, select } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { password } from "./accounts.js";
import { wish } from "./attendance.js";

export default function me() {
  const from = addDays(today(), -30);
  const el = loaded(async () => {
    const [days, rows, requests, own] = await Promise.all([get("/api/attendance/me/summary", { from, to: today() }), page(`/api/attendance/me?limit=50`), get("/api/correction-requests/me", { limit: 50 }), get(CONSENT)]);
    return { days, rows: rows.rows, requests, own };
  }, ({ days, rows, requests, own }, again) => h("div.columns", {},
    h("div.stack", {},
      h("section.card", { "aria-labelledby": "days" }, h("header", {}, h("h2", { id: "days" }, t("me.days"))), days.length ? h("ul.rows", {}, days.slice().reverse().map(d => h("li", {}, h("div.grow", {}, h("strong", {}, day(d.date)), h("div.small.muted.num", {}, `${clockOf(d.first_in)} – ${clockOf(d.last_out)}`)), h("span.num", {}, duration(d.inside_s)), d.open_visits > 0 && chip("warn", "warn", t("attendance.open"))))) : empty("clock", t("attendance.nothing"))),
      h("section.card", { "aria-labelledby": "rows" }, h("header", {}, h("h2", { id: "rows" }, t("attendance.passages"))), rows.length ? h("ul.rows", {}, rows.map(r => h("li", {}, h("div.grow", {}, h("strong", {}, moment(r.created_at)), h("div.small.muted", {}, `${word("direction", r.direction)} · ${word("status", r.status)} · ${r.gate_name}`)), button(t("me.wrong"), () => wrong(r, again), { kind: "small" })))) : empty("clock", t("attendance.nothing")))),
    h("div.stack", {},
      h("section.card", { "aria-labelledby": "asked" }, h("header", {}, h("h2", { id: "asked" }, t("attendance.requests")), button(t("me.missing"), () => wrong(null, again), { kind: "quiet", sign: "plus" })), requests.length ? h("ul.rows", {}, requests.map(r => h("li", {}, h("div.grow", {}, wish(r), h("div.small.muted", {}, r.answer ?? r.reason)), chip(r.state === "approved" ? "ok" : r.state === "refused" ? "bad" : "", null, t(`request.${r.state}`))))) : h("p.muted.pad", {}, t("request.none"))),
      consenting(own, again), mine(), password())));
  return h("div", {}, head(t("app.me")), h("div", {}, el));
}

const CONSENT = "/api/me/consent";

// One's own consent; giving it is offered where the gate says which notice has to be read.
function consenting({ notice, given }, again) {
  const agree = () => ask(t("me.consent.give"), [h("p", {}, t("me.consent.text", { notice }))],
    { yes: t("me.consent.yes"), act: () => put(CONSENT, { notice_version: notice }) }).then(done => done && again());
  const withdraw = () => ask(t("me.consent.end"), [h("p", {}, t("me.consent.end.hint"))],
    { yes: t("me.consent.end"), kind: "bad", act: async () => (await del(CONSENT)) ?? true }).then(done => done && again());
  return h("section.card.pad.stack", { "aria-label": t("person.consent") }, h("h2", {}, t("person.consent")),
    given ? h("p", {}, t("me.consent.given", { notice: given.notice_version, on: date(given.given_at) })) : h("p.muted", {}, t(notice ? "me.consent.none" : "me.consent.office")),
    h("div.row", {}, given ? button(t("me.consent.end"), withdraw, { kind: "bad" }) : notice && button(t("me.consent.give"), agree, { kind: "main" })));
}

const mine = () => h("section.card.pad.stack", { "aria-label": t("me.data") }, h("h2", {}, t("me.data")), h("p", {}, t("me.data.hint")),
  h("div.row", {}, h("a.btn", { href: "/api/me/export", download: "" }, icon("down"), t("me.data.get"))));

async function wrong(row, again) {
  const done = await ask(t(row ? "me.wrong" : "me.missing"), [
    h("div.pair", {}, field(t("attendance.at"), input("at", row ? toSite(row.created_at) : `${today()}T09:00`, { type: "datetime-local", required: true, autofocus: true }), t("attendance.zone")), field(t("decision.direction"), select("direction", row?.direction ?? "entry", ["entry", "exit"].map(w => [w, word("direction", w)])))),
    row && field(t("attendance.void"), checkbox("void", false)),
    field(t("act.reason"), input("reason", "", { required: true, minlength: 3, maxlength: 500 })),
  ], { yes: t("me.ask"), act: given => post("/api/correction-requests", { attendance_id: row?.id ?? null, reason: given.reason, ...(given.void ? { status: "void" } : { created_at: fromSite(given.at), direction: given.direction }) }) });
  if (done) { toast(t("me.asked")); again(); }
}
