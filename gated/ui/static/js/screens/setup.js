// The first start, after the administrator: name and camera, then a look at the door, the first
// person and a walk. What is set is tried by the gate, which starts anew by itself.
import { get, post, put } from "../core/api.js";
import { effect, every, h, signal } from "../core/dom.js";
import { decisions, gate, readGate } from "../core/gate.js";
import { has, number, percent, t, word } from "../core/i18n.js";
import { connected, onEvent, picture } from "../core/live.js";
import { BASE, go, here, remember } from "../core/router.js";
import { bdi, button, head, inWords, loaded, nameOf, note, outcome, reasonOf } from "../pieces/bits.js";
import { ask, field, form, input, reasoned, select } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { said } from "../pieces/said.js";
import { captured } from "./enrol.js";

const STEPS = ["gate", "camera", "door", "person", "walk"];
const LOOK_MS = 1500;
const TURNS = [0, 90, 180, 270];

export default function setup({ place }) {
  const step = STEPS.includes(place.rest[0]) ? place.rest[0] : STEPS[0];
  const shown = { gate: naming, camera, door, person, walk };
  return h("div.setup", {}, head(t("first.title")),
    h("nav", { "aria-label": t("first.steps") }, h("ol.steps", {}, STEPS.map(name => h("li", {}, h("a", { href: `${BASE}setup/${name}`, "aria-current": name === step ? "step" : null }, t(`first.${name}`)))))),
    changing(), h("section.card.pad.stack", { "aria-labelledby": "step" }, h("h2", { id: "step" }, t(`first.${step}`)), shown[step](step)));
}

const after = step => STEPS[STEPS.indexOf(step) + 1];
const onwards = step => h("div.row.end", {}, h("a.btn.main", { href: after(step) ? `${BASE}setup/${after(step)}` : `${BASE}now` }, t(after(step) ? "first.next" : "first.finish")));

// How far the newest change is; a gate that starts anew does not answer for some seconds.
// ended: called when it was kept or taken back, for what shows the settings.
export function changing(ended = () => {}) {
  const told = signal(null), away = signal(false);
  const look = async () => {
    try {
      const found = await get("/api/settings/change", null, { headless: true });
      if (told.peek() && told.peek().state !== found.state) readGate();
      const before = told.peek()?.state;
      // what was waited for and is not there any more has worked; that stays to be read
      if (found.state !== "none" || !before) told.value = before === found.state ? told.peek() : found;
      else if (before === "waiting" || before === "trial") told.value = { state: "done" };
      if (before !== told.peek().state && ["done", "refused"].includes(told.peek().state)) ended();
      away.value = false;
    } catch (error) { away.value = error instanceof TypeError || error.status >= 500; }
  };
  look();
  every(LOOK_MS, look);
  return h("div", { role: "status" }, () => {
    const { state, reason, problems, rule, limit } = told.value ?? {};
    if (away.value) return note("info", t("change.away"));
    if (state === "refused") return note("bad", t("change.refused"), inWordsOf(problems).map(text => h("p", {}, text)), h("p.small", {}, said({ rule, limit, detail: reason })));
    return state && state !== "none" && note(state === "done" ? "ok" : "info", t(`change.${state}`));
  });
}

const inWordsOf = problems => problems.filter(code => has(`problem.${code}`)).map(code => word("problem", code));

const row = (found, key) => found.settings.find(one => one.key === key);
const zones = now => [...new Set([now, "UTC", ...Intl.supportedValuesOf("timeZone")])].sort();

function naming(step) {
  return loaded(() => get("/api/settings"), found => {
    const name = row(found, "gate.name"), way = row(found, "attendance.direction"), zone = row(found, "gate.timezone");
    const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
    return form([
      h("p.muted", {}, t("first.gate.hint")),
      field(t("people.name"), input("name", name.value, { required: true, maxlength: 100, autofocus: true }), t("first.name.hint")),
      field(t("first.direction"), select("direction", way.value, way.form.enum.map(one => [one, t(`first.${one}`)])), t("first.direction.hint")),
      field(t("first.timezone"), select("timezone", zone.value ?? mine, zones(zone.value ?? mine).map(one => [one, one]), { dir: "ltr" }), t("first.timezone.hint")),
    ], { yes: t("first.save"), act: async given => {
      const values = changed([[name, given.name], [way, given.direction], [zone, given.timezone]]);
      if (values) await put("/api/settings", { values });
      go(`setup/${after(step)}`);
    } });
  });
}

// Only what is different: saving what is there already must not start the gate anew.
export function changed(pairs) {
  const values = {};
  for (const [{ key, value }, wanted] of pairs) {
    if (value === wanted) continue;
    const [section, name] = key.split(".");
    (values[section] ??= {})[name] = wanted;
  }
  return Object.keys(values).length ? values : null;
}

