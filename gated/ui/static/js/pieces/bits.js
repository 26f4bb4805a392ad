// Small things that every screen is made of.
import { ApiError } from "../core/api.js";
import { h, inOrder, signal } from "../core/dom.js";
import { abnormal, gate } from "../core/gate.js";
import { has, t, word } from "../core/i18n.js";
import { connected } from "../core/live.js";
import { icon } from "./icon.js";

export function toast(text) {
  const said = h("p", {}, text);
  document.getElementById("toasts").append(said);
  setTimeout(() => said.remove(), 6000);
}

// An error in the visitor's words, with the number under which the log has it. named: what a field is called.
export function inWords(error, named = at => at) {
  if (!(error instanceof ApiError)) return error instanceof TypeError ? t("app.lost") : String(error.message ?? error);
  const { code, body, id } = error, of = body?.errors, typed = code === "invalid";
  // a rule that has a name is said in the words of the page
  const why = of?.map(e => `${!(typed || code === "settings_refused") || e.at === "body" ? "" : `${named(e.at.replace(/^(body|query)\./, ""))}: `}${inRule(e)}`).join("; ");
  const said = typed && why ? why : has(`error.${code}`) ? t(`error.${code}`, { detail: of?.some(e => e.rule) ? why : error.message }) : has(`refusal.${code}`) ? t(`refusal.${code}`) : error.message;
  return id ? `${said} (${id.slice(0, 8)})` : said;
}

export const inRule = e => (has(`unfit.${e.rule}`) ? t(`unfit.${e.rule}`, { limit: Number(e.limit) || e.limit }) : e.detail);

export const chip = (kind, sign, text) => h("span.chip", { class: kind }, sign && icon(sign, 14), text);
export const note = (kind, text, ...more) =>
  h("div.note", { class: kind, role: kind === "bad" ? "alert" : "status" }, icon(kind === "ok" ? "yes" : kind === "info" ? "info" : "warn"), h("div", {}, text, ...more));
// What is not normal stands over every page.
export const banners = () => h("div.banners", {},
  () => !connected.value && note("bad", t("app.lost")),
  () => abnormal(gate.value).map(([kind, group, code, detail]) =>
    h("p.banner", { class: kind, role: "alert" }, icon(group === "mode" ? "lock" : "warn"), h("strong", {}, word(group, code)), detail && h("span", {}, detail))));
export const empty = (sign, text, ...acts) => h("div.empty", {}, icon(sign, 32), h("p", {}, text), ...acts);
export const skeleton = (lines = 4) => h("div.skeletons", { role: "status", "aria-label": t("app.loading") }, ...Array.from({ length: lines }, () => h("div.skeleton")));

// What a button does is done once at a time, and what goes wrong is said.
function once(act) {
  let busy = false;
  return async event => {
    if (busy) return;
    busy = true;
    try { await act(event); } catch (error) { if (error.name !== "AbortError") toast(inWords(error)); } finally { busy = false; }
  };
}
export const button = (text, onclick, { kind = "", sign, ...more } = {}) =>
  h("button.btn", { type: "button", class: kind, onclick: once(onclick), ...more }, sign && icon(sign), text);

export function head(title, ...more) {
  document.title = `${title} · gated`;
  return h("div.head", {}, h("h1", { tabindex: -1 }, title), ...more);
}

// Loads something and shows it: a skeleton, what was found, or what went wrong and "try again".
export function loaded(load, show, wait = skeleton) {
  const state = signal({ wait: true }), turn = inOrder();
  const run = async () => {
    const mine = turn(), say = told => { if (mine()) state.value = told; };
    try { say({ found: await load() }); } catch (error) { if (error.name !== "AbortError") say({ error }); }
  };
  run();
  const el = () => {
    const { wait: waiting, error, found } = state.value;
    if (waiting) return wait();
    return error ? note("bad", inWords(error), button(t("app.again"), () => { state.value = { wait: true }; run(); })) : show(found, run);
  };
  el.again = run;
  return el;
}

const initials = name => name.split(/\s+/).map(part => part[0] ?? "").slice(0, 2).join("").toUpperCase();

// A face where there is one and it may be seen, else the initials.
export function avatar(name, source, big = false) {
  const el = h("span.avatar", { "aria-hidden": "true", class: big ? "big" : "" }, initials(name));
  if (source) {
    const image = h("img", { alt: "", loading: "lazy", src: source });
    image.addEventListener("load", () => el.replaceChildren(image));
    image.addEventListener("error", () => image.remove());
    el.append(image);
  }
  return el;
}
export const nameOf = person => (person.name ?? `${person.first_name} ${person.last_name}`).trim();
export const bdi = text => h("bdi", {}, text);
// What the program says in English alone, whatever the page speaks.
export const english = text => h("bdi", { lang: "en", dir: "ltr" }, text);
export const outcome = ok => h("span.mark", { class: ok ? "ok" : "bad" }, icon(ok ? "yes" : "no", 18));
export const reasonOf = decision => word("reason", decision.reason);
