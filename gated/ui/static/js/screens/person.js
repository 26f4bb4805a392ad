// One person: photos, status, access, credentials, visits, and why the door stayed shut.
import { api, ApiError, del, get, may, patch, post, put, query } from "../core/api.js";
import { h, inOrder, onEnd, signal } from "../core/dom.js";
import { gate } from "../core/gate.js";
import { addDays, clockOf, date, day, fromSite, moment, percent, t, today, toSite, word } from "../core/i18n.js";
import { BASE, go } from "../core/router.js";
import { bdi, button, chip, empty, head, inWords, loaded, nameOf, note, outcome, toast } from "../pieces/bits.js";
import { ask, checkbox, dialog, field, input, whose } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { enrol, SIGNS } from "./enrol.js";
import { fields } from "./people.js";

const optional = (path, none) => get(path).catch(error => { if (error.status === 404) return none; throw error; });

export default function person({ id }) {
  const load = async () => {
    const answer = await api(`/api/persons/${id}`, { raw: true });
    const [access, credentials, consent] = await Promise.all([
      get(`/api/persons/${id}/access`), get(`/api/persons/${id}/credentials`), optional(`/api/persons/${id}/consent`, null)]);
    return { p: await answer.json(), tag: answer.headers.get("ETag"), access, credentials, consent };
  };
  const el = loaded(load, (found, again) => page(found, again));
  return h("div", {}, el);
}

function page({ p, tag, access, credentials, consent }, again) {
  const name = nameOf(p), write = may("operator");
  const section = (title, act, ...inside) => h("section.card", { "aria-label": title }, h("header", {}, h("h2", {}, title), act), ...inside);
  return h("div", {},
    h("a.back", { href: `${BASE}people` }, icon("back", 16), t("app.people")),
    head(name, p.is_active ? chip("ok", "yes", t("people.active")) : chip("bad", "no", t("people.inactive")), access.visitor && chip("", "calendar", t("people.visitor")), h("span.grow"),
      write && button(t("person.edit"), () => edit(p, tag, again), { sign: "edit" }),
      write && (p.is_active ? button(t("person.block"), () => change(p, "deactivate", again), { kind: "bad", sign: "no" }) : button(t("person.unblock"), () => change(p, "activate", again), { sign: "yes" }))),
    h("p.muted.sub", {}, bdi([p.personnel_code, p.department, p.position].filter(Boolean).join(" · "))),
    p.leaves_on && note("info", t("people.until", { day: day(p.leaves_on, { dateStyle: "medium" }) })),
    h("div.columns", {},
      h("div.stack", {},
        section(t("person.photos"), write && button(t("person.add_photo"), () => enrol(p).then(again), { kind: "main", sign: "camera" }), photos(p, again)),
        section(t("person.why"), null, why(p)),
        section(t("person.visits"), null, visits(p))),
      h("div.stack", {},
        section(t("person.about"), null, h("dl.pairs", {}, [["email", p.email], ["phone", p.phone], ["created", moment(p.created_at)]].map(([key, value]) => [h("dt", {}, t(`person.${key}`)), h("dd", {}, bdi(value ?? "–"))]))),
        section(t("person.access"), write && button(t("app.change"), () => limits(p, access, again), { sign: "edit", kind: "quiet" }), rights(access)),
        section(t("person.groups"), write && button(t("app.change"), () => groups(p, again), { sign: "edit", kind: "quiet" }),
          p.groups.length ? h("p.chips.pad", {}, p.groups.map(g => chip("", null, bdi(g.name)))) : h("p.muted.pad", {}, t("person.no_groups"))),
        section(t("person.credentials"), write && button(t("credential.add"), () => give(p, again), { sign: "card", kind: "quiet" }), cards(credentials, again)),
        section(t("person.consent"), write && (consent ? button(t("consent.end"), () => endConsent(p, again), { kind: "quiet" }) : button(t("consent.record"), () => recordConsent(p, again), { kind: "quiet" })),
          consent ? h("dl.pairs", {}, [["notice", consent.notice_version], ["given", date(consent.given_at)], ["until", consent.expires_at ? date(consent.expires_at) : "–"], ["how", consent.method ?? "–"]].map(([key, value]) => [h("dt", {}, t(`consent.${key}`)), h("dd", {}, value)]))
            : h("p.muted.pad", {}, t("consent.none"))),
        (write || may("admin")) && section(t("person.end"), null, h("div.stack.pad", {},
          write && p.enrollments.length > 0 && button(t("person.withdraw"), () => withdraw(p, again), { kind: "bad" }),
          may("admin") && h("a.btn", { href: `/api/persons/${p.id}/export`, download: "" }, icon("down"), t("person.export")),
          may("admin") && button(t("person.erase"), () => erase(p), { kind: "bad", sign: "bin" }))))));
}

