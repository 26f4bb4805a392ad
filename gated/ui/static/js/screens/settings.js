// Settings of the gate, and of people who use it: accounts, devices, audit, jobs, log, password.
import { atDomain, del, get, may, patch, post, put, recently, session } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { fromSite, moment, number, t, word } from "../core/i18n.js";
import { BASE, remember } from "../core/router.js";
import { bdi, button, chip, empty, head, inWords, loaded, note, toast } from "../pieces/bits.js";
import { ask, dialog, field, input, select, whose } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { table } from "../pieces/table.js";
import { changed, changing } from "./setup.js";

const ROLES = ["self", "viewer", "operator", "admin", "auditor"];

export default function settings({ place, meta }) {
  const views = [may("admin") && "gate", may("admin") && "accounts", may("admin") && "devices", may("auditor") && "audit", may("operator") && "jobs", may("admin") && "log", may("admin") && "backup", "password", meta.passkeys && "passkeys"].filter(Boolean);
  const asked = place.query.get("view"), view = signal(views.includes(asked) ? asked : views[0]);
  const shown = { gate, accounts, devices, audit, jobs, log, backup, password, passkeys: () => passkeys(meta.passkeys) };
  return h("div", {}, head(t("app.settings"), h("span.grow"), may("admin") && meta.role === "gate" && h("a.btn", { href: `${BASE}setup` }, icon("gear"), t("first.again"))),
    h("nav.tabbar", { "aria-label": t("app.settings") }, views.map(name => h("button", { type: "button", "aria-current": () => (view.value === name ? "page" : null), onclick: () => { remember({ view: name }); view.value = name; } }, t(`settings.${name}`)))),
    h("div.below", {}, () => shown[view.value](place.query)));
}

const secret = (name, label, hint) => field(label, input(name, "", { type: "password", autocomplete: "new-password", required: true, maxlength: 1024 }), hint);

function accounts() {
  const add = again => ask(t("account.add"), [field(t("sign.name"), input("username", "", { required: true, autofocus: true, pattern: "[A-Za-z0-9_.@+\\-]+", autocapitalize: "none" })),
    field(t("account.role"), select("role", "viewer", ROLES.map(role => [role, word("role", role)])), t("account.role.hint")), secret("password", t("sign.password"), t("account.password.hint"))],
  { yes: t("person.create"), act: given => post("/api/accounts", given) }).then(done => done && again());
  return h("div", {}, loaded(() => get("/api/accounts"), (found, again) => h("div.stack", {}, h("div.row", {}, button(t("account.add"), () => add(again), { kind: "main", sign: "plus" })),
    h("section.card", { "aria-label": t("settings.accounts") }, h("ul.rows", {}, found.map(a => h("li", {}, h("span.mark", {}, icon("person", 18)),
      h("div.grow", {}, h("strong", {}, bdi(a.username)), " ", chip("", null, word("role", a.role)), !a.is_active && chip("bad", "no", t("people.inactive")), h("div.small.muted", {}, moment(a.created_at))),
      button(t("app.change"), () => change(a, again), { kind: "small" }))))))));
}

const change = (a, again) => ask(a.username, [
  whose(a.username),
  field(t("account.role"), select("role", a.role, ROLES.map(role => [role, word("role", role)])), t("account.role.hint")),
  field(t("people.status"), select("is_active", String(a.is_active), [["true", t("people.active")], ["false", t("people.inactive")]])),
  field(t("account.new_password"), input("password", "", { type: "password", autocomplete: "new-password", maxlength: 1024 }), t("account.leave_empty")),
  field(t("account.what"), select("what", "save", [["save", t("app.save")], ["passkeys", t("account.passkeys")], ["remove", t("account.remove")]])),
], { yes: t("app.done"), act: async given => {
  if (given.what === "passkeys") return (await del(`/api/accounts/${a.id}/passkeys`)) ?? true;
  if (given.what === "remove") return (await del(`/api/accounts/${a.id}`)) ?? true;
  if (given.role !== a.role || (given.is_active === "true") !== a.is_active) await patch(`/api/accounts/${a.id}`, { role: given.role, is_active: given.is_active === "true" });
  if (given.password) await put(`/api/accounts/${a.id}/password`, { password: given.password });
  return true;
} }).then(done => done && again());

