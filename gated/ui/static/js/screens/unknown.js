// Strangers of whom the gate keeps pictures: put together by face, named, set aside, deleted, taken back.
import { ApiError, get, post, put } from "../core/api.js";
import { every, h, onEnd, signal } from "../core/dom.js";
import { moment, t, time, word } from "../core/i18n.js";
import { BASE } from "../core/router.js";
import { avatar, bdi, button, chip, empty, head, inWords, nameOf, note, skeleton } from "../pieces/bits.js";
import { ask, field, select } from "../pieces/dialog.js";
import { finder } from "../pieces/finder.js";
import { icon } from "../pieces/icon.js";
import { fields } from "./people.js";

const SHOWN = 6; // pictures of one face that are shown; the others are counted
const LOOK_MS = 30_000;

const BACK = { ignore: "restore", delete: "restore", merge: "unmerge" };

export default function unknown() {
  const told = signal(null), problem = signal(null), chosen = signal(new Set()), last = signal(null), usable = signal(false);
  const open = new Set(); // what somebody has unfolded
  let gone = false, looking = false, again = false;
  onEnd(() => { gone = true; });
  // One look at a time: an older answer never comes after a newer one.
  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    try {
      do {
        again = false;
        const found = await get("/api/gate/unknown-faces");
        if (gone) return;
        problem.value = null;
        if (JSON.stringify(found) !== JSON.stringify(told.peek())) told.value = found;
        again ||= found.waiting > 0; // a few more faces with each request
      } while (again);
    } catch (error) { problem.value = error; } finally { looking = false; }
  }
  look();
  every(LOOK_MS, () => { if (!document.hidden) look(); });

  async function act(act, faces) {
    try {
      await post("/api/gate/unknown-faces", { ids: faces.map(f => f.id), act });
      last.value = BACK[act] ? { act, faces } : null;
      chosen.value = new Set();
    } finally { look(); }
  }
  async function named(group) {
    const { faces } = group, done = await name(faces, resembled(group));
    if (!done) return;
    last.value = { act: "name", faces: faces.filter(f => !f.deleted_at), ...done };
    await look();
  }
  async function together(groups, all) {
    const faces = await merged(groups, all, told.peek().alike, resembled);
    if (!faces) return;
    last.value = { act: "merge", faces };
    chosen.value = new Set();
    await look();
  }
  function choose(group, wanted) {
    const next = new Set(chosen.peek());
    if (wanted) next.add(group); else next.delete(group);
    chosen.value = next;
  }

  const resembled = group => told.peek().resembling.find(one => one.group === group.id)?.people ?? [];
  const card = group => h("li.face", {},
    h("div.shots", {}, group.faces.slice(0, SHOWN).map(shot), group.faces.length > SHOWN && h("span.muted.num", {}, t("bulk.more", { n: group.faces.length - SHOWN }))),
    h("div.row", {}, h("input", { type: "checkbox", checked: chosen.peek().has(group.id), "aria-label": t("unknown.choose", { when: moment(group.newest) }), onchange: e => choose(group.id, e.target.checked) }),
      h("span.grow", {}, t("unknown.seen", { n: group.faces.length }), " · ", h("time", { datetime: group.newest }, moment(group.newest))),
      group.faces.every(f => f.problem) && chip("warn", "warn", t("unknown.unusable")),
      resembled(group).length > 0 && alike(resembled(group)),
      button(t("unknown.name"), () => named(group), { kind: "small", sign: "person" }),
      button(t("unknown.ignore"), () => act("ignore", group.faces), { kind: "small" }),
      button(t("unknown.delete"), () => act("delete", group.faces), { kind: "small bad", sign: "bin" })));
  const aside = (key, groups) => groups.length > 0 && h("details.card.pad", { open: open.has(key), ontoggle: e => open[e.target.open ? "add" : "delete"](key) }, h("summary", {}, t(key, { n: groups.length })),
    h("ul.faces", {}, groups.map(group => h("li.face", {}, h("div.shots", {}, group.faces.slice(0, SHOWN).map(shot)),
      h("div.row", {}, h("span.grow.muted", {}, group.faces[0].deleted_at ? t("unknown.gone_at", { at: time(group.faces[0].deleted_at) }) : moment(group.newest)),
        button(t("unknown.back"), () => act("restore", group.faces), { kind: "small" }))))));

  const show = found => {
    const all = grouped(found.faces.filter(f => !f.deleted_at && !f.ignored)), poor = all.filter(group => group.faces.every(f => f.problem));
    const groups = usable.value ? all.filter(group => !poor.includes(group)) : all;
    const marked = () => groups.filter(group => chosen.value.has(group.id));
    return h("div.stack", {},
      found.waiting > 0 && note("info", t("unknown.waiting", { n: found.waiting })),
      poor.length > 0 && h("div.row", {}, field(t("unknown.usable", { n: poor.length }), h("input", { type: "checkbox", checked: usable.value, onchange: e => { chosen.value = new Set(); usable.value = e.target.checked; } }))),
      groups.length ? h("div.row", { role: "group", "aria-label": t("unknown.several") }, h("span.muted", {}, t("unknown.hint")), h("span.grow"),
        button(t("unknown.merge.look"), () => together(marked(), groups), { kind: "small", disabled: () => !marked().length || groups.length < 2 })) : empty("face", t("unknown.none")),
      groups.length > 0 && h("ul.faces", { "aria-label": t("people.unknown") }, groups.map(card)),
      aside("unknown.aside", grouped(found.faces.filter(f => f.ignored && !f.deleted_at))),
      aside("unknown.deleted", grouped(found.faces.filter(f => f.deleted_at))));
  };
  return h("div", {}, h("a.back", { href: `${BASE}people` }, icon("back"), t("app.people")), head(t("people.unknown")),
    h("div", { role: "status" }, () => last.value && note("ok", t(`unknown.done.${last.value.act}`, { name: last.value.person ? nameOf(last.value.person) : "" }),
      last.value.act === "name" ? h("a.btn", { href: `${BASE}people/${last.value.person.id}` }, t("now.person"))
        : button(t("unknown.undo"), () => act(BACK[last.peek().act], last.peek().faces)))),
    () => problem.value && note("bad", inWords(problem.value), button(t("app.again"), look)),
    () => (told.value ? (told.value.kept ? show(told.value) : empty("face", t("unknown.not_kept"))) : !problem.value && skeleton()));
}

