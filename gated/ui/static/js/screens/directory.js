// People from elsewhere: tokens for directories that send them (SCIM), and reading one by LDAP.
import { del, get, post } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { moment, number, t } from "../core/i18n.js";
import { bdi, button, inWords, loaded, note } from "../pieces/bits.js";
import { ask, field, input } from "../pieces/dialog.js";
import { said } from "../pieces/said.js";
import { tokens } from "./accounts.js";
import { stateOf } from "./jobs.js";

const LOOK_MS = 1500;
const NAMED = 100; // of each kind in the report; the rest is counted
const KINDS = ["added", "changed", "refused", "missing", "photos", "same"];

// What the gate's file says of both; a program without a file of its own keeps that to itself.
async function configured() {
  const { settings } = await get("/api/settings").catch(error => { if (error.status !== 409) throw error; return { settings: [] }; });
  const value = key => settings.find(one => one.key === key)?.value;
  return { scim: value("scim.enabled"), url: value("directory.url"), base: value("directory.base") };
}

export const directory = () => h("div", {}, loaded(configured, found => h("div.stack", {}, scim(found), ldap(found))));

function scim({ scim: enabled }) {
  const address = () => field(t("directory.address"), input("address", `${location.origin}/scim/v2`, { readonly: true, dir: "ltr", onfocus: e => e.target.select() }));
  return h("section.stack", { "aria-labelledby": "scim" }, h("h2", { id: "scim" }, t("directory.scim")),
    h("p.muted", {}, t("directory.scim.hint")),
    enabled === false && note("info", t("directory.scim.off")),
    tokens({ role: "directory", label: t("directory.scim"), adding: t("directory.add"), name: "directory", sign: "people",
      none: t("directory.none"), use: address, gone: t("directory.gone") }));
}

// --- LDAP ------------------------------------------------------------------------------------

function ldap({ url, base }) {
  const job = signal(null), problem = signal(null);
  const running = () => job.value?.state === "running";
  const look = async () => {
    const known = job.peek() ?? (await get("/api/jobs")).find(one => one.kind === "directory");
    if (known) job.value = await get(`/api/jobs/${known.id}`);
  };
  const attempt = async act => {
    problem.value = null;
    try { await act(); } catch (error) { problem.value = error; }
  };
  const read = dry => post(`/api/directory/import?dry_run=${dry}`).then(begun => { job.value = begun; return true; });
  const sure = () => ask(t("directory.read"), [h("p", {}, t("directory.ldap.hint"))], { yes: t("directory.read"), act: () => read(false) });
  attempt(look);
  every(LOOK_MS, () => running() && look().catch(() => {}));
  return h("section.stack", { "aria-labelledby": "ldap" }, h("h2", { id: "ldap" }, t("directory.ldap")),
    h("p.muted", {}, t("directory.ldap.hint")),
    url ? h("p.small", {}, h("bdi.break", { dir: "ltr" }, [url, base].filter(Boolean).join(" · "))) : note("info", t("directory.ldap.off")),
    url && h("div.row", {},
      button(t("directory.try"), () => attempt(() => read(true)), { kind: "main", disabled: running }),
      button(t("directory.read"), sure, { sign: "down", disabled: running }),
      () => running() && button(t("job.cancel"), () => attempt(() => del(`/api/jobs/${job.peek().id}`)))),
    () => problem.value && note("bad", inWords(problem.value)),
    h("div", { role: "status" }, () => (job.value ? run(job.value) : url && h("p.muted", {}, t("directory.never")))));
}

function run(job) {
  const { dry_run: dry, counts = {}, ...named } = job.report;
  return h("section.card.pad.stack", { "aria-label": t("directory.last") },
    h("div.row", {}, h("h3", {}, t("directory.last")), stateOf(job), h("span.small.muted", {}, bdi(job.actor), ` · ${moment(job.started_at)}`)),
    dry === true && h("p", {}, t("directory.dry")),
    job.detail && h("p.bad-text", {}, said(job)),
    h("dl.facts", {}, KINDS.filter(kind => counts[kind]).map(kind => h("div", {}, h("dt", {}, t(`directory.${kind}`)), h("dd.num", {}, number(counts[kind]))))),
    KINDS.filter(kind => named[kind]?.length).map(kind => details(kind, named[kind], counts[kind])));
}

function details(kind, rows, count) {
  const line = one => (typeof one === "string" ? bdi(one)
    : one.detail ? [bdi(one.what), h("div.small.muted", {}, said(one))]
      : [bdi(one.personnel_code), h("span.small.muted", {}, ` · ${one.fields.map(name => t(FIELDS[name] ?? "app.change")).join(", ")}`)]);
  const left = (count ?? rows.length) - Math.min(rows.length, NAMED);
  return h("details", {}, h("summary", {}, `${t(`directory.${kind}`)} (${number(count ?? rows.length)})`),
    kind === "missing" && h("p.small.muted", {}, t("directory.missing.hint")),
    h("ul.rows", {}, rows.slice(0, NAMED).map(one => h("li", {}, h("div.grow", {}, line(one))))),
    left > 0 && h("p.small.muted", {}, t("bulk.more", { n: left })));
}

const FIELDS = {
  first_name: "person.first_name", last_name: "person.last_name", email: "person.email", phone: "person.phone",
  department: "person.department", position: "person.position",
};
