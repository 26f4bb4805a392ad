// Words, numbers and times. Words lie in one flat file a language; codes of the API are keys there.
import { signal } from "./dom.js";

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", ar: "العربية", fa: "فارسی" };
const RIGHT_TO_LEFT = new Set(["ar", "fa"]);

export const language = signal("en");
export const zone = signal(undefined); // of the site; the browser's own until that is known
let words = {}, plural = new Intl.PluralRules("en"), region = "en";

export function preferred() {
  const asked = new URL(location.href).searchParams.get("lang") ?? localStorage.getItem("language");
  const wanted = [asked, ...navigator.languages].filter(Boolean).map(tag => tag.toLowerCase().split("-")[0]);
  return wanted.find(tag => tag in LANGUAGES) ?? "en";
}

const file = async name => (await fetch(new URL(`../../i18n/${name}.json`, import.meta.url))).json();
const also = new Map(); // further words, of screens that few open: when each has come
export function learn(part) {
  if (!also.has(part)) also.set(part, file(`${part}/${language.peek()}`).then(found => { Object.assign(words, found); }, error => { also.delete(part); throw error; }));
  return also.get(part);
}

let wanted = 0;
export async function speak(code) {
  const mine = ++wanted;
  const told = new Map(), missing = () => [code, ...[...also.keys()].map(part => `${part}/${code}`)].filter(name => !told.has(name));
  // what is learned meanwhile, in the language before, has to be there, too
  for (let names = missing(); names.length; names = missing()) {
    const found = await Promise.all(names.map(file));
    names.forEach((name, n) => told.set(name, found[n]));
  }
  if (mine !== wanted) return; // another was chosen meanwhile
  words = Object.assign({}, ...told.values());
  // numbers and dates as the visitor's region writes them, as far as it speaks the language
  region = navigator.languages.find(tag => tag.split("-")[0] === code) ?? code;
  plural = new Intl.PluralRules(region);
  Object.assign(document.documentElement, { lang: code, dir: RIGHT_TO_LEFT.has(code) ? "rtl" : "ltr" });
  language.value = code;
}

const isolated = value => (document.documentElement.dir === "rtl" ? `\u2068${value}\u2069` : String(value));

export function t(key, values = {}) {
  let found = words[key];
  if (found === undefined) return key;
  if (typeof found === "object") found = found[plural.select(Number(values.n))] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number(value) : isolated(value);
  });
}

// The words of a code, such as word("reason", "no_match"); else what the API says in English.
export function word(kind, code, otherwise = "") {
  const key = `${kind}.${code}`;
  return key in words ? t(key) : otherwise || String(code).replaceAll("_", " ");
}
export const has = key => key in words;
export const placesIn = key => words[key]?.match(/\w+(?=})/g) ?? [];
// The codes of a kind that have words, such as all acts, sorted by these.
export const codes = kind => Object.keys(words).filter(key => key.startsWith(`${kind}.`)).map(key => key.slice(kind.length + 1))
  .sort((a, b) => word(kind, a).localeCompare(word(kind, b), region));

export const number = (value, options) => new Intl.NumberFormat(region, options).format(value);
// A text of the API, such as 08:05, with the digits that numbers and dates beside it have.
export const digits = text => String(text).replace(/\d/g, digit => number(Number(digit)));
// One of several, in words: "card, PIN or badge".
export const either = names => new Intl.ListFormat(region, { type: "disjunction" }).format(names);
// Seconds as "3 hours", in the largest unit of which there are two.
export function span(seconds) {
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => seconds >= 2 * size) ?? ["second", 1];
  return number(Math.round(seconds / size), { style: "unit", unit, unitDisplay: "long" });
}
export const percent = value => number(value, { style: "percent", maximumFractionDigits: 0 });

const made = new Map();
function format(options) {
  const key = `${region} ${zone.peek()} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Intl.DateTimeFormat(region, { timeZone: zone.peek(), hourCycle: "h23", ...options }));
  return made.get(key);
}
const CLOCK = { hour: "2-digit", minute: "2-digit" };
export const time = at => format({ ...CLOCK, second: "2-digit" }).format(new Date(at));
export const clock = at => format(CLOCK).format(new Date(at));
export const date = at => format({ dateStyle: "medium" }).format(new Date(at));
export const moment = at => format({ day: "numeric", month: "short", year: "numeric", ...CLOCK }).format(new Date(at));
// of a calendar day (2026-11-29), which no zone may move
export const day = (iso, options = { weekday: "short", day: "numeric", month: "short" }) =>
  new Intl.DateTimeFormat(region, { timeZone: "UTC", ...options }).format(new Date(`${iso}T12:00:00Z`));
// What a field of the browser holds, such as 2026-11-29T08:00: it shows that as its own language
// writes it, with Gregorian months. Says it as this page does, where that is another way; else null.
export function spoken(value) {
  const { calendar } = new Intl.DateTimeFormat(region).resolvedOptions();
  if (calendar === "gregory" && navigator.language.split("-")[0] === language.peek()) return null;
  const first = value.length === 7 ? `${value}-01` : value.slice(0, 10), style = { day: "numeric", month: "long", year: "numeric" };
  if (!/^\d{4}-\d\d-\d\d$/.test(first)) return "";
  if (value.length === 7) return `${day(first, style)} – ${day(lastOf(value), style)}`;
  return [day(first, style), digits(value.slice(11, 16))].filter(Boolean).join(" ");
}
export const lastOf = month => { const [year, n] = month.split("-").map(Number); return new Date(Date.UTC(year, n, 0)).toISOString().slice(0, 10); };
// local times that come with their offset: as the clock at the gate showed them
export const clockOf = iso => (iso ? digits(iso.slice(11, 16)) : "–");

export function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  return t("time.duration", { h: number(Math.floor(minutes / 60)), m: number(minutes % 60, { minimumIntegerDigits: 2 }) });
}

// The present day in the site's zone, as 2026-11-29.
export const today = () => new Intl.DateTimeFormat("sv-SE", { timeZone: zone.peek() }).format(new Date());

// A moment as <input type="datetime-local"> has it, on the clock of the site, and back to UTC.
export function toSite(at) {
  const shown = new Intl.DateTimeFormat("sv-SE", { timeZone: zone.peek(), dateStyle: "short", timeStyle: "short" }).format(new Date(at));
  return shown.replace(" ", "T");
}
export function fromSite(local) {
  if (!local) return null;
  const wanted = Date.parse(`${local}Z`);
  let at = wanted;
  // twice, as the offset may be another one at what was guessed first
  for (let i = 0; i < 2; i++) at += wanted - Date.parse(`${toSite(at)}Z`);
  return new Date(at).toISOString();
}
export const addDays = (iso, n) => new Date(Date.parse(`${iso}T12:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);
// The first day of the week of a day, as the visitor's region begins it.
export function weekOf(iso) {
  const first = new Intl.Locale(region).weekInfo?.firstDay ?? new Intl.Locale(region).getWeekInfo?.().firstDay ?? 1;
  const weekday = (new Date(`${iso}T12:00:00Z`).getUTCDay() + 6) % 7 + 1;
  return addDays(iso, -((weekday - first + 7) % 7));
}
