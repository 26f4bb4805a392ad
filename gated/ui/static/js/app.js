// The shell: language, session, navigation, what is not normal, and one screen at a time.
import { askToSignIn, atDomain, get, may, post, resume, session, signIn, signOut, stayWhile } from "./core/api.js";
import { effect, h, onEnd, scoped, signal } from "./core/dom.js";
import { abnormal, alarms, followGate, gate, readGate } from "./core/gate.js";
import { language, LANGUAGES, learn, number, preferred, speak, t, word, zone } from "./core/i18n.js";
import { BASE, go, here } from "./core/router.js";
import { banners, button, inWords, note, skeleton } from "./pieces/bits.js";
import { dialog, field } from "./pieces/dialog.js";
import { icon } from "./pieces/icon.js";

// name: [sign, which roles may, where it works, module, its own words]
const SCREENS = {
  now: ["now", "viewer", "gate", () => import("./screens/now.js")],
  people: ["people", "viewer", "", () => import("./screens/people.js"), "more"],
  attendance: ["clock", "viewer", "", () => import("./screens/attendance.js"), "more"],
  fleet: ["door", "viewer auditor", "hub", () => import("./screens/fleet.js"), "more"],
  rules: ["calendar", "viewer", "", () => import("./screens/rules.js"), "more"],
  alarms: ["bell", "viewer", "", () => import("./screens/alarms.js")],
  me: ["person", "self", "", () => import("./screens/me.js"), "more"],
  settings: ["gear", "self", "", () => import("./screens/settings.js"), "more"],
  setup: ["gear", "admin", "gate", () => import("./screens/setup.js"), "more"],
};
const LISTED = Object.keys(SCREENS).filter(name => name !== "setup");
const BELOW = ["now", "people", "attendance", "alarms"]; // on a phone
const meta = signal({ name: "", role: "gate", setup: false });
const root = document.getElementById("root");

const allowed = name => {
  const [, role, place] = SCREENS[name];
  if (name === "me" && !session.value?.person_id) return false;
  return role.split(" ").some(may) && (!place || place === meta.value.role);
};
const first = () => LISTED.find(allowed) ?? "settings";
const current = () => (here.value.name in SCREENS && allowed(here.value.name) ? here.value.name : here.value.name ? "" : first());

function links(names) {
  return h("ul.nav", {}, names.filter(name => name in SCREENS && allowed(name)).map(name =>
    h("li", {}, h("a", { href: BASE + name, "aria-current": () => (current() === name ? "page" : null) },
      icon(SCREENS[name][0]), h("span", {}, t(`app.${name}`)),
      name === "alarms" && (() => alarms.value.length > 0 && h("span.count", { "aria-label": t("app.unseen", { n: alarms.value.length }) }, number(alarms.value.length)))))));
}

function look() {
  const theme = h("select", { "aria-label": t("app.theme"), value: document.documentElement.dataset.theme ?? "", onchange: e => setTheme(e.target.value) },
    ["", "light", "dark"].map(name => h("option", { value: name, selected: name === (document.documentElement.dataset.theme ?? "") }, t(`theme.${name || "auto"}`))));
  const tongue = h("select", { "aria-label": t("app.language"), onchange: e => { localStorage.setItem("language", e.target.value); speak(e.target.value); } },
    Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === language.peek() }, name)));
  return h("div.look", {}, tongue, theme);
}

function setTheme(name) {
  if (name) { localStorage.setItem("theme", name); document.documentElement.dataset.theme = name; } else { localStorage.removeItem("theme"); delete document.documentElement.dataset.theme; }
}

