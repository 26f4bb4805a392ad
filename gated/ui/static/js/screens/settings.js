// Settings: of the gate, and the audit here; accounts, directory, backups and jobs in modules of their own.
import { get, may, put } from "../core/api.js";
import { h, signal } from "../core/dom.js";
import { codes, day, fromSite, has, learn, moment, t, word } from "../core/i18n.js";
import { BASE, remember } from "../core/router.js";
import { bdi, button, chip, empty, english, head, loaded, note } from "../pieces/bits.js";
import { ask, field, input, select } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { saved } from "../pieces/saved.js";
import { tabbar, viewOf } from "../pieces/tabbar.js";
import { table } from "../pieces/table.js";
import { accounts, devices, displays, passkeys, password } from "./accounts.js";
import { directory } from "./directory.js";
import { backup } from "./backup.js";
import { jobs, log } from "./jobs.js";
import { changed, changing } from "./setup.js";

// The least role of a view; an administrator's where nothing is said.
const LEAST = { audit: "auditor", jobs: "operator", password: "self", passkeys: "self" };

export default function settings({ place, meta }) {
  const shown = { gate, accounts, devices, displays, directory, audit, jobs, log, backup, password, passkeys: () => passkeys(meta.passkeys) };
  const views = Object.keys(shown).filter(name => may(LEAST[name] ?? "admin") && (name !== "passkeys" || meta.passkeys) && (name !== "displays" || meta.role === "gate"));
  const view = viewOf(place, views);
  const again = may("admin") && meta.role === "gate" && h("a.btn", { href: `${BASE}setup` }, icon("gear"), t("first.again"));
  return h("div", {}, head(t("app.settings"), h("span.grow"), again),
    tabbar(t("app.settings"), views.map(name => [name, t(`settings.${name}`)]), view),
    h("div.below", {}, () => shown[view.value](place.query)));
}

// --- who did what ------------------------------------------------------------------------------

// What a row says of an act, in words: its field, and what kind of code its value is, if it is one.
const SAID = {
  name: ["people.name"], role: ["account.role", "role"], direction: ["decision.direction", "direction"], status: ["attendance.status", "status"],
  method: ["decision.method", "method"], mode: ["now.modes", "mode"], reason: ["attendance.why", "reason"], kind: ["audit.kind", "event"], day: ["attendance.day"],
  until: ["access.valid_until"], gate: ["rules.gate"], site: ["fleet.site"], table: ["export.what"], revision: ["audit.revision"], created_at: ["attendance.at"],
};
const IDS = /^[0-9a-f]{8}-?[0-9a-f]{4}/; // say nothing to people
const RENAMED = {
  name: "people.name", personnel_code: "person.code", is_active: "people.status", extended_unlock: "person.extended", face_image_path: "person.photos",
  notice_version: "consent.notice", given_at: "consent.given", expires_at: "consent.until", method: "consent.how",
};

const fieldName = name => {
  const [kind, which] = name.split(" "); // such as `group` or `card`, and which one
  if (which) return kind === "group" ? t("person.groups") : word("method", kind);
  const key = [RENAMED[name], `person.${name}`, `access.${name}`, `rules.${name}`].find(one => one && has(one));
  return key ? t(key) : name.replaceAll("_", " ");
};
function told(name, value) {
  const [label, codes] = SAID[name];
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return `${t(label)}: ${moment(value)}`;
  return `${t(label)}: ${codes ? word(codes, value) : name === "day" ? day(value, { dateStyle: "medium" }) : value}`;
}
const whom = s => [s.name, s.username, s.personnel_code, s.passkey].filter(Boolean).join(" · ");

function about({ subject, body }) {
  const who = subject && whom(subject);
  const said = Object.entries(body).filter(([name, value]) => name in SAID && ["string", "number"].includes(typeof value) && value !== "" && !IDS.test(value)).map(([name, value]) => told(name, value));
  if (body.fields?.length) said.unshift(`${t("audit.fields")}: ${[...new Set(body.fields.map(fieldName))].join(", ")}`);
  return [who && h("div", {}, bdi(who)), said.length > 0 && h("div.small.muted", {}, bdi(said.join(" · "))),
    Object.keys(body).length > 0 && h("details.small", {}, h("summary", {}, t("audit.row")), h("pre.commands", { dir: "ltr", lang: "en", tabindex: 0 }, JSON.stringify(body, null, 1)))];
}

const act = r => [
  h("td.num", {}, moment(r.at)),
  h("td", {}, h("strong", {}, word("event", r.kind)), h("div.small.muted", {}, bdi(r.actor?.reason ?? "")), h("div.small.phone", {}, bdi(r.actor?.name ?? "–"), r.subject && [" · ", bdi(whom(r.subject))])),
  h("td.num.opt", {}, bdi(r.actor?.name ?? "–"), h("div.small.muted", {}, r.actor?.address ?? "")),
  h("td.opt.break", {}, ...about(r))];