// Faces by group, the newest first.
function grouped(faces) {
  const found = new Map();
  for (const face of faces) found.set(face.group, [...(found.get(face.group) ?? []), face]);
  return [...found].map(([id, those]) => ({ id, faces: those, newest: those[0].taken_at }));
}

const shot = face => h("img", { src: `/api/gate/snapshots/${face.id}/thumbnail`, loading: "lazy", width: 112, height: 112,
  alt: t("unknown.picture", { when: moment(face.taken_at) }) + (face.problem ? ` · ${word("refusal", face.problem)}` : "") });

const FEW = 3; // pictures of each that a look at what is put together shows

// Shows what putting together would do, and who else it may be; resolves with the faces when done.
function merged(first, all, pairs, resembled) {
  const joined = signal(new Set(first.map(group => group.id)));
  const similar = (a, b) => pairs.some(pair => pair.includes(a) && pair.includes(b));
  // the most similar to one of the first come first
  const others = [...new Set(pairs.filter(pair => pair.some(id => joined.peek().has(id))).flat())].filter(id => !joined.peek().has(id)).map(id => all.find(group => group.id === id)).filter(Boolean);
  const chosen = () => all.filter(group => joined.value.has(group.id));
  const line = group => h("li", {}, h("div.shots", {}, group.faces.slice(0, FEW).map(shot)),
    h("div.grow", {}, t("unknown.seen", { n: group.faces.length }), " · ", moment(group.newest), resembled(group).length > 0 && alike(resembled(group))));
  const add = group => h("li", {}, h("label.choice.grow", {}, h("input", { type: "checkbox", onchange: e => { const next = new Set(joined.peek()); next[e.target.checked ? "add" : "delete"](group.id); joined.value = next; } }),
    h("span.shots", {}, group.faces.slice(0, FEW).map(shot)), h("span", {}, t("unknown.seen", { n: group.faces.length }), " · ", moment(group.newest))));
  const doubts = () => {
    const groups = chosen(), odd = groups.some((a, n) => groups.slice(n + 1).some(b => !similar(a.id, b.id)));
    const people = new Set(groups.map(group => resembled(group)[0]?.id).filter(Boolean));
    return [odd && note("warn", t("unknown.merge.unlike")), people.size > 1 && note("warn", t("unknown.merge.people"))];
  };
  return ask(t("unknown.merge.title"), [
    h("ul.rows", { "aria-label": t("unknown.merge.chosen") }, first.map(line)),
    others.length > 0 && h("div", {}, h("h3", {}, t("unknown.merge.others")), h("ul.rows", { "aria-label": t("unknown.merge.others") }, others.map(add))),
    h("div.stack", { role: "status" }, () => h("p", {}, t("unknown.merge.what", { n: chosen().flatMap(group => group.faces).length })), doubts),
    h("p.muted", {}, t("unknown.merge.keeps")),
  ].filter(Boolean), { wide: true, yes: t("unknown.merge"), act: async () => {
    const faces = chosen().flatMap(group => group.faces);
    if (chosen().length < 2) throw new Error(t("unknown.merge.one"));
    await post("/api/gate/unknown-faces", { ids: faces.map(f => f.id), act: "merge" });
    return faces;
  } });
}

