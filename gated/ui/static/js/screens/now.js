// Now: the picture, the door, who came, what is wrong. For the guard, with one thumb.
import { get, may, post, put } from "../core/api.js";
import { effect, h, inOrder, signal } from "../core/dom.js";
import { alarms, decisions, gate, old, readGate } from "../core/gate.js";
import { clock, fromSite, has, moment, number, percent, t, time, toSite, word } from "../core/i18n.js";
import { picture } from "../core/live.js";
import { BASE } from "../core/router.js";
import { bdi, button, chip, empty, head, inWords, note, outcome, reasonOf, toast } from "../pieces/bits.js";
import { ask, dialog, field, input, reasoned } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";

const LOUD = new Set(["forced", "held_open", "held_warning", "fire", "lockdown"]);
const SHUT = new Set(["lockdown", "out_of_service"]);

export default function now() {
  const inside = signal(null), turn = inOrder();
  effect(() => { decisions.value; readInside(inside, turn()); });
  return h("div", {}, head(t("app.now")),
    h("div.now", { class: () => (old.value ? "old" : "") }, h("div.stack", {}, view(), all(inside)), h("div.stack", {}, unseen(), recent())));
}

async function readInside(inside, mine) {
  try {
    const found = await get("/api/access/presence", null, { headless: true });
    if (mine()) inside.value = found;
  } catch { /* told by the banner */ }
}

const own = canvas => (may("operator") ? picture(canvas, boxes(canvas)) : signal({ kind: "forbidden" }));

// see: draws the picture on a canvas, and says how it is.
export function view(see = own) {
  const canvas = h("canvas", { width: 640, height: 480, role: "img", "aria-label": t("now.picture") });
  const seen = see(canvas);
  return h("section.card", { "aria-label": t("now.picture") },
    h("div.view", { class: () => (seen.value.kind === "live" ? "" : "stale") }, canvas,
      () => (seen.value.kind === "live" ? h("div.over", {}, h("span.chip", {}, h("i.dot"), t("now.live")))
        : h("div.over.whole", { role: "status" }, h("p", {}, t(`now.${seen.value.kind}`)), seen.value.take && button(t("now.take"), seen.value.take)))),
    h("div.doorbar", {}, doorState(), ...acts()));
}

const ADVISED = 3; // of the last decisions the newest say what to do
const SHOWN_MS = 4000;

// A corner-to-corner box around each face; that of the only one tells what was just decided.
export function boxes(canvas) {
  const style = getComputedStyle(canvas);
  return (context, faces, { width, height }) => {
    canvas.dataset.faces = faces.length;
    const last = decisions.peek()[0], fresh = faces.length === 1 && last && Date.now() - Date.parse(last.at) < SHOWN_MS ? last : null;
    const colour = fresh ? (fresh.outcome === "granted" ? "#62d7a3" : "#ff938b") : "#ffffff";
    Object.assign(context, { lineWidth: Math.max(2, width / 240), strokeStyle: colour, fillStyle: colour, font: `600 ${Math.round(width / 32)}px ${style.fontFamily}`, textBaseline: "bottom", shadowColor: "#000", shadowBlur: 4 });
    for (const [x, y, w, h] of faces) context.strokeRect(x * width, y * height, w * width, h * height);
    if (fresh) context.fillText(fresh.person?.name ?? t("now.unknown"), faces[0][0] * width, Math.max(faces[0][1] * height - 4, width / 32));
    context.shadowBlur = 0;
  };
}

function doorState() {
  const state = () => gate.value?.door_state;
  return h("div.state", { role: "status" },
    () => h("span.mark.large", { class: LOUD.has(state()) ? "bad" : state() === "unlocked" || state() === "open" ? "ok" : "" },
      icon(state() === "locked" ? "lock" : state() === "lockdown" ? "lock" : "unlock")),
    h("div", {}, h("strong", {}, () => (state() ? word("door", state()) : t("app.loading"))),
      h("span.muted", {}, () => gate.value && `${gate.value.name} · ${gate.value.site}`)));
}

