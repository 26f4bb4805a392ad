// The screen at the gate. It heals itself: whatever is away comes back without a touch.
import { effect, h, signal } from "../core/dom.js";
import { clock, either, has, language, LANGUAGES, learn, moment, preferred, speak, t, today, toSite, zone } from "../core/i18n.js";
import { session } from "../core/api.js";
import { motion } from "../core/live.js";
import { follow, lookForUpdate, outdated } from "../core/stream.js";
import { icon } from "../pieces/icon.js";
import { BEGIN, next } from "./machine.js";
import { pinPad } from "./pinpad.js";
import { chime } from "./sound.js";

const TICK_MS = 250, LANGUAGE_MS = 30_000, AGAIN_MS = 1000;
const state = signal(BEGIN), set = signal(null);
const tell = (kind, data) => { const before = state.peek(); state.value = next(before, { kind, data }, Date.now()); react(before, state.peek()); };

function react(before, now) {
  if (before.show === now.show || !set.peek()?.sound) return;
  if (now.show === "granted" || now.show === "denied") chime(now.show);
}

// --- what is shown ---------------------------------------------------------------------------

const SIGNS = { idle: "face", granted: "yes", denied: "no", fault: "warn", wait: "clock", closed: "lock", free: "unlock", fire: "warn" };
const TURNS = {
  turn_left: "left", turn_right: "right", too_small: "nearer", come_closer: "nearer", step_back: "farther", look_up: "above",
  needs_second_person: "people", needs_escort: "people", needs_face: "face",
};
const factor = () => (set.peek().card || set.peek().badge ? "card" : "lock");
const STANDS_OPEN = ["held_warning", "held_open"];
const ASK = ["idle", "hint", "denied", "fault", "granted"]; // states in which card and PIN may do something

// What else the gate takes, such as "card or PIN"; nothing where there is only the face.
const ways = () => either(["card", "pin", "badge"].filter(name => set.peek()[name]).map(name => t(`kiosk.way.${name}`)));

function signOf({ show, code, gate }) {
  if (show === "hint") return code === "needs_second_factor" ? factor() : TURNS[code] ?? "eye";
  return show === "idle" && STANDS_OPEN.includes(gate.door) ? "door" : SIGNS[show];
}

// "The door is open until 18:00", where the mode ends by itself; of another day with its date.
function ending(what, until) {
  if (!until) return t(`kiosk.${what}`);
  return t(`kiosk.${what}.until`, { at: toSite(until).startsWith(today()) ? clock(until) : moment(until) });
}

function words(s) {
  const otherwise = ways();
  if (s.show === "hint" && s.code === "needs_second_factor" && otherwise) return [t("kiosk.factor", { ways: otherwise })];
  if (s.show === "hint") return [has(`hint.${s.code}`) ? t(`hint.${s.code}`) : t("hint.look_here"), s.steps ? t("kiosk.step", { n: Math.min(s.done + 1, s.steps), of: s.steps }) : ""];
  if (s.show === "granted") return [s.code === "exit" ? t("kiosk.goodbye") : s.name ? t("kiosk.welcome_name", { name: s.name }) : t("kiosk.welcome"), t("kiosk.open")];
  if (s.show === "idle" && STANDS_OPEN.includes(s.gate.door)) return [t("kiosk.shut")];
  if (s.show === "idle") return [t("kiosk.idle"), otherwise ? t("kiosk.idle.sub", { ways: otherwise }) : t("kiosk.idle.face")];
  if (s.show === "denied") return [t("kiosk.denied"), otherwise ? t("kiosk.denied.sub", { ways: otherwise }) : t("kiosk.desk")];
  if (s.show === "wait") return [t("kiosk.wait"), t("kiosk.wait.sub")];
  if (s.show === "fire") return [t("kiosk.fire"), t("kiosk.open")];
  if (s.show === "free") return [ending("open", s.gate.until), t("kiosk.free")];
  return [s.show === "closed" ? ending(s.code, s.gate.until) : t(`kiosk.${s.show}`), t("kiosk.desk")];
}