function shell() {
  const main = h("main", { id: "main", tabindex: -1 });
  let end = null, at = null; // what ends the screen that is shown, and which one is wanted
  const leave = () => { at = null; end?.(); end = null; };
  onEnd(leave);
  effect(() => {
    const name = current(), place = here.value;
    if (at?.name === name && at.place === place) return; // the session was renewed
    const moved = at !== null, mine = { name, place };
    leave();
    at = mine;
    show(main, name, place, moved, () => at === mine).then(ended => { if (at === mine) end = ended; else ended?.(); });
  });
  followGate();
  stayWhile(() => current() === "now");
  const more = LISTED.filter(name => !BELOW.includes(name));
  return h("div.app", {},
    h("a.vh.skip", { href: "#main", onclick: e => { e.preventDefault(); main.focus(); } }, t("app.skip")),
    h("nav.side", { "aria-label": t("app.menu") },
      h("div.brand", {}, icon("face", 26), h("span", {}, () => meta.value.name || "gated")),
      links(LISTED), h("footer", {}, who(), look())),
    h("div.page", {}, banners(), main),
    h("nav.tabs", { "aria-label": t("app.menu") },
      h("ul.nav", {}, [...links(BELOW).childNodes], h("li", {}, h("button", { type: "button", onclick: () => menu(more) }, icon("more"), h("span", {}, t("app.more")))))));
}

const who = () => h("div.who-am-i", {}, h("span", {}, h("bdi", {}, session.peek().username), h("span.muted", {}, ` · ${word("role", session.peek().role)}`)),
  h("button.btn.quiet", { type: "button", onclick: signOut }, icon("out"), t("app.signout")));

const menu = names => dialog(t("app.menu"), close => {
  const list = links(names);
  list.addEventListener("click", () => close());
  return [list, who(), look(), h("div.row.end", {}, button(t("app.close"), () => close()))];
}, { kind: "menu" });

// Gives what ends the screen; wanted: whether it still is, as it may take long to come.
async function show(main, name, place, moved, wanted) {
  if (!name) { main.replaceChildren(note("bad", t("app.nothing"))); return null; }
  const waiting = setTimeout(() => { if (wanted()) main.replaceChildren(skeleton()); }, 150);
  try {
    const [,,, load, words] = SCREENS[name], [{ default: screen }] = await Promise.all([load(), words && learn(words)]);
    if (!wanted()) return null;
    const end = scoped(() => main.replaceChildren(screen({ place, meta: meta.peek() })));
    if (moved) { (main.querySelector("h1") ?? main).focus({ preventScroll: true }); scrollTo(0, 0); }
    return end;
  } catch (error) {
    if (wanted()) main.replaceChildren(note("bad", inWords(error), button(t("app.again"), () => location.reload())));
    return null;
  } finally { clearTimeout(waiting); }
}

// --- signing in ------------------------------------------------------------------------------

function signInForm(done, name = "") {
  const problem = signal(null), busy = signal(false);
  const box = (n, label, more) => field(label, h("input", { name: n, required: true, ...more }));
  const trying = async way => {
    busy.value = true;
    problem.value = null;
    try { await way(); done(); } catch (error) { problem.value = error; } finally { busy.value = false; }
  };
  return h("form", { onsubmit: async event => {
    event.preventDefault();
    const given = new FormData(event.target);
    await trying(() => signIn(given.get("username"), given.get("password")));
    event.target.elements.password.select();
  } },
  () => problem.value && note("bad", inWords(problem.value)),
  box("username", t("sign.name"), { autocomplete: "username", value: name, autofocus: !name, autocapitalize: "none", spellcheck: "false" }),
  box("password", t("sign.password"), { type: "password", autocomplete: "current-password", autofocus: Boolean(name) }),
  h("button.btn.main", { type: "submit", disabled: () => busy.value }, t("sign.go")),
  atDomain(meta.peek().passkeys) && button(t("sign.passkey"), () => trying(async () => (await import("./pieces/passkey.js")).signInByPasskey()), { disabled: () => busy.value }),
  meta.peek().company_sign_in && h("a.btn", { href: `/api/auth/company/begin${name ? "?again=true" : ""}` }, meta.peek().company_sign_in));
}

