// The gates of a hub: how each is, invitations, edits to decide, roll-outs, receipts of erasures.
import { get, may, patch, post } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { has, moment, number, t, word } from "../core/i18n.js";
import { bdi, button, chip, empty, english, head, loaded, note } from "../pieces/bits.js";
import { ask, checkbox, dialog, field, form, input } from "../pieces/dialog.js";
import { tabbar, viewOf } from "../pieces/tabbar.js";
import { table } from "../pieces/table.js";

const LOOK_MS = 5000; // as often as the hub takes a step

// The least role of a view; a viewer's where nothing is said.
const LEAST = { edits: "operator", receipts: "auditor" };

export default function fleet({ place }) {
  const shown = { gates, edits, rollouts, receipts };
  const views = Object.keys(shown).filter(name => may(LEAST[name] ?? "viewer")), view = viewOf(place, views);
  const invited = signal(0);
  const add = async () => { if (await invite()) invited.value++; };
  return h("div", {}, head(t("app.fleet"), h("span.grow"), may("admin") && button(t("fleet.invite"), add, { kind: "main", sign: "plus" })),
    tabbar(t("app.fleet"), views.map(name => [name, t(`fleet.${name}`)]), view),
    h("div.below", {}, () => { invited.value; return shown[view.value](); }));
}

const code = made => dialog(t("fleet.code", { name: made.name }), close => [note("warn", t("credential.once")), h("p.lead.num", { dir: "ltr" }, made.code), h("p.muted", { dir: "ltr" }, "gated join URL CODE"), h("p.muted", {}, t("people.until", { day: moment(made.valid_until) })), h("div.row.end", {}, button(t("app.close"), () => close(), { kind: "main" }))]);

async function invite() {
  const made = await ask(t("fleet.invite"), [field(t("people.name"), input("name", "", { required: true, autofocus: true })), field(t("fleet.site"), input("site", "", { required: true })), field(t("fleet.everyone"), checkbox("everyone", true), t("fleet.everyone.hint"))], { yes: t("person.create"), act: given => post("/api/fleet/gates", given) });
  if (made) await code(made);
  return made;
}

function gates() {
  return table({ path: "/api/fleet/gates", filters: signal({}), label: t("fleet.gates"),
    columns: [{ label: t("people.name") }, { label: t("people.status") }, { label: t("fleet.seen"), optional: true }, { label: t("fleet.backlog"), optional: true }, { label: t("fleet.version"), optional: true }, { label: t("app.change"), hidden: true }],
    row: (g, again) => [
      h("td", {}, h("strong", {}, bdi(g.name)), h("div.small.muted", {}, bdi(g.site))),
      h("td", {}, h("span.chips", {}, chip(g.state === "joined" ? "ok" : g.state === "revoked" ? "bad" : "", null, t(`fleet.${g.state}`)), g.troubles.map(x => chip("warn", "warn", word("problem", x))))),
      h("td.opt.num", {}, g.seen_at ? moment(g.seen_at) : "–"), h("td.opt.num", {}, g.reported.backlog === null ? "–" : number(g.reported.backlog)), h("td.opt", {}, g.reported.version ?? "–"),
      h("td", {}, may("admin") && button(t("app.change"), () => change(g, again), { kind: "small" }))],
    none: () => empty("door", t("fleet.none")) }).el;
}

const change = (g, again) => dialog(g.name, close => {
  const act = run => async () => { close(); await run(); again(); };
  return [h("div.stack", {},
    button(t("fleet.rename"), act(() => ask(t("fleet.rename"), [field(t("people.name"), input("name", g.name, { required: true, autofocus: true })), field(t("fleet.site"), input("site", g.site, { required: true }))], { yes: t("app.save"), act: given => patch(`/api/fleet/gates/${g.id}`, given) }))),
    button(t("fleet.replace"), act(async () => { const made = await ask(t("fleet.replace"), [h("p", {}, t("fleet.replace.hint"))], { yes: t("fleet.replace"), kind: "bad", act: () => post(`/api/fleet/gates/${g.id}/replace`) }); if (made) await code(made); }), { kind: "bad" }),
    button(t("fleet.revoke"), act(() => ask(t("fleet.revoke"), [h("p", {}, t("fleet.revoke.hint"))], { yes: t("fleet.revoke"), kind: "bad", act: () => post(`/api/fleet/gates/${g.id}/revoke`) })), { kind: "bad" })),
  h("div.row.end", {}, button(t("app.close"), () => close()))];
});