async function edit(p, tag, again) {
  const done = await ask(t("person.edit"), fields(p), { wide: true, yes: t("app.save"), act: given => put(`/api/persons/${p.id}`, given, { match: tag }) });
  if (done) { toast(t("app.saved")); again(); }
}

async function change(p, act, again) {
  await patch(`/api/persons/${p.id}/${act}`);
  toast(t(`person.${act}d`, { name: nameOf(p) }));
  again();
}

// --- photos ----------------------------------------------------------------------------------

function photos(p, again) {
  if (!p.enrollments.length) return empty("camera", t("person.no_photos"), may("operator") && button(t("person.add_photo"), () => enrol(p).then(again), { kind: "main" }));
  const doubts = signal([]);
  // what is wrong with a photo comes after the page; without it the page is still true
  if (may("operator") && p.enrollments.some(e => e.is_active)) get(`/api/persons/${p.id}/photo-doubts`).then(found => { doubts.value = found; }, () => {});
  const numbered = () => p.enrollments.flatMap((e, at) => doubts.value.filter(one => one.enrollment_id === e.id).map(one => doubt(one, t("photo.alt", { n: at + 1, name: nameOf(p) }))));
  return [advised(p, again), () => doubts.value.length > 0 && h("div.pad.stack", {}, numbered()), h("ul.photos", {}, p.enrollments.map((e, at) => h("li", {},
    may("operator") ? h("img", { src: `/api/enrollment/${e.id}/image`, alt: t("photo.alt", { n: at + 1, name: nameOf(p) }), loading: "lazy" }) : icon("face", 48),
    h("div", {}, worth(e.confidence_score), !e.is_active && chip("bad", "no", t("photo.off")), () => doubts.value.some(one => one.enrollment_id === e.id) && [" ", chip("warn", "warn", t("doubt.chip"))]),
    h("div.small.muted", {}, date(e.created_at)),
    may("operator") && h("div.row", {},
      button(t(e.is_active ? "photo.switch_off" : "photo.switch_on"), async () => { await patch(`/api/enrollment/${e.id}/toggle-active`); again(); }, { kind: "small" }),
      button(t("app.remove"), () => ask(t("photo.remove", { name: nameOf(p) }), [h("p", {}, t("photo.remove.hint"))], { yes: t("app.remove"), kind: "bad", act: () => del(`/api/enrollment/${e.id}`) }).then(done => done && again()), { kind: "small bad" })))))];
}

// Why a photo does harm, and what to do about it.
const doubt = ({ reason, other }, photo) => note("warn", `${photo}: ${t(`doubt.${reason}`, { name: other?.name ?? "" })}`,
  h("p.small.plainly", {}, t(`doubt.${reason}.todo`, { name: other?.name ?? "" })), other && h("a", { href: `${BASE}people/${other.id}` }, bdi(other.name)));

// One photo, or one picture twice: why another one, and the ways to it that there are.
function advised(p, again) {
  const { another_advised: wanted, reason } = p.photo_advice;
  if (!wanted) return null;
  const add = way => button(t(`enrol.${way}`), () => enrol(p, way).then(again), { kind: "small", sign: SIGNS[way] });
  return h("div.pad", {}, note("info", t(`another.${reason}`), may("operator") && h("div.row", { role: "group", "aria-label": t("another.add") },
    () => gate.value?.role === "gate" && add("gate"), navigator.mediaDevices && add("webcam"), add("file"))));
}

// What a photo is worth, in a word and a number.
export function worth(score) {
  const level = score >= 0.7 ? "good" : score >= 0.45 ? "fair" : "weak";
  return chip({ good: "ok", fair: "", weak: "warn" }[level], { good: "yes", fair: "info", weak: "warn" }[level], `${t(`photo.${level}`)} · ${percent(score)}`);
}

// --- access ----------------------------------------------------------------------------------

const FLAGS = ["visitor", "face", "two_factors", "needs_escort", "may_escort", "exempt"];

function rights(a) {
  const said = FLAGS.filter(name => (name === "face" ? !a.face : a[name])).map(name => chip(name === "face" ? "warn" : "", null, t(name === "face" ? "access.no_face" : `access.${name}`)));
  return h("div.pad", {}, h("dl.pairs.bare", {}, [["valid_from", a.valid_from], ["valid_until", a.valid_until]].map(([key, at]) => [h("dt", {}, t(`access.${key}`)), h("dd", {}, at ? moment(at) : t("access.open_end"))])),
    said.length > 0 && h("p.chips", {}, said));
}