// Whom a stranger may be, in words: a figure would be taken for proof.
const alike = people => h("p.small.grow", {}, t("unknown.resembles"), people.map((p, at) => [at > 0 && " · ",
  h("a", { href: `${BASE}people/${p.id}` }, bdi(p.name)), ` (${t(`unknown.alike.${p.likeness}`)})`]));

// People to choose from, each beside their photo; none is chosen before somebody has looked.
const offered = (people, pick) => h("fieldset.bare", { onchange: e => pick(e.target.value) }, h("legend", {}, t("unknown.who")),
  people.map(p => h("label.choice", {}, h("input", { type: "radio", name: "offered", value: p.id, required: true }), avatar(p.name, `/api/persons/${p.id}/thumbnail`, true),
    h("span", {}, bdi(p.name), h("span.small.muted", {}, " ", bdi(p.personnel_code)), !p.is_active && [" ", chip("bad", "no", t("people.inactive"))], h("span.small.muted.line", {}, t(`unknown.alike.${p.likeness}`))))),
  h("label.choice", {}, h("input", { type: "radio", name: "offered", value: "", required: true }), t("unknown.other")));

// Enrolls them for somebody new or known; resolves with {person} when a photo was taken. people:
// whom they resemble.
function name(faces, people) {
  const who = signal("new"), meant = signal(people.length ? undefined : null); // one of the people; null: another
  let made = null, search = null;
  const ordered = [...faces].sort((a, b) => Boolean(a.problem) - Boolean(b.problem));
  return ask(t("unknown.name.title"), [
    h("div.shots", {}, ordered.slice(0, SHOWN).map(shot)),
    people.length > 0 && [h("p", {}, t("unknown.look")), offered(people, id => { meant.value = people.find(p => p.id === Number(id)) ?? null; })],
    h("p.muted", {}, t("unknown.name.hint")),
    () => meant.value === null && field(t(people.length ? "unknown.other" : "unknown.who"), select("who", "new", [["new", t("unknown.new")], ["known", t("unknown.known")]], { onchange: e => { who.value = e.target.value; } })),
    () => { search = meant.value === null && who.value === "known" ? finder() : null; return search ? search.el : meant.value === null && h("div.stack", {}, fields()); },
  ], { wide: true, yes: t("unknown.enrol"), act: async given => {
    const { who: which, person: _, offered: __, ...values } = given, known = meant.peek() ?? search?.person();
    if (which === "known" && !known) throw new Error(t("unknown.who.missing"));
    // who was made by a try that failed later is the same one at the next
    if (which === "new") made = made ? await put(`/api/persons/${made.id}`, values) : await post("/api/persons", values);
    const person = known ?? made;
    const answer = await post("/api/gate/unknown-faces/name", { ids: ordered.map(f => f.id), person_id: person.id });
    if (!answer.enrolled) throw new ApiError(0, answer.refused[0] ?? {});
    return { person };
  } });
}
