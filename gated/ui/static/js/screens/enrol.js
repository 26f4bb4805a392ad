// A photo of somebody: from a file, from this device's camera, or from the gate's.
import { api } from "../core/api.js";
import { h, onEnd, signal } from "../core/dom.js";
import { has, percent, t, word } from "../core/i18n.js";
import { bdi, button, inWords, nameOf, note } from "../pieces/bits.js";
import { dialog } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { said } from "../pieces/said.js";

export const SIGNS = { file: "up", webcam: "camera", gate: "face" };
const WAYS = Object.keys(SIGNS);

export const enrol = (person, first = "file") => dialog(t("enrol.title", { name: nameOf(person) }), close => {
  const way = signal(first), news = signal(null), busy = signal(false), waiting = [];
  async function send(photos) {
    waiting.push(...photos); // also while others are looked at
    if (busy.peek() || !photos.length) return;
    busy.value = true;
    news.value = null;
    const said = [];
    while (waiting.length) said.push(await one(person, waiting.shift()));
    news.value = said;
    busy.value = false;
  }
  const tab = name => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "enrol-panel", "aria-selected": () => String(way.value === name), tabindex: () => (way.value === name ? 0 : -1),
    onclick: () => { way.value = name; news.value = null; } }, icon(SIGNS[name], 18), t(`enrol.${name}`));
  const tabs = h("div.tabbar", { role: "tablist", "aria-label": t("enrol.how"), onkeydown: e => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    way.value = WAYS[(WAYS.indexOf(way.peek()) + step + WAYS.length) % WAYS.length];
    tabs.querySelector("[aria-selected=true]").focus();
  } }, WAYS.map(tab));
  return [
    h("p.muted", {}, t("enrol.advice")), tabs,
    h("div", { id: "enrol-panel", role: "tabpanel", "aria-labelledby": () => `tab-${way.value}` }, () => ({ file: fromFile, webcam: fromWebcam, gate: fromGate }[way.value](person, send, news, busy))),
    h("div", { role: "status" }, () => (busy.value ? h("p.muted", {}, t("enrol.checking")) : [(news.value ?? []).map(show), another(adviceOf(news.value), way.peek())])),
    h("div.row.end", {}, button(t("app.done"), () => close(true), { kind: "main" })),
  ];
}, { wide: true });

async function one(person, photo) {
  const form = new FormData();
  form.append("person_id", person.id);
  form.append("file", photo, photo.name ?? "photo.jpg");
  try { return { name: photo.name, made: await api("/api/enrollment", { method: "POST", form }) }; } catch (error) { return { name: photo.name, error }; }
}

function show({ name, made, error }) {
  if (error) return note("bad", name && h("strong", {}, bdi(name), ": "), inWords(error));
  return note("ok", t("enrol.done", { worth: percent(made.confidence_score) }), ...(made.advice?.length ? [h("ul", {}, made.advice.map((text, at) => h("li", {}, word("better", made.advice_codes[at], text))))] : []));
}

// What the last photo that was taken says of all the photos of the person.
const adviceOf = news => news?.findLast(one => one.made)?.made.photo_advice;

// That another photo is advised and, where one can be taken at once, what to do differently for it.
export const another = (advice, way) => advice?.another_advised && note("info", t(`another.${advice.reason}`), way !== "file" && h("p", {}, t("another.pose")));

function fromFile(person, send) {
  const chosen = h("input.vh", { type: "file", id: "photo-file", accept: "image/jpeg,image/png,image/bmp,image/tiff", multiple: true,
    onchange: e => { send([...e.target.files]); e.target.value = ""; } }); // the same file may be chosen again
  const zone = h("div.drop", {
    ondragover: e => { e.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: e => { e.preventDefault(); zone.classList.remove("over"); send([...e.dataTransfer.files]); },
  }, icon("up", 32), h("p", {}, t("enrol.drop")), chosen, h("label.btn", { for: "photo-file" }, t("enrol.choose")));
  return zone;
}

function fromWebcam(person, send, news, busy) {
  if (!navigator.mediaDevices) return note("warn", t("enrol.insecure"));
  const video = h("video", { autoplay: true, muted: true, playsinline: true, "aria-label": t("enrol.webcam") });
  const state = signal("waiting");
  let stream = null, over = false;
  navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } }).then(given => {
    if (over) { given.getTracks().forEach(track => track.stop()); return; }
    stream = given;
    video.srcObject = given;
    video.addEventListener("loadeddata", () => { state.value = "ready"; }, { once: true });
  }, error => { state.value = error.name === "NotAllowedError" ? "refused" : "missing"; });
  onEnd(() => { over = true; stream?.getTracks().forEach(track => track.stop()); });
  const shoot = async () => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise(done => canvas.toBlob(done, "image/jpeg", 0.92));
    send([blob]);
  };
  return h("div.shoot", {}, h("div.view", {}, video, h("div.oval")),
    () => (state.value === "refused" || state.value === "missing" ? note("warn", t(`enrol.${state.value}`)) : null),
    button(() => t(adviceOf(news.value) ? "another.take" : "enrol.shoot"), shoot, { kind: "main", sign: "camera", disabled: () => state.value !== "ready" || busy.value }));
}

// The gate tells what it sees while the person stands before it; the answer is a stream of events.
export const captured = person => fromGate(person);

function fromGate(person) {
  const told = signal(null), busy = signal(false);
  const abort = new AbortController();
  onEnd(() => abort.abort());
  async function run() {
    busy.value = true;
    told.value = { kind: "started" };
    try {
      const answer = await api("/api/enrollment/capture", { method: "POST", json: { person_id: person.id }, abort: abort.signal, raw: true });
      for await (const [kind, data] of events(answer.body)) told.value = { kind, data };
      if (!["enrolled", "refused"].includes(told.peek().kind)) throw new Error(t("app.lost"));
    } catch (error) { if (error.name !== "AbortError") told.value = { kind: "failed", error }; }
    busy.value = false;
  }
  return h("div.stack", {}, h("p", {}, t("enrol.gate.hint")),
    h("div", { role: "status" }, () => {
      const { kind, data, error } = told.value ?? {};
      if (kind === "started") return note("info", t("enrol.look"));
      if (kind === "guidance") return note(data.code === "hold_still" ? "ok" : "warn", has(`guide.${data.code}`) ? t(`guide.${data.code}`) : data.advice, h("progress", { max: data.wanted, value: data.good, "aria-label": t("enrol.progress") }));
      if (kind === "enrolled") return [show({ made: data }), another(data.photo_advice, "gate")];
      if (kind === "refused") return note("bad", said(data));
      return kind === "failed" && note("bad", inWords(error));
    }),
    button(() => t(told.value?.kind === "enrolled" ? "another.take" : "enrol.start"), run, { kind: "main", sign: "camera", disabled: () => busy.value }));
}

export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const of = name => lines.find(line => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (of("event")) yield [of("event"), JSON.parse(of("data"))];
    }
  }
}