function screen() {
  const canvas = h("canvas", { width: 640, height: 480, "aria-hidden": "true" });
  const seen = motion(canvas, "/api/kiosk/preview");
  effect(() => { canvas.hidden = seen.value.kind !== "live"; }); // nobody stays on the screen who has gone
  const now = signal(clock(Date.now()));
  setInterval(() => { now.value = clock(Date.now()); tell("tick"); }, TICK_MS);
  let back = 0;
  const choose = code => {
    speak(code);
    clearTimeout(back);
    if (code !== set.peek().language) back = setTimeout(() => speak(set.peek().language), LANGUAGE_MS);
  };
  effect(() => { document.documentElement.dataset.state = state.value.show; });
  const sign = () => icon(signOf(state.value), 88);
  document.body.replaceChildren(
    h("header.top", {}, h("strong", {}, set.peek().name), h("span.grow"), h("span.clock", { dir: "ltr" }, () => now.value)),
    h("main", { "aria-live": "assertive" }, canvas, h("div.oval"), h("div.state", {}, sign, h("div", {}, () => { language.value; const [title, more] = words(state.value); return [h("h1", {}, title), more && h("p", {}, more)]; }))),
    h("footer.bottom", {},
      () => { language.value; return [set.peek().pin && h("button", { type: "button", disabled: () => !ASK.includes(state.value.show), onclick: () => pinPad() }, icon("lock"), t("kiosk.pin")), set.peek().card && h("span", { class: () => (ASK.includes(state.value.show) ? "" : "off") }, t("kiosk.card"))]; },
      h("div", { role: "group", "aria-label": "Language" }, Object.entries(LANGUAGES).map(([code, name]) =>
        h("button", { type: "button", lang: code, "aria-pressed": () => String(language.value === code), onclick: () => choose(code) }, name)))));
}

// --- what it hears ---------------------------------------------------------------------------

function listenToGate() {
  follow("/api/kiosk/events", ["state", "notice", "decision"], (kind, data) => {
    tell(kind, data);
    if (kind !== "open") return;
    lookForUpdate("/ui/kiosk");
    asked("/api/kiosk/session").catch(() => {}); // its cookie lives on from now
  });
}

// another page is loaded when nobody stands there
effect(() => { if (outdated.value && ["idle", "wait"].includes(state.value.show)) location.reload(); });

// --- the beginning ---------------------------------------------------------------------------

let token = decodeURIComponent(location.hash.slice(1)); // until the gate has taken or refused it
const given = Boolean(token);
history.replaceState(null, "", location.pathname + location.search); // neither in the address nor in the history

async function known() {
  if (token) {
    const headers = { Authorization: `Bearer ${token}` };
    try { return await asked("/api/kiosk/session", { method: "POST", headers }); } catch (error) { if (!refuses(error)) throw error; }
    token = "";
  }
  return asked("/api/kiosk/session");
}

const refuses = error => error.status === 401 || error.status === 403;

async function asked(path, more) {
  const answer = await fetch(path, more);
  if (answer.ok) return answer.json();
  throw Object.assign(new Error(), { status: answer.status });
}

// The program is there and the gate is not yet: the screen says so, and tries again.
function waitForGate() {
  document.body.replaceChildren(h("span"), h("main", { role: "status" }, h("div.state", {}, icon("warn", 88), h("div", {}, h("h1", {}, t("kiosk.wait")), h("p", {}, t("kiosk.wait.sub"))))));
}

function enter(refused) {
  document.documentElement.dataset.state = "enter";
  const token = h("input", { id: "token", type: "password", autocomplete: "off", required: true, autofocus: true });
  document.body.replaceChildren(h("main.enter", {}, h("h1", {}, t("kiosk.enter")), h("p", {}, t("kiosk.enter.hint")),
    h("form", { onsubmit: e => { e.preventDefault(); location.hash = encodeURIComponent(token.value); location.reload(); } },
      h("label", { for: "token" }, t("kiosk.token")), token, h("p.said", { role: "alert" }, refused ? t("kiosk.refused") : ""), h("button.main", { type: "submit" }, t("kiosk.start")))));
}

async function begin() {
  try {
    await learn("screens");
    session.value = await known();
    set.value = await asked("/api/kiosk");
    zone.value = (await asked("/api/meta")).timezone ?? undefined; // this machine's own where the gate has none
    const wanted = new URL(location.href).searchParams.get("lang");
    await speak(wanted in LANGUAGES ? wanted : set.peek().language);
    screen();
    listenToGate();
  } catch (error) {
    await speak(preferred()).catch(() => {});
    if (refuses(error)) { enter(given); return; }
    waitForGate();
    setTimeout(begin, AGAIN_MS);
  }
}
begin();