function edits() {
  const line = (e, again) => h("li", {},
    h("div.grow", {}, h("strong", {}, bdi(e.name ?? e.person)), h("div.small.muted", {}, `${e.kind.replaceAll("_", " ")} · `, bdi(e.gate), " · ", bdi(e.operator), ` · ${moment(e.made_at)}`),
      h("span.chips", {}, e.conflict && chip("warn", "warn", t("edit.conflict")), e.waits && chip("", "clock", t("edit.waits")))),
    !e.waits && button(e.conflict ? t("edit.compare") : t("request.approve"), () => (e.conflict ? compare(e.id, again) : accept(e.id, again)), { kind: "small main" }),
    button(t("request.refuse"), () => ask(t("request.refuse"), [field(t("act.reason"), input("reason", "", { required: true, minlength: 3, autofocus: true }))], { yes: t("request.refuse"), kind: "bad", act: given => post(`/api/fleet/edits/${e.id}/refuse`, given) }).then(done => done && again()), { kind: "small" }));
  return h("div", {}, loaded(() => get("/api/fleet/edits", { state: "pending" }), (found, again) => (found.length
    ? h("section.card", { "aria-label": t("fleet.edits") }, h("ul.rows", {}, found.map(e => line(e, again)))) : empty("yes", t("request.none")))));
}

async function accept(id, again) {
  try { await post(`/api/fleet/edits/${id}/accept`, {}); } finally { again(); } // somebody else may have decided
}

// A person whom the hub has changed since the gate knew them: both, side by side, before one is taken.
async function compare(id, again) {
  const e = await get(`/api/fleet/edits/${id}`), wants = Object.entries(e.wants?.fields ?? e.wants ?? {});
  const named = key => { const own = `person.${key === "personnel_code" ? "code" : key}`; return has(own) ? t(own) : key; };
  const shown = one => (one === null || one === undefined ? "–" : typeof one === "object" ? JSON.stringify(one) : String(one));
  const done = await ask(t("edit.title", { name: e.name ?? e.person }), [
    h("p", {}, t("edit.compare")),
    h("table.list", {}, h("caption.vh", {}, t("edit.compare")), h("thead", {}, h("tr", {}, ["field", "now", "wanted"].map(key => h("th", { scope: "col" }, t(`edit.${key}`))))),
      h("tbody", {}, wants.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, named(key)), h("td", {}, bdi(shown(e.has?.[key]))), h("td", {}, bdi(shown(value))))))),
  ], { yes: t("edit.anyway"), kind: "bad", wide: true, act: () => post(`/api/fleet/edits/${id}/accept`, { anyway: true }) });
  if (done) again();
}

const TONE = { done: "ok", running: "", halted: "bad", rolled_back: "warn", waiting: "", unreachable: "warn", failed: "bad" };
const ACTS = { running: ["advance", "halt", "rollback"], halted: ["advance", "rollback"], done: ["rollback"] };

// Whom a stage reaches: everyone, sites or gates, each a box to tick.
function stageOf(stage, name, all) {
  const box = (key, value, label) => h("label.choice", {}, h("input", { type: "checkbox", checked: key ? stage[key].has(value) : stage.everyone, onchange: e => { if (key) stage[key][e.target.checked ? "add" : "delete"](value); else stage.everyone = e.target.checked; } }), label);
  return h("fieldset.choices", {}, h("legend", {}, name), box(null, "", t("rollout.everyone")),
    [...new Set(all.map(g => g.site))].sort().map(site => box("sites", site, [`${t("fleet.site")}: `, bdi(site)])), all.map(g => box("gates", g.name, bdi(g.name))));
}

// What is wrong with a text stands at a place such as `line:3`; the detail begins with the key, which words leave out.
function byLine(error) {
  for (const e of error.body?.errors ?? []) {
    const line = /^line:(\d+)/.exec(e.at)?.[1], key = e.rule && /^([\w.]+): /.exec(e.detail)?.[1];
    e.at = [line ? t("import.line", { n: Number(line) }) : t("rollout.settings"), key].filter(Boolean).join(": ");
  }
  throw error;
}