function acts() {
  if (!may("operator")) return [];
  const mode = () => gate.value?.door_mode, odd = () => Boolean(mode() && mode() !== "normal");
  const until = () => field(t("act.until"), input("until", "", { type: "datetime-local", min: toSite(Date.now()) }), t("act.until.hint"));
  const set = (wanted, title, kind) => reasoned(title, { kind, yes: t(`act.${wanted}`), later: wanted === "normal" ? [] : [until()], act: async ({ until: end, ...given }) => {
    const done = await put("/api/gate/mode", { mode: wanted, ...given, ...(end && { until: fromSite(end) }) });
    return { endless: Boolean(end) && !done.until };
  } }).then(done => { if (done) { toast(done.endless ? t("act.endless") : t("act.done", { what: word("mode", wanted) })); readGate(); } });
  const open = () => reasoned(t("act.open.title"), { yes: t("now.open"), act: given => post("/api/gate/open", given) })
    .then(done => done && toast(t("act.opened", { n: done.for_s })));
  return [
    h("button.btn.main", { type: "button", disabled: () => !gate.value || SHUT.has(mode()), onclick: open }, icon("unlock"), t("now.open")),
    // one button with two faces: the focus stays on it
    h("button.btn", { type: "button", class: () => (odd() ? "" : "bad"), onclick: () => (odd() ? set("normal", t("act.normal.title")) : set("lockdown", t("act.lockdown.title"), "bad")) },
      () => icon(odd() ? "yes" : "lock"), () => t(odd() ? "act.normal" : "act.lockdown")),
    button(t("now.more"), () => modes(set), { kind: "quiet", sign: "more", "aria-haspopup": "dialog" }),
  ];
}

const modes = set => dialog(t("now.modes"), close => {
  const choose = (mode, kind) => button(t(`act.${mode}`), () => { close(); set(mode, t(`act.${mode}.title`), kind); }, { kind });
  return [h("p.muted", {}, t("now.modes.hint")), h("div.stack", {}, ["lockdown", "out_of_service"].includes(gate.value?.door_mode) && choose("lockdown", "bad"), choose("out_of_service"), may("admin") && choose("free_access", "bad"),
    button(t("act.silence"), async () => { close(); try { await post("/api/gate/silence"); toast(t("act.silenced")); } catch (error) { toast(inWords(error)); } }),
    button(t("act.fire"), () => { close(); reasoned(t("act.fire.title"), { yes: t("act.fire"), act: given => post("/api/gate/fire/reset", given) }); }, { disabled: () => gate.value?.door_state !== "fire" })),
  h("div.row.end", {}, button(t("app.close"), () => close()))];
});

export const fact = (name, value) => h("div", {}, h("dt", {}, t(`fact.${name}`)), h("dd", {}, () => (gate.value ? value(gate.value) : "…")));
export const facts = (...found) =>
  h("div", {}, h("div", { role: "status" }, () => old.value && h("p.as-of", {}, icon("clock", 18), t("now.old", { at: time(old.value) }))), h("dl.facts", {}, found));

function all(inside) {
  return facts(
    fact("inside", () => (inside.value ? [h("button.link", { type: "button", onclick: () => whoIsIn(inside.value) }, number(inside.value.people.length + inside.value.others)), inside.value.limit && ` / ${number(inside.value.limit)}`] : "…")),
    fact("people", g => number(g.people)),
    fact("granted", g => number(g.counters["decisions.granted"] ?? 0)),
    fact("denied", g => number(g.counters["decisions.denied"] ?? 0)),
    fact("camera", g => word("camera", g.camera ?? "off")),
    fact("log", g => word("log", g.journal ?? "off")),
    fact("clock", g => word("clock", g.clock ?? "unset")),
    fact("liveness", g => word("level", g.liveness)),
    fact("since", g => moment(g.started_at)));
}

const whoIsIn = found => dialog(t("now.inside"), close => [
  found.people.length ? h("ul.rows", {}, found.people.map(p => h("li", {}, h("a", { href: `${BASE}people/${p.person.id}`, onclick: () => close() }, bdi(p.person.name)),
    h("span.muted", {}, clock(p.since))))) : empty("people", t("now.inside.none")),
  found.others > 0 && h("p.muted", {}, t("now.inside.others", { n: found.others })),
  h("div.row.end", {}, button(t("app.close"), () => close()))]);