async function limits(p, a, again) {
  const at = (name, value) => field(t(`access.${name}`), input(name, value ? toSite(value) : "", { type: "datetime-local" }));
  const done = await ask(t("person.access"), [h("div.pair", {}, at("valid_from", a.valid_from), at("valid_until", a.valid_until)),
    ...FLAGS.map(name => field(t(`access.${name}`), checkbox(name, a[name]), t(`access.${name}.hint`)))],
  { yes: t("app.save"), act: given => put(`/api/persons/${p.id}/access`, { ...given, valid_from: fromSite(given.valid_from), valid_until: fromSite(given.valid_until) }) });
  if (done) { toast(t("app.saved")); again(); }
}

async function groups(p, again) {
  const all = await get("/api/groups"), mine = new Set(p.groups.map(g => g.id));
  const done = await ask(t("person.groups"), all.length ? all.map(g => field(g.name, checkbox(`g${g.id}`, mine.has(g.id)))) : [h("p.muted", {}, t("groups.none"))], { yes: t("app.save"), act: async given => {
    for (const g of all) {
      if (given[`g${g.id}`] && !mine.has(g.id)) await put(`/api/groups/${g.id}/members/${p.id}`);
      if (!given[`g${g.id}`] && mine.has(g.id)) await del(`/api/groups/${g.id}/members/${p.id}`);
    }
  } });
  if (done) again();
}

// --- cards, badges, PINs ---------------------------------------------------------------------

function cards(found, again) {
  if (!found.length) return h("p.muted.pad", {}, t("credential.none"));
  return h("ul.rows", {}, found.map(c => h("li", {}, h("span.mark", {}, icon(c.kind === "qr" ? "list" : c.kind === "pin" ? "lock" : "card", 18)),
    h("div.grow", {}, h("strong", {}, word("method", c.kind)), c.label && h("span", {}, " ", bdi(c.label)),
      h("div.small.muted", {}, !c.is_active ? t("credential.blocked") : c.valid_until ? t("people.until", { day: date(c.valid_until) }) : t("people.active"))),
    may("operator") && h("div.row", {},
      button(t(c.is_active ? "credential.lost" : "credential.release"), async () => { await put(`/api/credentials/${c.id}`, { is_active: !c.is_active }); again(); }, { kind: c.is_active ? "small bad" : "small" }),
      button(t("app.remove"), () => ask(t("credential.remove"), [], { yes: t("app.remove"), kind: "bad", act: () => del(`/api/credentials/${c.id}`) }).then(done => done && again()), { kind: "small" })))));
}

async function give(p, again) {
  const kind = signal("card"), kinds = ["card", ...(gate.peek()?.card_reader ? ["next"] : []), "pin", "qr"];
  const made = await ask(t("credential.add"), [
    field(t("credential.kind"), h("select", { name: "kind", onchange: e => { kind.value = e.target.value; } }, kinds.map(name => h("option", { value: name }, name === "next" ? t("credential.next") : word("method", name))))),
    () => kind.value === "card" && field(t("credential.number"), input("number", "", { required: true, maxlength: 64, autofocus: true }), t("credential.hold")),
    () => kind.value === "next" && h("p.muted", {}, t("credential.next.hint")),
    () => kind.value === "pin" && [whose(p.personnel_code), field(t("credential.pin"), input("pin", "", { required: true, inputmode: "numeric", pattern: "[0-9]{4,12}", maxlength: 12, type: "password", autocomplete: "new-password" }), t("credential.pin.hint"))],
    () => kind.value === "qr" && h("p.muted", {}, t("credential.qr.hint")),
    field(t("credential.label"), input("label", "", { maxlength: 100 })),
  ], { yes: t("credential.give"), act: given => post(`/api/persons/${p.id}/credentials`, given.kind === "next" ? { kind: "card", next_card: true, label: given.label } : given) });
  if (made?.image) await badge(p, made);
  if (made) again();
}

const badge = (p, made) => dialog(t("credential.badge", { name: nameOf(p) }), close => {
  const [head_, data] = made.image.split(","), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: /data:([^;]+)/.exec(head_)[1] }));
  onEnd(() => URL.revokeObjectURL(url));
  return [note("warn", t("credential.once")), h("img.badge", { src: url, alt: t("credential.badge", { name: nameOf(p) }) }),
    h("div.row.end", {}, h("a.btn.main", { href: url, download: `badge-${p.personnel_code}.png` }, icon("down"), t("app.download")), button(t("app.close"), () => close()))];
});

// --- consent, end ----------------------------------------------------------------------------