// As `gated hub configure` does: the settings are checked and kept as a revision, then it goes to the first stage.
async function begin() {
  const all = (await get("/api/fleet/gates", { limit: 1000 })).filter(g => g.state !== "revoked"), kept = new Map(); // revisions of texts, so that another try makes no second one
  const blank = everyone => ({ everyone, sites: new Set(), gates: new Set() });
  const stages = signal([blank(false), blank(true)]);
  const text = h("textarea.code", { rows: 8, required: true, maxlength: 65536, dir: "ltr", spellcheck: "false", autofocus: true, placeholder: "door:\n  held_open_s: 20" });
  const file = h("input", { type: "file", accept: ".yaml,.yml,.txt", onchange: async e => { if (e.target.files[0]) text.value = await e.target.files[0].text(); } });
  const reached = stage => ({ everyone: stage.everyone, sites: [...stage.sites], gates: [...stage.gates] });
  return ask(t("rollout.begin"), [
    field(t("rollout.settings"), text, t("rollout.settings.hint")), field(t("rollout.file"), file),
    field(t("rollout.note"), input("note", "")),
    h("div.stack", {}, () => stages.value.map((stage, at) => stageOf(stage, t("rollout.stage", { n: at + 1 }), all))),
    h("div.row", {}, button(t("rollout.stage.add"), () => { stages.value = [...stages.peek(), blank(false)]; }, { kind: "small", sign: "plus" }),
      button(t("rollout.stage.less"), () => { stages.value = stages.peek().slice(0, -1); }, { kind: "small", disabled: () => stages.value.length < 2 })),
    field(t("rollout.soak"), input("soak", 5, { type: "number", min: 0, max: 10080, step: "any", required: true, dir: "ltr" }), t("rollout.soak.hint")),
    field(t("rollout.automatic"), checkbox("automatic", true), t("rollout.automatic.hint")),
  ], { yes: t("rollout.begin"), wide: true, act: async given => {
    const wanted = stages.peek().map(reached), nobody = wanted.findIndex(one => !one.everyone && !one.sites.length && !one.gates.length);
    if (nobody >= 0) throw new Error(t("rollout.nobody", { n: nobody + 1 }));
    const key = `${given.note}\n${text.value}`;
    if (!kept.has(key)) kept.set(key, (await post("/api/fleet/configurations", { text: text.value, ...(given.note && { note: given.note }) }).catch(byLine)).id);
    return post("/api/fleet/rollouts", { configuration: kept.get(key), stages: wanted, soak_s: Number(given.soak) * 60, automatic: given.automatic });
  } });
}

// One after the other, as stages do.
function rollouts() {
  const act = (found, name, again) => ask(t(`rollout.${name}`), [h("p", {}, t(`rollout.${name}.hint`))], { yes: t(`rollout.${name}`), kind: name === "advance" ? "" : "bad", act: () => post(`/api/fleet/rollouts/${found.id}/${name}`) }).then(done => done && again());
  const names = stage => (stage.everyone ? t("rollout.everyone") : [...stage.gates, ...stage.sites].join(", "));
  const list = loaded(() => get("/api/fleet/rollouts"), (found, again) => (found.length ? h("div.stack", {}, found.map(r => h("section.card", { "aria-label": t("rollout.title", { n: r.configuration }) },
    h("header", {}, h("h2", {}, t("rollout.title", { n: r.configuration })), chip(TONE[r.state], null, t(`rollout.${r.state}`)),
      may("admin") && (ACTS[r.state] ?? []).map(name => button(t(`rollout.${name}`), () => act(r, name, again), { kind: name === "advance" ? "small" : "small bad" }))),
    h("div.pad.stack", {}, h("p.small.muted", {}, bdi(r.begun_by ?? "–"), ` · ${moment(r.begun_at)}`), r.reason && note("bad", english(r.reason)),
      h("ol.stages", {}, r.stages.map((stage, at) => h("li", { "aria-current": at + 1 === r.stage && r.state === "running" ? "step" : null }, bdi(names(stage))))),
      r.gates.length > 0 && h("ul.rows", {}, r.gates.map(g => h("li", {}, h("div.grow", {}, h("strong", {}, bdi(g.name)), h("span.small.muted", {}, ` · ${g.site}`), g.detail && h("p.small", {}, english(g.detail))), chip(TONE[g.state] ?? "", null, t(`rollout.gate.${g.state}`))))))))) : empty("list", t("rollout.none"))));
  every(LOOK_MS, () => list.again());
  return h("div.stack", {}, may("admin") && h("div.row", {}, button(t("rollout.begin"), () => begin().then(done => done && list.again()), { kind: "main", sign: "plus" })), list);
}

function receipts() {
  const found = signal(null);
  return h("div.stack", {}, h("p.muted", {}, t("receipt.hint")),
    form([field(t("receipt.uid"), input("uid", "", { required: true, maxlength: 64, dir: "ltr", spellcheck: "false" }))], { yes: t("receipt.look"), act: async given => { found.value = await get(`/api/fleet/erasures/${encodeURIComponent(given.uid)}`); } }),
    h("div", { role: "status" }, () => found.value && h("section.card", { "aria-label": t("fleet.receipts") }, h("header", {}, h("h2", {}, t("receipt.erased", { when: moment(found.value.erased_at) }))), h("p.pad", {}, t("receipt.count", { n: found.value.confirmed, open: found.value.outstanding })),
      h("ul.rows", {}, found.value.gates.map(g => h("li", {}, h("div.grow", {}, bdi(g.gate)), g.confirmed_at ? chip("ok", "yes", moment(g.confirmed_at)) : chip("warn", "clock", t("receipt.open"))))))));
}