function audit(at) {
  const filters = signal({ kind: at.get("kind") ?? "", actor: at.get("actor") ?? "" });
  const shown = table({ path: "/api/audit", filters, label: t("settings.audit"), row: act,
    columns: [{ label: t("decision.when") }, { label: t("audit.act") }, { label: t("audit.who"), optional: true }, { label: t("audit.what"), optional: true }],
    none: () => empty("list", t("attendance.nothing")) });
  const narrow = values => {
    filters.value = { ...filters.peek(), ...values };
    remember({ kind: filters.peek().kind, actor: filters.peek().actor });
    shown.again();
  };
  const { actor, kind } = filters.peek(), kinds = codes("event");
  const choice = [["", t("attendance.status.any")], ...(kind && !kinds.includes(kind) ? [kind, ...kinds] : kinds).map(one => [one, word("event", one)])];
  return h("div", {}, h("div.filters", {},
    field(t("audit.who"), input("actor", actor, { onchange: e => narrow({ actor: e.target.value.trim() }) })),
    field(t("audit.act"), select("kind", kind, choice, { onchange: e => narrow({ kind: e.target.value }) })),
    field(t("attendance.from"), input("from", "", { type: "date", onchange: e => narrow({ from: fromSite(e.target.value && `${e.target.value}T00:00`) }) })), saved("settings", { view: "audit" }, ["kind", "actor"])), shown.el);
}

// --- what the gate is set to -------------------------------------------------------------------

// What a setting is for; its words are many, and come with this view.
const purpose = ({ key, explanation }) => (has(`explain.${key}`) ? t(`explain.${key}`) : explanation);
const explained = one => { const text = purpose(one); return text === one.explanation ? english(text) : text; };
async function everySetting() {
  const [found] = await Promise.all([get("/api/settings"), learn("settings").catch(() => {})]);
  return found;
}

function gate() {
  const q = signal(""), mine = signal(false), open = new Set(); // sections that somebody has opened
  // A section is folded until it is opened, or the search finds something in it.
  const section = ([name, rows], again) => {
    const set = rows.filter(one => one.source !== "default").length, found = Boolean(q.peek() || mine.peek());
    return h("details.card.fold", { open: found || open.has(name), ontoggle: e => { if (!found) open[e.target.open ? "add" : "delete"](name); } },
      h("summary", {}, h("h2", { dir: "ltr" }, name), h("span.small.muted.num", {}, t("settings.count", { n: rows.length }), set > 0 && ` · ${t("settings.set", { n: set })}`)),
      h("ul.rows", { "aria-label": name }, rows.map(one => value(one, again))));
  };
  const list = loaded(everySetting, (found, again) => h("div.stack", {},
    found.file && h("p.small.muted", {}, t("settings.file"), " ", h("bdi", { dir: "ltr" }, found.file)),
    () => sections(found.settings.filter(one => (!mine.value || one.source !== "default") && `${one.key} ${purpose(one)}`.toLowerCase().includes(q.value))).map(one => section(one, again))));
  return h("div.stack", {}, changing(list.again),
    h("div.filters", {}, h("div.search", {}, icon("search"), h("input", { type: "search", "aria-label": t("settings.search"), placeholder: t("settings.search"), autocomplete: "off", oninput: e => { q.value = e.target.value.toLowerCase(); } })),
      field(t("settings.mine"), h("input", { type: "checkbox", onchange: e => { mine.value = e.target.checked; } }))), list);
}

function sections(rows) {
  const found = new Map();
  for (const one of rows) { const name = one.key.split(".")[0]; found.set(name, [...(found.get(name) ?? []), one]); }
  return [...found];
}

const shownAs = value => (value === null ? "–" : typeof value === "boolean" ? t(value ? "app.yes" : "app.no") : typeof value === "object" ? JSON.stringify(value) : String(value));

function value(one, again) {
  return h("li", {}, h("div.grow", {}, h("strong", { dir: "ltr" }, one.key), one.explanation && h("p.small.muted", {}, explained(one))),
    h("div.ends", {}, h("bdi.num.break", { dir: "ltr" }, shownAs(one.value)), h("p.small.muted", {}, t(`source.${one.source}`), one.place && !["pages", "default"].includes(one.source) && h("bdi", { dir: "ltr" }, ` · ${one.place}`))),
    one.form ? button(t("app.change"), () => set(one, again), { kind: "small", "aria-label": `${t("app.change")}: ${one.key}` }) : chip("", "lock", t("settings.fixed")));
}

const set = (one, again) => ask(one.key, [
  one.explanation && h("p.muted", {}, explained(one)),
  field(t("settings.value"), control(one), t("settings.default", { value: shownAs(one.default) })),
  note("info", t("settings.tried")),
].filter(Boolean), { yes: t("app.save"), act: async given => {
  const values = changed([[one, read(one, given.value)]]);
  if (values) await put("/api/settings", { values });
  return true;
} }).then(done => done && again());

const forms = form => form.anyOf?.find(one => one.type !== "null") ?? form;

function control({ form, value: now }) {
  const { type, enum: choices, minimum, maximum } = forms(form);
  if (type === "boolean") return select("value", String(now), [["true", t("app.yes")], ["false", t("app.no")]]);
  if (choices) return select("value", now, choices.map(one => [one, String(one)]));
  if (type === "integer" || type === "number") return input("value", now, { type: "number", step: type === "integer" ? 1 : "any", min: minimum ?? null, max: maximum ?? null, required: !form.anyOf, dir: "ltr" });
  return input("value", type === "array" ? now.join(", ") : now, { required: !form.anyOf, dir: "auto" });
}

function read({ form }, text) {
  const { type, enum: choices } = forms(form);
  if (text === null && form.anyOf) return null;
  if (type === "boolean") return text === "true";
  if (choices) return choices.find(one => String(one) === text);
  if (type === "integer" || type === "number") return Number(text);
  return type === "array" ? (text ?? "").split(",").map(one => one.trim()).filter(Boolean) : text ?? "";
}