function devices() {
  const show = made => dialog(made.username, close => [note("warn", t("device.once")), field(t("kiosk.token"), input("token", made.token, { readonly: true, onfocus: e => e.target.select() })), h("p.muted", {}, t("device.kiosk")), h("div.row.end", {}, button(t("app.close"), () => close(), { kind: "main" }))], { wide: true });
  const add = async again => { const made = await ask(t("device.add"), [field(t("sign.name"), input("name", "kiosk", { required: true, autofocus: true }))], { yes: t("person.create"), act: given => post("/api/devices", given) }); if (made) { await show(made); again(); } };
  return h("div", {}, loaded(() => get("/api/devices"), (found, again) => h("div.stack", {}, h("div.row", {}, button(t("device.add"), () => add(again), { kind: "main", sign: "plus" })),
    found.length ? h("section.card", { "aria-label": t("settings.devices") }, h("ul.rows", {}, found.map(d => h("li", {}, h("span.mark", {}, icon("card", 18)), h("div.grow", {}, h("strong", {}, bdi(d.username)), h("div.small.muted", {}, moment(d.created_at))),
      button(t("device.renew"), async () => { await show(await post(`/api/devices/${d.id}/token`)); again(); }, { kind: "small" }),
      button(t("app.remove"), () => ask(t("app.remove"), [h("p", {}, d.username)], { yes: t("app.remove"), kind: "bad", act: () => del(`/api/devices/${d.id}`) }).then(done => done && again()), { kind: "small bad" }))))) : empty("card", t("device.none")))));
}

