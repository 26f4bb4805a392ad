// Keeps the focus where it was when what somebody stands on is shown anew.
const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]";
const ROWS = "li, tr";

let lost = null; // where the focus was when its control went, until it is found or moved
let finding = false;
for (const kind of ["focusin", "pointerdown"]) addEventListener(kind, () => { if (!finding) lost = null; }, true);

const within = (nodes, what) => nodes.flatMap(node => (node.querySelectorAll ? [...(node.matches(what) ? [node] : []), ...node.querySelectorAll(what)] : []));
const nameOf = el => `${el.tagName} ${el.getAttribute("aria-label") ?? el.labels?.[0]?.textContent ?? el.textContent}`;
const partOf = el => el.closest(`${ROWS}, section, dialog, main, nav`) ?? document.body;
const titleOf = part => (part.querySelector("strong, a, h1, h2") ?? part).textContent;
const besideOf = el => [...el.parentElement.children].filter(one => one.matches(CONTROLS));

// Which control it is: by its name and that of its part, and by where it stands among others.
export function placeOf(el, nodes = [document.body]) {
  const title = titleOf(partOf(el)), { parentElement: { className: group } } = el, beside = besideOf(el);
  const same = within(nodes, CONTROLS).filter(one => nameOf(one) === nameOf(el) && titleOf(partOf(one)) === title);
  return { name: nameOf(el), title, nth: same.indexOf(el), group, at: beside.indexOf(el), of: beside.length, row: within(nodes, ROWS).indexOf(el.closest(ROWS)) };
}

// The same control; where that has another name now, the one in its place; where its row is gone,
// the row that follows. Nothing that acts is put under the finger of somebody who did not choose it.
function find({ name, title, nth, group, at, of, row }, nodes, near) {
  const controls = within(nodes, CONTROLS), there = controls.filter(el => titleOf(partOf(el)) === title);
  const same = there.filter(el => nameOf(el) === name);
  if (same.length) return same[Math.max(0, Math.min(nth, same.length - 1))];
  if (!near) return null;
  const renamed = there.find(el => el.parentElement.className === group && besideOf(el).length === of && besideOf(el)[at] === el);
  if (renamed) return renamed;
  const rows = within(nodes, ROWS), next = row < 0 ? null : rows[Math.min(row, rows.length - 1)];
  if (next) next.tabIndex = -1;
  return next;
}

function restore(nodes, near) {
  const el = find(lost, nodes, near);
  if (!el) return;
  finding = true;
  el.focus({ preventScroll: true });
  finding = false;
  if (document.activeElement === el) lost = null;
}

const nowhere = () => !document.activeElement || document.activeElement === document.body;

// Lets `replace` put other nodes in the place of these; it gives the new ones.
export function keepPlace(nodes, replace) {
  const held = nowhere() || !nodes.length ? null : document.activeElement;
  const gone = held && nodes.some(node => node.contains(held));
  if (gone) lost = placeOf(held, nodes);
  const next = replace();
  if (lost && nowhere()) restore(next, gone);
}

// Goes back to a place, when what stood there was shown anew meanwhile.
export function goBack(place) {
  if (!nowhere()) return;
  lost = place;
  restore([document.body], true);
}