// What came of a sign-in at the company's provider, which sends the browser back here.
function refusedThere() {
  const code = new URLSearchParams(location.search).get("sign_in");
  if (!code) return null;
  history.replaceState(null, "", location.pathname);
  return note("bad", t(["sign_in_refused", "throttled"].includes(code) ? `error.${code}` : "error.provider_failed"));
}

// The first administrator, by the code that the gate shows where it was started.
function setupPage() {
  document.title = `${t("setup.title")} · gated`;
  const problem = signal(null), busy = signal(false);
  const box = (name, label, hint, more) => field(label, h("input", { name, required: true, autocomplete: "off", autocapitalize: "none", ...more }), hint);
  return h("main.sign", { id: "main" }, h("section.card", {}, h("div.brand", {}, icon("face", 26), h("span", {}, () => meta.value.name || "gated")), h("h1", {}, t("setup.title")), h("p.muted", {}, t("setup.hint")),
    h("form", { onsubmit: async event => {
      event.preventDefault();
      busy.value = true;
      const { code, username, password } = Object.fromEntries(new FormData(event.target));
      try { await post("/api/auth/setup", { code, username, password }, { headless: true }); if (meta.peek().role === "gate") go("setup"); await signIn(username, password); meta.value = { ...meta.peek(), setup: false }; } catch (error) { problem.value = error; } finally { busy.value = false; }
    } }, () => problem.value && note("bad", problem.value.code === "bad_credentials" ? t("setup.wrong") : inWords(problem.value)),
    box("code", t("setup.code"), t("setup.code.hint"), { autofocus: true, dir: "ltr", placeholder: "XXXX-XXXX-XXXX-XXXX" }), box("username", t("sign.name"), null, { autocomplete: "username", pattern: "[A-Za-z0-9_.@+\\-]+" }), box("password", t("sign.password"), t("account.password.hint"), { type: "password", autocomplete: "new-password" }),
    h("button.btn.main", { type: "submit", disabled: () => busy.value }, t("setup.go"))), look()));
}

function signInPage() {
  if (meta.value.setup) return setupPage();
  document.title = `${t("sign.title")} · gated`;
  return h("main.sign", { id: "main" },
    h("section.card", {},
      h("div.brand", {}, icon("face", 26), h("span", {}, () => meta.value.name || "gated")),
      h("h1", {}, t("sign.title")), refusedThere(), signInForm(() => {}), look()));
}

// One question for all requests that were refused meanwhile; what was typed stays where it is.
let asking = null;
askToSignIn((sure = false) => asking ??= dialog(t(sure ? "sign.sure" : "sign.again"), close => signInForm(() => close(true), session.peek()?.username))
  .then(done => { if (!done && !sure) session.value = null; return done; }).finally(() => { asking = null; }));

// --- the beginning ---------------------------------------------------------------------------

const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
const told = get("/api/meta", null, { headless: true }).then(found => { meta.value = found; zone.value = found.timezone ?? undefined; }, () => {});
const known = resume().then(() => null, error => error);
await speak(preferred());
await told;
const failed = await known;
let end = null, as = null;
if (failed) root.replaceChildren(h("main.sign", { id: "main" }, note("bad", inWords(failed), button(t("app.again"), () => location.reload()))));
else effect(() => {
  const name = session.value?.username ?? null, tongue = language.value;
  if (end && as === `${name} ${session.peek()?.role} ${tongue}`) return; // signed in again as the same
  as = `${name} ${session.peek()?.role} ${tongue}`;
  end?.();
  for (const open of document.querySelectorAll("dialog")) open.close();
  end = scoped(() => root.replaceChildren(name ? shell() : signInPage()));
});

// the tab's title and icon tell of an alarm, too
effect(() => {
  const urgent = session.value && (alarms.value.some(a => a.severity === "alarm") || abnormal(gate.value).some(([kind]) => kind === "bad"));
  const link = document.querySelector("link[rel=icon]");
  link.href = link.dataset[urgent ? "alarm" : "calm"];
});
addEventListener("online", readGate);
