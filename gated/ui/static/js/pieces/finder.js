// A search for one person, as somebody types.
import { get, may } from "../core/api.js";
import { h, inOrder, onEnd, signal } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { avatar, bdi, inWords, nameOf, note } from "./bits.js";
import { field } from "./dialog.js";

const FOUND = 6; // people whom a search offers
const TYPING_MS = 150;

// Gives {el, people: a signal of who was found, person(): who is chosen of them, or null}.
export function finder(more = {}) {
  const people = signal([]), none = signal(""), problem = signal(null), turn = inOrder();
  let typing = 0, faces = new Set(); // who of those that were found has a photo
  onEnd(() => clearTimeout(typing));
  async function look(q) {
    const mine = turn();
    try {
      const found = q ? await get("/api/persons", { q, limit: FOUND, sort: "last_name" }) : [];
      const shown = await pictured(found);
      if (!mine()) return;
      faces = shown;
      people.value = found;
      none.value = found.length ? "" : q;
      problem.value = null;
    } catch (error) { if (mine()) problem.value = error; }
  }
  const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false", maxlength: 200, ...more,
    oninput: e => { clearTimeout(typing); typing = setTimeout(look, TYPING_MS, e.target.value.trim()); } });
  const choice = (p, at) => h("label.choice", {}, h("input", { type: "radio", name: "person", value: p.id, required: true, checked: at === 0 }),
    avatar(nameOf(p), faces.has(p.id) && `/api/persons/${p.id}/thumbnail`), h("span", {}, bdi(nameOf(p)), h("span.small.muted", {}, " ", bdi([p.personnel_code, p.department].filter(Boolean).join(" · ")))));
  const el = h("div.stack", {}, field(t("people.search"), search),
    () => problem.value && note("bad", inWords(problem.value)),
    () => none.value && h("p.muted", { role: "status" }, t("people.none", { q: none.value })),
    () => people.value.length > 0 && h("fieldset.bare", {}, h("legend.vh", {}, t("people.name")), people.value.map(choice)));
  const person = () => people.peek().find(p => p.id === Number(el.querySelector("[name=person]:checked")?.value)) ?? null;
  return { el, people, person };
}

// The ids of those whose photo there is to see; namesakes are told apart by it.
async function pictured(people) {
  if (!people.length || !may("operator")) return new Set();
  const told = await get("/api/persons/overview", { ids: people.map(p => p.id).join(",") });
  return new Set(told.filter(one => one.photos).map(one => one.id));
}
