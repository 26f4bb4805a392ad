// A screen elsewhere that shows Now without anybody's session. It may do nothing, and heals itself.
import { effect, every, h, onEnd, scoped, signal } from "../core/dom.js";
import { alarms, decisions, gate, old } from "../core/gate.js";
import { clock, language, LANGUAGES, learn, number, preferred, speak, t, time, word, zone } from "../core/i18n.js";
import { AWAY_MS, connected, motion } from "../core/live.js";
import { follow, lookForUpdate, outdated } from "../core/stream.js";
import { banners, bdi, empty, head, note, outcome, reasonOf } from "../pieces/bits.js";
import { field, input } from "../pieces/dialog.js";
import { boxes, fact, facts, unseen, view } from "../screens/now.js";

const HERE = "/api/display", PAGE = "/ui/display";
const AGAIN_MS = 1000, TICK_MS = 1000, LONGEST_MS = 10_000;
const root = document.getElementById("root");

// --- what is shown ---------------------------------------------------------------------------

function take(found) {
  zone.value = found.timezone;
  gate.value = found;
  decisions.value = found.decisions;
  if (JSON.stringify(found.alarms) !== JSON.stringify(alarms.peek())) alarms.value = found.alarms;
  connected.value = true;
  old.value = null;
}

function forget() {
  gate.value = null;
  decisions.value = alarms.value = [];
}

function tongues() {
  const choose = code => { localStorage.setItem("language", code); speak(code); };
  return h("div.look", {}, h("select", { "aria-label": t("app.language"), onchange: e => choose(e.target.value) },
    Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === language.peek() }, name))));
}

function screen() {
  const now = signal(clock(Date.now()));
  every(TICK_MS, () => { now.value = clock(Date.now()); });
  const { name, site } = gate.peek();
  root.replaceChildren(banners(), h("main", {}, head(name, h("span.muted", {}, site), h("span.grow"), h("strong.num", {}, () => now.value), tongues()),
    h("div.now", { class: () => (old.value ? "old" : "") },
      h("div.stack", {}, view(canvas => motion(canvas, `${HERE}/preview`, boxes(canvas))), facts(
        fact("inside", g => [number(g.inside.count), g.inside.limit && ` / ${number(g.inside.limit)}`]),
        fact("granted", g => number(g.granted)), fact("denied", g => number(g.denied)), fact("camera", g => word("camera", g.camera ?? "off")))),
      h("div.stack", {}, unseen(), recent(), inside()))));
}

const list = (id, title, kind, rows, none) => h("section.card", { "aria-labelledby": id }, h("header", {}, h("h2", { id }, title)), () => {
  const found = rows();
  return found.length ? h("ul.rows", { class: kind, tabindex: 0, "aria-labelledby": id }, found.map(row => h("li", {}, row))) : none;
});

const recent = () => list("recent", t("now.recent"), "stream", () => decisions.value.map(d => [outcome(d.outcome === "granted"),
  h("div.grow", {}, h("strong", {}, bdi(d.person?.name ?? t("now.unknown"))), h("div.small.muted", {}, reasonOf(d))),
  h("span.vh", {}, word("outcome", d.outcome)), h("time.small.muted", { datetime: d.at }, time(d.at))]), empty("face", t("now.none")));

const inside = () => list("inside", t("now.inside"), "tall", () => (gate.value?.inside.people ?? []).map(p => [
  h("strong.grow", {}, bdi(p.name)), h("time.small.muted", { datetime: p.since }, clock(p.since))]), empty("people", t("now.inside.none")));

// --- what it hears ---------------------------------------------------------------------------

const refuses = error => error.status === 401 || error.status === 403;

async function asked(path, more) {
  const answer = await fetch(path, { ...more, signal: AbortSignal.timeout(LONGEST_MS) });
  if (!answer.ok) throw Object.assign(new Error(), { status: answer.status });
  return answer.status === 204 ? null : answer.json();
}

// Asks by itself when a stream begins and breaks: an EventSource does not tell why it was refused.
function listen() {
  let away = 0, heard = 0;
  const look = () => {
    const before = heard; // what the stream tells meanwhile is newer
    asked(HERE).then(found => { if (before === heard) take(found); }, error => { if (refuses(error)) enter("display.ended"); });
  };
  follow(`${HERE}/events`, ["state"], (kind, data) => {
    if (kind === "lost") away ||= setTimeout(() => { connected.value = false; old.value ??= Date.now() - AWAY_MS; }, AWAY_MS);
    else { clearTimeout(away); away = 0; }
    if (kind === "state") { heard++; take(data); return; }
    look();
    if (kind === "open") lookForUpdate(PAGE);
  });
  onEnd(() => clearTimeout(away));
}

// --- the beginning ---------------------------------------------------------------------------

let token = decodeURIComponent(location.hash.slice(1)); // until the gate has taken or refused it
history.replaceState(null, "", location.pathname + location.search); // neither in the address nor in the history
let end = null;
const instead = build => { end?.(); end = scoped(build); };

async function known() {
  let given = false;
  if (token) {
    try { await asked(`${HERE}/session`, { method: "POST", headers: { Authorization: `Bearer ${token}` } }); } catch (error) {
      if (!refuses(error)) throw error;
      given = true;
    }
    token = "";
  }
  try { take(await asked(HERE)); } catch (error) { throw Object.assign(error, { given }); }
}

function enter(problem) {
  forget();
  const typed = input("token", "", { type: "password", required: true, autofocus: true });
  const go = event => { event.preventDefault(); token = typed.value.trim(); begin(); };
  instead(() => effect(() => {
    language.value;
    root.replaceChildren(h("main.sign", {}, h("section.card", {}, h("h1", {}, t("display.enter")), problem && note("bad", t(problem)), h("p.muted", {}, t("display.enter.hint")),
      h("form", { onsubmit: go }, field(t("kiosk.token"), typed), h("button.btn.main", { type: "submit" }, t("kiosk.start"))), tongues())));
  }));
}

let waiting = false;
function wait() {
  if (!waiting) instead(() => root.replaceChildren(h("main.sign", {}, note("bad", t("app.lost")))));
  waiting = true;
  setTimeout(begin, AGAIN_MS);
}

async function begin() {
  try {
    await learn("screens");
    await speak(preferred());
    await known();
    waiting = false;
    instead(() => { listen(); effect(() => { language.value; onEnd(scoped(screen)); }); });
  } catch (error) {
    if (refuses(error)) { waiting = false; enter(error.given && "kiosk.refused"); } else wait();
  }
}
effect(() => { if (outdated.value) location.reload(); });
begin();