function audit(at) {
  const filters = signal({ kind: at.get("kind") ?? "", actor: at.get("actor") ?? "" });
  let shown = null;
  const narrow = values => { filters.value = { ...filters.peek(), ...values }; shown.again(); };
  shown = table({ path: "/api/audit", filters, label: t("settings.audit"),
    columns: [{ label: t("decision.when") }, { label: t("audit.act") }, { label: t("audit.who"), optional: true }, { label: t("audit.what"), optional: true }],
    row: r => [h("td.num", {}, moment(r.at)), h("td", {}, h("strong", {}, word("event", r.kind)), h("div.small.muted", {}, r.actor?.reason ?? "")), h("td.opt", {}, bdi(r.actor?.name ?? "–"), h("div.small.muted", {}, r.actor?.address ?? "")),
      h("td.opt.small.break", {}, Object.entries(r.body).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ").slice(0, 160))],
    none: () => empty("list", t("attendance.nothing")) });
  return h("div", {}, h("div.filters", {}, field(t("audit.who"), input("actor", filters.peek().actor, { onchange: e => narrow({ actor: e.target.value }) })), field(t("audit.kind"), input("kind", filters.peek().kind, { placeholder: "person_changed", onchange: e => narrow({ kind: e.target.value }) })),
    field(t("attendance.from"), input("from", "", { type: "date", onchange: e => narrow({ from: fromSite(e.target.value && `${e.target.value}T00:00`) }) }))), shown.el);
}

export function password() {
  const open = () => ask(t("settings.password"), [whose(session.peek().username), field(t("account.current"), input("current_password", "", { type: "password", autocomplete: "current-password", required: true, autofocus: true })), secret("new_password", t("account.new_password"), t("account.password.hint"))],
    { yes: t("app.save"), act: given => post("/api/auth/password", given) }).then(done => { if (done) { toast(t("app.saved")); location.reload(); } });
  return h("section.card.pad.stack", { "aria-label": t("settings.password") }, h("p", {}, t("account.ends")), h("div.row", {}, button(t("settings.password"), open, { kind: "main" })));
}

function passkeys(domain) {
  const HERE = "/api/auth/passkeys";
  const add = again => ask(t("passkey.add"), [field(t("passkey.name"), input("name", "", { required: true, autofocus: true, maxlength: 100 }), t("passkey.name.hint"))], { yes: t("passkey.add"), act: async ({ name }) => {
    const [options, { create }] = await Promise.all([recently(() => post(`${HERE}/registration`)), import("../pieces/passkey.js")]);
    return post(HERE, { name, credential: await create(options) });
  } }).then(made => { if (made) { toast(t("app.saved")); again(); } });
  const remove = one => ask(t("app.remove"), [h("p", {}, bdi(one.name)), h("p", {}, t("passkey.remove.hint"))], { yes: t("app.remove"), kind: "bad", act: async () => (await recently(() => del(`${HERE}/${one.id}`))) ?? true })
    .then(done => { if (done) location.reload(); });
  return h("div", {}, loaded(() => get(HERE), (found, again) => h("section.card.pad.stack", { "aria-label": t("settings.passkeys") }, h("p", {}, t("passkey.what")),
    atDomain(domain) ? h("div.row", {}, button(t("passkey.add"), () => add(again), { kind: "main", sign: "plus" })) : note("info", t("passkey.elsewhere", { domain })),
    found.length ? h("ul.rows", {}, found.map(one => h("li", {}, h("span.mark", {}, icon("lock", 18)),
      h("div.grow", {}, h("strong", {}, bdi(one.name)), h("div.small.muted", {}, t("passkey.added", { when: moment(one.created_at) }), " · ", one.last_used_at ? t("passkey.used", { when: moment(one.last_used_at) }) : t("passkey.never"))),
      button(t("app.remove"), () => remove(one), { kind: "small bad", "aria-label": `${t("app.remove")}: ${one.name}` })))) : h("p.muted", {}, t("passkey.none")))));
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
  return h("div.stack", {}, changing(),
    h("div.filters", {}, h("div.search", {}, icon("search"), h("input", { type: "search", "aria-label": t("settings.search"), placeholder: t("settings.search"), autocomplete: "off", oninput: e => { q.value = e.target.value.toLowerCase(); } })),
      field(t("settings.mine"), h("input", { type: "checkbox", onchange: e => { mine.value = e.target.checked; } }))),
    loaded(() => get("/api/settings"), (found, again) => h("div.stack", {},
      found.file && h("p.small.muted", {}, t("settings.file"), " ", h("bdi", { dir: "ltr" }, found.file)),
      () => sections(found.settings.filter(one => (!mine.value || one.source !== "default") && `${one.key} ${one.explanation}`.toLowerCase().includes(q.value))).map(one => section(one, again)))));
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

// --- long work, the log, copies ----------------------------------------------------------------

const state = job => chip(job.state === "done" ? "ok" : job.state === "running" ? "" : "bad", null, t(`job.${job.state}`));

function jobs() {
  const list = loaded(() => get("/api/jobs"), found => (found.length ? h("section.card", { "aria-label": t("settings.jobs") }, h("ul.rows", {}, found.map(job => h("li", {},
    h("div.grow", {}, h("strong", {}, word("work", job.kind.replaceAll(" ", "_"))), h("div.small.muted", {}, bdi(job.actor), ` · ${moment(job.started_at)}`), job.detail && h("p.small", {}, job.detail)),
    state(job), h("span.num", {}, `${number(job.done)} / ${number(job.total)}`),
    job.state === "running" && button(t("job.cancel"), async () => { await del(`/api/jobs/${job.id}`); list.again(); }, { kind: "small" }),
    job.kind === "import" && h("a.btn.small", { href: `${BASE}people/import?job=${job.id}` }, t("jobs.look")))))) : empty("list", t("jobs.none"))));
  every(3000, () => list.again());
  return h("div", {}, list);
}

function log() {
  const job = signal(null), problem = signal(null);
  const begin = async () => { problem.value = null; try { job.value = await post("/api/journal/verify"); } catch (error) { problem.value = error; } };
  every(700, async () => { if (job.peek()?.state === "running") job.value = await get(`/api/jobs/${job.peek().id}`).catch(() => job.peek()); });
  return h("div.stack", {}, h("p", {}, t("log.hint")), h("div.row", {}, button(t("log.check"), begin, { kind: "main", sign: "list", disabled: () => job.value?.state === "running" })),
    () => problem.value && note("bad", inWords(problem.value)),
    h("div", { role: "status" }, () => job.value && result(job.value)));
}

function result(job) {
  const { ok, rows, problems = [], notes = [] } = job.report;
  if (job.state === "running") return h("progress", { max: job.total || 1, value: job.done, "aria-label": t("log.check") });
  if (job.state !== "done") return note("bad", job.detail || t(`job.${job.state}`));
  return h("div.stack", {}, ok ? note("ok", t("log.whole", { n: rows })) : note("bad", t("log.broken", { n: problems.length }), h("p", {}, t("log.todo"))),
    problems.length > 0 && h("section.card", { "aria-label": t("log.problems") }, h("ul.rows", {}, problems.map(p => h("li", {}, h("div.grow", { lang: "en", dir: "ltr" }, h("strong", {}, p.what), h("p.small.muted.break", {}, `${p.chain} · ${p.seq}–${p.last}`)))))),
    notes.map(text => h("p.small.muted", { lang: "en", dir: "ltr" }, text)),
    !ok && h("div.row", {}, button(t("log.acknowledge"), () => ask(t("log.acknowledge"), [h("p", {}, t("log.acknowledge.hint")), field(t("act.reason"), input("reason", "", { required: true, autofocus: true }))], { yes: t("log.acknowledge"), kind: "bad", act: given => post("/api/journal/acknowledge", given) }).then(done => done && toast(t("app.saved"))), { kind: "bad" })));
}

const COPY = "sudo gated backup /media/usb/gate.backup", BACK = "sudo gated restore /media/usb/gate.backup";

function backup() {
  return h("section.card.pad.stack", { "aria-label": t("settings.backup") }, h("p", {}, t("backup.what")), h("pre.commands", { dir: "ltr", tabindex: 0 }, COPY), h("p", {}, t("backup.keys")), h("p", {}, t("backup.back")), h("pre.commands", { dir: "ltr", tabindex: 0 }, BACK));
}