function camera(step) {
  const canvas = h("canvas", { width: 640, height: 480, role: "img", "aria-label": t("now.picture") });
  const seen = picture(canvas);
  return loaded(() => get("/api/settings"), found => {
    const rotate = row(found, "camera.rotate"), mirror = row(found, "camera.mirror");
    const turn = signal(rotate.value), mirrored = signal(mirror.value), problem = signal(null), busy = signal(false);
    // the picture comes as it is set now: it is turned by the difference
    const way = () => `turn-${(turn.value - rotate.value + 360) % 360}${mirrored.value === mirror.value ? "" : " mirrored"}`;
    const save = async () => {
      busy.value = true;
      try {
        const values = changed([[rotate, turn.peek()], [mirror, mirrored.peek()]]);
        if (values) await put("/api/settings", { values });
        go(`setup/${after(step)}`);
      } catch (error) { problem.value = error; } finally { busy.value = false; }
    };
    return h("div.stack", {},
      h("p.muted", {}, t("first.camera.hint")),
      h("div.view.frame", { class: () => (seen.value.kind === "live" ? "" : "stale") }, h("div.turned", { class: way }, canvas), h("div.oval", {}),
        () => seen.value.kind !== "live" && h("div.over.whole", { role: "status" }, h("p", {}, t(`now.${seen.value.kind}`)), seen.value.take && button(t("now.take"), seen.value.take))),
      () => gate.value?.camera_hint && note("warn", t("first.hinted", { hint: gate.value.camera_hint })),
      () => problem.value && note("bad", inWords(problem.value)),
      h("div.row", { role: "group", "aria-label": t("first.rotate") }, TURNS.map(one => h("button.btn", { type: "button", "aria-pressed": () => String(turn.value === one), onclick: () => { turn.value = one; } }, `${number(one)}°`)),
        h("button.btn", { type: "button", "aria-pressed": () => String(mirrored.value), onclick: () => { mirrored.value = !mirrored.peek(); } }, t("first.mirror"))),
      h("div.row.end", {}, button(t("first.save"), save, { kind: "main", disabled: () => busy.value })));
  });
}

// Each thing at the door, with the events by which the gate shows that it was seen.
const WIRED = { relay: ["door_remote_unlock", "door_relocked"], contact: ["door_contact_open", "door_contact_closed"], rex: ["door_rex"] };

function door(step) {
  const seen = signal(new Set());
  let moved = false;
  const note = kind => { if (!seen.peek().has(kind)) seen.value = new Set([...seen.peek(), kind]); };
  onEvent((kind, data) => { if (kind === "event") note(data.kind); });
  // a door without a contact tells by its state alone that it is locked again
  every(LOOK_MS, readGate);
  effect(() => {
    const opened = seen.value.has("door_remote_unlock"), state = gate.value?.door_state;
    if (opened && state === "locked" && moved) note("door_relocked");
    moved = opened && (moved || state !== "locked");
  });
  const open = () => reasoned(t("act.open.title"), { yes: t("now.open"), act: given => post("/api/gate/open", given) });
  return [h("p.muted", {}, t("first.door.hint")),
    loaded(() => get("/api/settings"), found => {
      const onPins = ["gpiozero", "gpiochip"].includes(row(found, "door.driver").value);
      const wired = name => !onPins || row(found, `door.${name}_pin`).value !== null;
      return h("ul.rows.card", {}, Object.entries(WIRED).map(([name, kinds]) => h("li", {},
        () => outcomeOf(kinds, seen.value),
        h("div.grow", {}, h("strong", {}, t(`first.${name}`)), h("p.small.muted", {}, wired(name) ? t(`first.${name}.hint`) : t("first.unwired")),
          h("p.small", { role: "status" }, () => kinds.filter(kind => seen.value.has(kind)).map(kind => t(`seen.${kind}`)).join(" · "))),
        name === "relay" && button(t("now.open"), open, { sign: "unlock", disabled: () => !connected.value }))));
    }), onwards(step)];
}

const outcomeOf = (kinds, seen) => (kinds.every(kind => seen.has(kind)) ? outcome(true) : h("span.mark", {}, icon("question", 18)));

function person(step) {
  const made = signal(null), chosen = Number(here.peek().query.get("person"));
  if (chosen) get(`/api/persons/${chosen}`).then(found => { made.value = found; }, () => {});
  const add = async () => {
    const found = await ask(t("people.add"), [
      h("div.pair", {}, field(t("person.first_name"), input("first_name", "", { required: true, autofocus: true })), field(t("person.last_name"), input("last_name", "", { required: true }))),
      field(t("person.code"), input("personnel_code", "", { required: true, maxlength: 64, pattern: "[^@\\s]+" }), t("person.code.hint")),
    ], { yes: t("person.create"), act: given => post("/api/persons", given) });
    if (found) { remember({ person: found.id }); made.value = found; }
  };
  return [h("p.muted", {}, t("first.person.hint")),
    () => (made.value ? h("div.stack", {}, h("p.lead", {}, bdi(nameOf(made.value))), captured(made.value)) : h("div.row", {}, button(t("people.add"), add, { kind: "main", sign: "plus" }))),
    onwards(step)];
}

function walk(step) {
  const began = new Date().toISOString(), passed = signal([]);
  effect(() => { passed.value = decisions.value.filter(d => d.at >= began); });
  const done = () => passed.value.some(d => d.outcome === "granted");
  return [h("p.muted", {}, t("first.walk.hint")),
    h("div", { role: "status" }, () => (done() ? note("ok", t("first.walked")) : note("info", t("first.waiting")))),
    () => h("ol.rows", {}, passed.value.slice(0, 8).map(d => h("li", {}, outcome(d.outcome === "granted"),
      h("div.grow", {}, h("strong", {}, bdi(d.person?.name ?? t("now.unknown"))), h("p.small.muted", {}, reasonOf(d), d.confidence > 0 && ` · ${percent(d.confidence)}`),
        d.outcome !== "granted" && has(`todo.${d.reason}`) && h("p.small", {}, t(`todo.${d.reason}`)))))),
    onwards(step)];
}
