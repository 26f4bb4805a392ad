// How the gate is, read once for all that shows it: when its stream opens, and after what it tells.
import { get, may, session } from "./api.js";
import { effect, signal } from "./dom.js";
import { AWAY_MS, connected, onEvent } from "./live.js";
import { has, learn, moment, span, t, zone } from "./i18n.js";

const SOON_MS = 150;
const KEPT = 50;
const LONGEST_MS = 10_000; // an answer that takes longer is not waited for

export const gate = signal(null);
export const decisions = signal([]);
export const alarms = signal([]);
export const old = signal(null); // since when what is shown may have changed unseen; null: it is as it is now
let soon = 0;

const AGAIN_MS = 5000;
let reading = false, anew = false, readAt = 0;

// One look at a time: an older answer never comes after a newer one.
export async function readGate() {
  if (!session.peek() || !may("viewer")) return;
  if (reading) { anew = true; return; }
  reading = true;
  const how = { headless: true, abort: AbortSignal.timeout(LONGEST_MS) };
  try {
    const [state, standing] = await Promise.all([get("/api/gate", null, how), get("/api/alarms", { standing: true, limit: 50 }, how)]);
    if (state.clock_reason) await learn("codes").catch(() => {});
    gate.value = state;
    readAt = Date.now();
    if (connected.peek()) old.value = null;
    decisions.value = state.decisions;
    if (JSON.stringify(standing) !== JSON.stringify(alarms.peek())) alarms.value = standing;
  } catch {
    // the banner tells that nothing comes; what is over is asked for by the next act
    if (readAt) old.value ??= readAt;
    if (connected.peek() && session.peek()) { clearTimeout(soon); soon = setTimeout(readGate, AGAIN_MS); }
  }
  reading = false;
  if (anew) { anew = false; readGate(); }
}

export async function readZone() {
  try { zone.value = (await get("/api/access/rules", null, { headless: true })).timezone ?? "UTC"; } catch { /* the browser's own */ }
}

export function followGate() {
  readZone();
  readGate();
  effect(() => { if (!connected.value) old.value ??= Date.now() - AWAY_MS; });
  onEvent((kind, data) => {
    if (kind === "open" || kind === "missed") readGate();
    if (kind === "decision") decisions.value = [data, ...decisions.peek().filter(d => d.number !== data.number)].slice(0, KEPT);
    if (kind === "event" || kind === "decision") { clearTimeout(soon); soon = setTimeout(readGate, SOON_MS); }
  });
}

// What is not normal, loudest first: [severity, key of its words, code, details in words].
export function abnormal(state) {
  if (!state) return [];
  const found = [];
  if (state.door_mode && state.door_mode !== "normal") found.push(["bad", "mode", state.door_mode, state.door_mode_until && t("mode.until", { at: moment(state.door_mode_until) })]);
  if (state.door_state === "fire") found.push(["bad", "door", "fire"]);
  if (state.liveness === "off" && state.role === "gate") found.push(["warn", "problem", "liveness_off"]);
  if (state.clock && state.clock !== "trusted") found.push(["warn", "clock", state.clock, has(`clock.${state.clock_reason}`) ? t(`clock.${state.clock_reason}`, { by: span(state.clock_off_s) }) : state.clock_doubt]);
  for (const problem of state.problems) if (!/^clock_/.test(problem)) found.push(["bad", "problem", named(problem)]);
  return found;
}

// Why a hub is not reached has many names, and the same words.
const named = problem => (/^hub_/.test(problem) && !has(`problem.${problem}`) ? "hub_unreachable" : problem);
