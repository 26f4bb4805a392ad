// Settings: of the gate, the audit and copies here; accounts, directory and jobs in modules of their own.
import { get, may, put } from "../core/api.js";
import { h, signal } from "../core/dom.js";
import { fromSite, moment, t, word } from "../core/i18n.js";
import { BASE } from "../core/router.js";
import { bdi, button, chip, empty, head, loaded, note } from "../pieces/bits.js";
import { ask, field, input, select } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { tabbar, viewOf } from "../pieces/tabbar.js";
import { table } from "../pieces/table.js";
import { accounts, devices, passkeys, password } from "./accounts.js";
import { directory } from "./directory.js";
import { jobs, log } from "./jobs.js";
import { changed, changing } from "./setup.js";

// The least role of a view; an administrator's where nothing is said.
const LEAST = { audit: "auditor", jobs: "operator", password: "self", passkeys: "self" };

export default function settings({ place, meta }) {
  const shown = { gate, accounts, devices, directory, audit, jobs, log, backup, password, passkeys: () => passkeys(meta.passkeys) };
  const views = Object.keys(shown).filter(name => may(LEAST[name] ?? "admin") && (name !== "passkeys" || meta.passkeys));
  const view = viewOf(place, views);
  const again = may("admin") && meta.role === "gate" && h("a.btn", { href: `${BASE}setup` }, icon("gear"), t("first.again"));
  return h("div", {}, head(t("app.settings"), h("span.grow"), again),
    tabbar(t("app.settings"), views.map(name => [name, t(`settings.${name}`)]), view),
    h("div.below", {}, () => shown[view.value](place.query)));
}

// --- who did what ------------------------------------------------------------------------------

const LONGEST = 160; // characters of what an act was about
const about = body => Object.entries(body).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ").slice(0, LONGEST);

const act = r => [
  h("td.num", {}, moment(r.at)),
  h("td", {}, h("strong", {}, word("event", r.kind)), h("div.small.muted", {}, r.actor?.reason ?? "")),
  h("td.num.opt", {}, bdi(r.actor?.name ?? "–"), h("div.small.muted", {}, r.actor?.address ?? "")),
  h("td.opt.small.break", {}, h("bdi", { dir: "ltr" }, about(r.body)))];

function audit(at) {
  const filters = signal({ kind: at.get("kind") ?? "", actor: at.get("actor") ?? "" });
  const shown = table({ path: "/api/audit", filters, label: t("settings.audit"), row: act,
    columns: [{ label: t("decision.when") }, { label: t("audit.act") }, { label: t("audit.who"), optional: true }, { label: t("audit.what"), optional: true }],
    none: () => empty("list", t("attendance.nothing")) });
  const narrow = values => { filters.value = { ...filters.peek(), ...values }; shown.again(); };
  const { actor, kind } = filters.peek();
  return h("div", {}, h("div.filters", {},
    field(t("audit.who"), input("actor", actor, { onchange: e => narrow({ actor: e.target.value }) })),
    field(t("audit.kind"), input("kind", kind, { placeholder: "person_changed", dir: "ltr", onchange: e => narrow({ kind: e.target.value }) })),
    field(t("attendance.from"), input("from", "", { type: "date", onchange: e => narrow({ from: fromSite(e.target.value && `${e.target.value}T00:00`) }) }))), shown.el);
}

// --- what the gate is set to -------------------------------------------------------------------

function gate() {
  const q = signal(""), mine = signal(false), open = new Set(); // sections that somebody has opened
  // A section is folded until it is opened, or the search finds something in it.
  const section = ([name, rows], again) => {
    const set = rows.filter(one => one.source !== "default").length, found = Boolean(q.peek() || mine.peek());
    return h("details.card.fold", { open: found || open.has(name), ontoggle: e => { if (!found) open[e.target.open ? "add" : "delete"](name); } },
      h("summary", {}, h("h2", { dir: "ltr" }, name), h("span.small.muted.num", {}, t("settings.count", { n: rows.length }), set > 0 && ` · ${t("settings.set", { n: set })}`)),
      h("ul.rows", { "aria-label": name }, rows.map(one => value(one, again))));
  };
  const list = loaded(() => get("/api/settings"), (found, again) => h("div.stack", {},
    found.file && h("p.small.muted", {}, t("settings.file"), " ", h("bdi", { dir: "ltr" }, found.file)),
    () => sections(found.settings.filter(one => (!mine.value || one.source !== "default") && `${one.key} ${one.explanation}`.toLowerCase().includes(q.value))).map(one => section(one, again))));
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
  return h("li", {}, h("div.grow", {}, h("strong", { dir: "ltr" }, one.key), one.explanation && h("p.small.muted", { lang: "en", dir: "ltr" }, one.explanation)),
    h("div.ends", {}, h("bdi.num.break", { dir: "ltr" }, shownAs(one.value)), h("p.small.muted", {}, t(`source.${one.source}`), one.place && !["pages", "default"].includes(one.source) && h("bdi", { dir: "ltr" }, ` · ${one.place}`))),
    one.form ? button(t("app.change"), () => set(one, again), { kind: "small", "aria-label": `${t("app.change")}: ${one.key}` }) : chip("", "lock", t("settings.fixed")));
}

const set = (one, again) => ask(one.key, [
  one.explanation && h("p.muted", { lang: "en", dir: "ltr" }, one.explanation),
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

// --- copies ----------------------------------------------------------------------------------

const COPY = "sudo gated backup /media/usb/gate.backup", BACK = "sudo gated restore /media/usb/gate.backup";

function backup() {
  return h("section.card.pad.stack", { "aria-label": t("settings.backup") }, h("p", {}, t("backup.what")), h("pre.commands", { dir: "ltr", tabindex: 0 }, COPY), h("p", {}, t("backup.keys")), h("p", {}, t("backup.back")), h("pre.commands", { dir: "ltr", tabindex: 0 }, BACK));
}