async function recordConsent(p, again) {
  const done = await ask(t("consent.record"), [
    field(t("consent.notice"), input("notice_version", "", { required: true, maxlength: 100, autofocus: true }), t("consent.notice.hint")),
    field(t("consent.how"), input("method", "", { required: true, maxlength: 100 }), t("consent.how.hint")),
    field(t("consent.until"), input("expires_at", "", { type: "date" })),
  ], { yes: t("app.save"), act: given => put(`/api/persons/${p.id}/consent`, { ...given, given_at: new Date().toISOString(), expires_at: fromSite(given.expires_at && `${given.expires_at}T23:59`) }) });
  if (done) again();
}
const endConsent = (p, again) => ask(t("consent.end"), [h("p", {}, t("consent.end.hint"))], { yes: t("consent.end"), kind: "bad", act: () => del(`/api/persons/${p.id}/consent`) }).then(done => done && again());
const withdraw = (p, again) => ask(t("person.withdraw"), [h("p", {}, t("person.withdraw.hint"))], { yes: t("person.withdraw"), kind: "bad", act: () => post(`/api/persons/${p.id}/withdraw-biometrics`) }).then(done => done && again());

async function erase(p) {
  const override = signal(false);
  const receipt = await ask(t("person.erase"), [
    h("p", {}, t("person.erase.hint", { name: nameOf(p) })),
    field(t("person.erase.type", { code: p.personnel_code }), input("code", "", { required: true, autofocus: true })),
    () => override.value && field(t("act.reason"), input("reason", "", { required: true, minlength: 3 }), t("person.erase.hold")),
  ], { yes: t("person.erase"), kind: "bad", act: async given => {
    if (given.code !== p.personnel_code) throw new Error(t("person.erase.wrong"));
    try { return await del(`/api/persons/${p.id}?${query({ override: override.peek() || null, reason: given.reason })}`); } catch (error) {
      if (error instanceof ApiError && error.code === "retention_hold") override.value = true;
      throw error;
    }
  } });
  if (!receipt) return;
  await dialog(t("receipt.title"), close => [
    h("p", {}, t("receipt.done", { name: nameOf(p) })),
    h("dl.pairs", {}, ["erased_at", "enrollments", "files", "credentials", "redacted_rows", "texts_left", "chain", "seq", "hash"].map(key => [h("dt", {}, t(`receipt.${key}`)), h("dd.break", {}, key === "erased_at" ? moment(receipt[key]) : String(receipt[key]))])),
    h("div.row.end", {}, button(t("app.print"), () => print(), { kind: "" }), button(t("app.close"), () => close(), { kind: "main" }))]);
  go("people");
}

// --- why, visits -----------------------------------------------------------------------------

function why(p) {
  const found = signal(null), problem = signal(null), turn = inOrder();
  const run = async values => {
    const mine = turn();
    try {
      const told = await get(`/api/persons/${p.id}/explain`, values);
      if (mine()) { found.value = told; problem.value = null; }
    } catch (error) { if (mine()) { found.value = null; problem.value = error; } }
  };
  run({});
  const at = input("at", "", { type: "datetime-local", onchange: e => run({ at: fromSite(e.target.value) }) });
  return h("div.pad.stack", {},
    field(t("why.at"), at, t("why.at.hint")),
    () => problem.value && note("bad", inWords(problem.value)),
    () => found.value && verdict(found.value));
}

function verdict(e) {
  const good = e.outcome === "granted" && !e.lacks;
  return h("div.stack", { role: "status" },
    e.lacks && note("warn", t("why.lacks", { what: e.shown.map(kind => word("method", kind)).join(", ") })),
    e.outcome === "granted" ? good && note("ok", t("why.granted"))
      : note(e.outcome === "waits" ? "warn" : "bad", h("strong", {}, t(`why.${e.outcome}`)), ` ${word("reason", e.reason, e.text)}`,
      e.opens_at && h("div", {}, t("why.opens", { at: moment(e.opens_at) }))),
    h("details", {}, h("summary", {}, t("why.rules", { n: e.rules.length })),
      h("ul.rows", {}, e.rules.map(r => h("li", {}, outcome(r.outcome === "passed"), h("div.grow", {}, h("strong", {}, word("rule", r.rule)), h("div.small.muted", {}, r.outcome === "passed" ? t("why.passed") : word("reason", r.reason, r.text))))))));
}

function visits(p) {
  return loaded(() => get("/api/attendance/summary", { person_id: p.id, from: addDays(today(), -13), to: today() }), days => (days.length
    ? h("div", {}, h("ul.rows", {}, days.slice().reverse().map(d => h("li", {}, h("div.grow", {}, h("strong", {}, day(d.date)), h("div.small.muted.num", {}, `${clockOf(d.first_in)} – ${clockOf(d.last_out)}`)),
      d.open_visits > 0 && chip("warn", "warn", t("attendance.open"))))), h("p.pad", {}, h("a", { href: `${BASE}attendance/${p.id}` }, t("person.all_times"))))
    : empty("clock", t("person.no_visits"))));
}
