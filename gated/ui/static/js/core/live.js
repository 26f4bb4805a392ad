// What the gate tells by itself: events for all tabs by one stream, and the camera's picture for one.
// Browsers open six connections to a host, for all tabs together: a lock elects who holds a stream.
import { may, session } from "./api.js";
import { effect, listen, onEnd, scoped, signal } from "./dom.js";

export const AWAY_MS = 3000; // streams end and begin anew by design: only longer silence is a fault
const LONGEST_MS = 15_000;
const SILENT_MS = 40_000, LOOK_MS = 5000; // the stream says something every 15 seconds
const SHARED = "gated-events";

export const connected = signal(true);
const listeners = new Set();
let started = false;

// Calls back with (kind, data): "open" (read everything anew), "decision", "event", "notice", "missed".
export function onEvent(listener) {
  listeners.add(listener);
  onEnd(() => listeners.delete(listener));
  if (!started) { started = true; share(); }
}
const tell = (kind, data) => listeners.forEach(listener => listener(kind, data));

function share() {
  if (!navigator.locks) { hold(() => {}); return; } // neither TLS nor localhost: each tab for itself
  const channel = new BroadcastChannel(SHARED);
  channel.onmessage = ({ data: [kind, data] }) => { kind === "connected" ? (connected.value = data) : tell(kind, data); };
  navigator.locks.request(SHARED, () => new Promise(() => hold((kind, data) => channel.postMessage([kind, data]))));
  tell("open", {});
}

function hold(pass) {
  let source = null, wait = 1000, again = 0, away = 0, heard = Date.now();
  const hear = (kind, data) => { pass(kind, data); tell(kind, data); };
  const say = state => { connected.value = state; pass("connected", state); };
  function alive() { clearTimeout(away); away = 0; wait = 1000; heard = Date.now(); say(true); }
  function open() {
    source?.close();
    if (!session.peek()) { again = setTimeout(open, 1000); return; }
    if (!may("viewer")) { source = null; alive(); return; } // is told nothing of the gate, so nothing is missing
    source = new EventSource("/api/gate/events");
    source.onopen = () => { alive(); hear("open", {}); };
    for (const kind of ["decision", "event", "notice", "missed"]) {
      source.addEventListener(kind, e => { alive(); hear(kind, JSON.parse(e.data)); });
    }
    source.addEventListener("alive", alive);
    source.onerror = () => {
      away ||= setTimeout(() => say(false), AWAY_MS);
      if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself
      clearTimeout(again);
      again = setTimeout(open, wait);
      wait = Math.min(wait * 2, LONGEST_MS);
    };
  }
  open();
  setInterval(() => { // a stream may die without a word, as after a suspend
    if (!source || !session.peek() || Date.now() - heard < SILENT_MS) return;
    heard = Date.now();
    say(false);
    clearTimeout(again);
    open();
  }, LOOK_MS);
  effect(() => { if (!session.value) source?.close(); else if (!source || source.readyState === EventSource.CLOSED) { clearTimeout(again); open(); } });
  addEventListener("pagehide", () => { source?.close(); clearTimeout(again); clearTimeout(away); });
  addEventListener("pageshow", event => { if (event.persisted) open(); }); // as "back" brings it
}

let before = Promise.resolve(); // what this tab has asked of the lock; it lets go before it asks again

// Draws the camera on a canvas, with what `mark` draws of the faces, and says how the picture is: {kind: connecting, live, stale, lost,
// busy, forbidden, elsewhere}. An <img> would show the last picture of a dead camera for ever.
export function picture(canvas, mark, path = "/api/gate/preview?boxes=false") {
  if (!navigator.locks) return motion(canvas, path, mark);
  const state = signal({ kind: "connecting" });
  let release = null, over = false;
  const mine = () => new Promise(done => {
    const stop = scoped(() => {
      const own = motion(canvas, path, mark);
      effect(() => { state.value = own.value; });
    });
    release = () => { release = null; stop(); done(); };
  });
  const given = lock => {
    if (over || document.hidden) return null;
    if (lock) return mine();
    state.value = elsewhere;
    return null;
  };
  const ask = how => {
    before = before.then(() => navigator.locks.request("gated-picture", how, given)).catch(() => { release?.(); if (!over) state.value = elsewhere; });
  };
  const elsewhere = { kind: "elsewhere", take: () => ask({ steal: true }) };
  listen(document, "visibilitychange", () => {
    if (document.hidden) release?.(); else if (!release) ask({ ifAvailable: true });
  });
  onEnd(() => { over = true; release?.(); });
  if (!document.hidden) ask({ ifAvailable: true });
  return state;
}

export function motion(canvas, path, mark) {
  const state = signal({ kind: "connecting" });
  let abort = null, seen = 0, wait = 1000, timer = 0, over = false;
  async function run() {
    if (over) return;
    abort = new AbortController();
    seen = performance.now();
    try {
      const answer = await fetch(path, { signal: abort.signal });
      if (answer.status === 403) { state.value = { kind: "forbidden" }; return; }
      if (!answer.ok) { state.value = { kind: (await answer.json()).code === "busy" ? "busy" : "lost" }; throw new Error("refused"); }
      wait = 1000;
      for await (const { jpeg, faces } of parts(answer.body.getReader())) {
        await draw(canvas, jpeg);
        mark?.(canvas.getContext("2d"), faces, canvas);
        seen = performance.now();
        if (state.peek().kind !== "live") state.value = { kind: "live" };
      }
    } catch { /* told below */ }
    if (over) return;
    if (state.peek().kind === "live") state.value = { kind: "lost" };
    timer = setTimeout(run, wait);
    wait = Math.min(wait * 2, LONGEST_MS);
  }
  const watch = setInterval(() => {
    const silent = performance.now() - seen;
    if (state.peek().kind === "live" && silent > AWAY_MS) state.value = { kind: "stale" };
    if (silent > LONGEST_MS) abort?.abort(); // a connection may hang for ever: it is begun anew
  }, 500);
  onEnd(() => { over = true; abort?.abort(); clearTimeout(timer); clearInterval(watch); });
  run();
  return state;
}

async function draw(canvas, jpeg) {
  const image = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  if (canvas.width !== image.width || canvas.height !== image.height) Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
}

// The pictures of a multipart answer, each as long as its head says.
async function* parts(reader) {
  let buffer = new Uint8Array(0);
  const latin = new TextDecoder("latin1");
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(buffer.length + value.length);
    joined.set(buffer); joined.set(value, buffer.length);
    buffer = joined;
    return true;
  };
  for (;;) {
    let end;
    while ((end = latin.decode(buffer.subarray(0, 2000)).indexOf("\r\n\r\n")) < 0) if (!await more()) return;
    const of = name => new RegExp(`${name}: *(.+)`, "i").exec(latin.decode(buffer.subarray(0, end)))?.[1];
    const size = Number(of("content-length"));
    if (!size) throw new Error("a part without a length");
    while (buffer.length < end + 4 + size + 2) if (!await more()) return;
    yield { jpeg: buffer.slice(end + 4, end + 4 + size), faces: JSON.parse(of("x-faces") ?? "[]") };
    buffer = buffer.slice(end + 4 + size + 2);
  }
}
