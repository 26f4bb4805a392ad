// People: found as one types; one person is a page of its own, an import another.
import { get, may, post, put } from "../core/api.js";
import { h, onEnd, signal } from "../core/dom.js";
import { gate } from "../core/gate.js";
import { day, fromSite, moment, t, toSite, today } from "../core/i18n.js";
import { BASE, go, remember } from "../core/router.js";
import { avatar, bdi, button, chip, empty, head, nameOf, toast } from "../pieces/bits.js";
import { ask, checkbox, field, input } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { saved } from "../pieces/saved.js";
import { table } from "../pieces/table.js";
import { chosen } from "./chosen.js";
import bulk from "./import.js";
import person from "./person.js";
import unknown from "./unknown.js";

const TYPING_MS = 150;
const FILTERS = ["active", "inactive", "without_photo", "one_photo", "consent_missing", "visitors", "left"];

export default function people({ place }) {
  if (place.rest[0] === "import") return bulk();
  if (place.rest[0] === "unknown" && may("admin")) return unknown();
  return place.rest[0] ? person({ id: Number(place.rest[0]) }) : list(place.query);
}

const narrowed = only => ({ active: { is_active: true }, inactive: { is_active: false } }[only] ?? (only ? { [only]: true } : {}));

function list(at) {
  const q = signal(at.get("q") ?? ""), only = signal(at.get("only") ?? ""), group = signal(at.get("group") ?? "");
  const sort = signal(at.get("sort") ?? "last_name");
  const filters = signal({});
  let shown = null, typing = 0;
  onEnd(() => clearTimeout(typing));
  const several = may("operator") && chosen(() => shown.again(), () => !shown.total.value);
  function change() {
    remember({ q: q.peek(), only: only.peek(), group: group.peek(), sort: sort.peek() === "last_name" ? "" : sort.peek() });
    filters.value = { q: q.peek(), group: group.peek(), sort: sort.peek(), ...narrowed(only.peek()) };
    shown?.again();
  }
  change();

  const notes = new Map(); // id -> where to put what the overview says
  async function fill(rows) {
    if (!rows.length) return;
    const told = await get("/api/persons/overview", { ids: rows.map(p => p.id).join(",") });
    for (const one of told) notes.get(one.id)?.(one);
  }
  const row = p => {
    const photo = h("span.slot", {}, avatar(nameOf(p))), marks = h("span.chips", {}), seen = h("td.opt.num", {}, "…"), groups = h("td.opt", {}, "…");
    notes.set(p.id, one => {
      if (one.photos && may("operator")) photo.replaceChildren(avatar(nameOf(p), `/api/persons/${p.id}/thumbnail`));
      if (!one.photos) marks.append(chip("warn", "camera", t("people.without_photo")));
      if (one.photo_advice.another_advised && one.photos) marks.append(chip("", "camera", t("people.one_photo")));
      if (one.consent === "missing") marks.append(chip("warn", "warn", t("people.consent_missing")));
      if (one.visitor) marks.append(chip("", "calendar", t("people.visitor")));
      seen.replaceChildren(one.last_seen ? moment(one.last_seen) : "–");
      groups.replaceChildren(one.groups.join(", ") || "–");
    });
    return [
      h("td", {}, h("div.person", {}, several && several.box(p), photo, h("div", {}, h("a.strong", { href: `${BASE}people/${p.id}` }, bdi(nameOf(p))),
        h("div.small.muted", {}, bdi([p.personnel_code, p.department].filter(Boolean).join(" · "))), marks))),
      h("td", {}, status(p)), groups, seen];
  };
  const search = h("input", { type: "search", value: q.peek(), autocomplete: "off", spellcheck: "false", maxlength: 200, "aria-label": t("people.search"), placeholder: t("people.search"),
    oninput: e => { clearTimeout(typing); typing = setTimeout(() => { q.value = e.target.value; change(); }, TYPING_MS); } });
  const pick = h("select", { "aria-label": t("people.filter"), onchange: e => { only.value = e.target.value; change(); } },
    h("option", { value: "" }, t("people.everybody")), FILTERS.map(name => h("option", { value: name, selected: name === only.peek() }, t(`people.${name}`))));
  const ofGroup = h("select", { "aria-label": t("person.groups"), onchange: e => { group.value = e.target.value; change(); } }, h("option", { value: "" }, t("people.all_groups")));
  get("/api/groups").then(found => ofGroup.append(...found.map(g => h("option", { value: g.name, selected: g.name === group.peek() }, g.name))), () => {});

  shown = table({
    path: "/api/persons", filters, sort, onSort: wanted => { sort.value = wanted; change(); }, label: t("app.people"), row, rows: fill,
    columns: [{ label: t("people.name"), sort: "last_name" }, { label: t("people.status") }, { label: t("person.groups"), optional: true }, { label: t("people.seen"), optional: true }],
    none: () => (q.peek() || only.peek() || group.peek()
      ? empty("search", t("people.none", { q: q.peek() }), button(t("people.clear"), () => { q.value = only.value = group.value = search.value = pick.value = ofGroup.value = ""; change(); }))
      : empty("people", t("people.nobody"), may("operator") && button(t("people.add"), add, { kind: "main", sign: "plus" }))),
  });
  return h("div", {},
    head(t("app.people"), h("span.muted.num", { role: "status" }, () => (shown.total.value === null ? "" : t("people.count", { n: shown.total.value }))), h("span.grow"),
      () => may("admin") && gate.value?.strangers_kept && h("a.btn", { href: `${BASE}people/unknown` }, icon("question"), t("people.unknown")),
      may("operator") && h("a.btn", { href: `${BASE}people/import` }, icon("up"), t("people.import")),
      may("operator") && button(t("people.visitor.add"), visitor, { sign: "calendar" }),
      may("operator") && button(t("people.add"), add, { kind: "main", sign: "plus" })),
    h("div.filters", {}, h("div.search", {}, icon("search"), search), pick, ofGroup, saved("people", {}, ["q", "only", "group", "sort"])),
    several && several.bar(),
    shown.el);
}