export function unseen() {
  return () => alarms.value.length > 0 && h("section.card", { "aria-labelledby": "unseen" }, h("header", {}, h("h2", { id: "unseen" }, t("now.alarms"))),
    h("ul.rows", {}, alarms.value.map(alarm => h("li", {},
      h("span.mark", { class: alarm.severity === "alarm" ? "bad" : "warn" }, icon("bell", 18)),
      h("div.grow", {}, h("strong", {}, word("event", alarm.kind)), h("div.small.muted", {}, moment(alarm.last_at), alarm.count > 1 && ` · ${t("alarm.times", { n: alarm.count })}`)),
      may("operator") && button(t("alarm.seen"), () => acknowledge(alarm))))));
}

export const acknowledge = alarm => ask(t("alarm.ask", { what: word("event", alarm.kind) }), [field(t("alarm.note"), input("note", "", { autofocus: true }))],
  { yes: t("alarm.seen"), act: given => post(`/api/alarms/${alarm.id}/acknowledge`, given) }).then(done => { if (done) readGate(); return done; });

function recent() {
  return h("section.card", { "aria-labelledby": "recent" },
    h("header", {}, h("h2", { id: "recent" }, t("now.recent"))),
    () => gate.value && !decisions.value.length && empty("face", t("now.none")),
    h("ol.stream", { tabindex: 0, "aria-labelledby": "recent", hidden: () => !decisions.value.length }, rows()));
}

// A row that is there stays when another decision comes, and so does whatever somebody does on it.
function rows() {
  let made = new Map();
  return () => {
    made = new Map(decisions.value.map((d, at) => {
      const shown = `${at < ADVISED} ${JSON.stringify(d)}`;
      return [shown, made.get(shown) ?? row(d, at)];
    }));
    return [...made.values()];
  };
}

function row(d, at) {
  const name = d.person ? d.person.name : t("now.unknown");
  return h("li", {}, h("button.plain", { type: "button", onclick: () => more(d, name) },
    outcome(d.outcome === "granted"), shot(d),
    h("span.grow", {}, h("strong", {}, bdi(name)), h("span.small.muted", {}, reasonOf(d)), at < ADVISED && d.outcome !== "granted" && has(`todo.${d.reason}`) && h("span.small", {}, t(`todo.${d.reason}`))),
    h("span.vh", {}, word("outcome", d.outcome)),
    h("time.small.muted", { datetime: d.at }, time(d.at))));
}

// Of the decision, where one is kept.
const shot = d => d.snapshot_id && may("operator") && h("img.shot", { src: `/api/gate/snapshots/${d.snapshot_id}/thumbnail`, alt: "", loading: "lazy", width: 44, height: 44 });

const more = (d, name) => dialog(name, close => [
  d.snapshot_id && may("operator") && h("img.shot.large", { src: `/api/gate/snapshots/${d.snapshot_id}/thumbnail`, alt: t("now.shot") }),
  h("p.lead", {}, chip(d.outcome === "granted" ? "ok" : "bad", d.outcome === "granted" ? "yes" : "no", word("outcome", d.outcome)), " ", reasonOf(d)),
  has(`todo.${d.reason}`) && note("info", t(`todo.${d.reason}`)),
  h("dl.pairs", {}, [["when", moment(d.at)], ["direction", word("direction", d.direction)], ["method", word("method", d.method)],
    ["confidence", percent(d.confidence)], ["pad", d.pad === null ? "–" : percent(d.pad)], ["frames", number(d.frames)], ["took", d.decided_after_ms === null ? "–" : t("time.ms", { n: Math.round(d.decided_after_ms) })]]
    .map(([key, value]) => [h("dt", {}, t(`decision.${key}`)), h("dd", {}, value)])),
  h("div.row.end", {}, d.person && h("a.btn", { href: `${BASE}people/${d.person.id}`, onclick: () => close() }, icon("person"), t("now.person")), button(t("app.close"), () => close()))]);