const status = p => (p.is_active ? chip("ok", "yes", p.leaves_on ? t("people.until", { day: day(p.leaves_on, { dateStyle: "medium" }) }) : t("people.active")) : chip("bad", "no", t("people.inactive")));

export const fields = (p = {}) => [
  h("div.pair", {}, field(t("person.first_name"), input("first_name", p.first_name, { required: true, autofocus: true })), field(t("person.last_name"), input("last_name", p.last_name, { required: true }))),
  h("div.pair", {}, field(t("person.code"), input("personnel_code", p.personnel_code, { required: true, maxlength: 64, pattern: "[^@\\s]+" }), t("person.code.hint")), field(t("person.department"), input("department", p.department))),
  h("div.pair", {}, field(t("person.position"), input("position", p.position)), field(t("person.email"), input("email", p.email, { type: "email", maxlength: 254 }))),
  h("div.pair", {}, field(t("person.phone"), input("phone", p.phone, { type: "tel", maxlength: 40 })), field(t("person.leaves_on"), input("leaves_on", p.leaves_on, { type: "date" }), t("person.leaves_on.hint"))),
  field(t("person.extended"), checkbox("extended_unlock", p.extended_unlock), t("person.extended.hint")),
];

async function add() {
  const made = await ask(t("people.add"), fields(), { wide: true, yes: t("person.create"), act: given => post("/api/persons", given) });
  if (made) { toast(t("person.created_toast", { name: nameOf(made) })); go(`people/${made.id}`); }
}

// "Today until six": one form, with the end filled in; who comes later stays until the day ends.
async function visitor() {
  const soon = toSite(new Date(Date.now() + 1_800_000)).slice(11), code = `V-${Date.now().toString(36).toUpperCase()}`;
  let half = null;
  const made = await ask(t("people.visitor.add"), [
    h("div.pair", {}, field(t("person.first_name"), input("first_name", "", { required: true, autofocus: true })), field(t("person.last_name"), input("last_name", "", { required: true }))),
    field(t("person.company"), input("department", "")),
    field(t("visitor.until"), input("until", soon < "18:00" && soon > "00:30" ? "18:00" : "23:59", { type: "time", required: true }), t("visitor.until.hint")),
    field(t("access.needs_escort"), checkbox("needs_escort", false)),
  ], { yes: t("person.create"), act: async given => {
    const end = fromSite(`${today()}T${given.until}`), who = { first_name: given.first_name, last_name: given.last_name, department: given.department };
    if (Date.parse(end) < Date.now()) throw new Error(t("visitor.past"));
    // who was made by a try that failed later is the same one at the next
    half = half ? await put(`/api/persons/${half.id}`, who) : await post("/api/persons", { ...who, personnel_code: code });
    await put(`/api/persons/${half.id}/access`, { visitor: true, valid_until: end, needs_escort: given.needs_escort });
    return half;
  } });
  if (made ?? half) go(`people/${(made ?? half).id}`); // also when it was given up half-way: it is there
}
