// Native dialogs: the focus stays inside, Escape closes, and goes back to where it was.
import { session } from "../core/api.js";
import { h, scoped, signal } from "../core/dom.js";
import { goBack, placeOf } from "../core/focus.js";
import { spoken, t } from "../core/i18n.js";
import { button, inWords, note } from "./bits.js";

let count = 0;

// build(close) gives what is inside; resolves with what close was given, when it is gone.
export function dialog(title, build, { wide = false, kind = "" } = {}) {
  return new Promise(resolve => {
    const id = `dialog-${++count}`;
    const el = h("dialog", { "aria-labelledby": id, class: [wide && "wide", kind].filter(Boolean).join(" ") });
    const from = document.activeElement, place = from && from !== document.body && placeOf(from);
    let answer;
    const close = given => { answer = given; el.close(); };
    const end = scoped(() => el.append(h("h2", { id }, title), ...[build(close)].flat()));
    el.addEventListener("close", () => { end(); el.remove(); if (place) goBack(place); resolve(answer); });
    document.body.append(el);
    el.showModal();
  });
}

// A form: fields is what is inside, act is given its values. What goes wrong is said in the form.
export function form(fields, { act, yes, kind = "", cancel, after }) {
  const problem = signal(null), busy = signal(false);
  const el = h("form", { novalidate: false, onsubmit: async event => {
    event.preventDefault();
    if (busy.peek()) return;
    problem.value = null;
    busy.value = true;
    try { const done = await act(values(el)); after?.(done); } catch (error) {
      problem.value = error;
      if (error.code === "confirmation_required") confirmAgain(el);
      mark(el, error);
      // of a long form the end is seen, where the button is
      requestAnimationFrame(() => el.querySelector(":scope > .note")?.scrollIntoView({ block: "nearest" }));
    } finally { busy.value = false; }
  } },
  () => problem.value && note("bad", inWords(problem.value, at => el.elements[at.split(".").at(-1)]?.labels?.[0]?.textContent ?? at)),
  ...fields,
  h("div.row.end", {}, cancel && button(t("app.cancel"), cancel),
    h("button.btn.main", { type: "submit", class: kind, disabled: () => busy.value }, yes)));
  return el;
}

// Asks for values, and closes when `act` has done with them; resolves with what it gave.
export const ask = (title, fields, { wide, ...more }) =>
  dialog(title, close => form(typeof fields === "function" ? fields(close) : fields, { ...more, cancel: () => close(), after: done => close(done ?? true) }), { wide });

// An act at the door or on somebody: the reason goes to the log.
export const reasoned = (title, { act, yes, kind, more = [], later = [], done }) => ask(title, [
  ...more,
  field(t("act.reason"), h("input", { name: "reason", required: true, minlength: 3, maxlength: 200, autofocus: true, autocomplete: "off" }), t("act.reason.hint")),
  ...later,
], { act, yes, kind, done });

// Password managers want to know whose password it is.
export const whose = name => h("input", { type: "text", autocomplete: "username", value: name, hidden: true, readonly: true });

// The API wants to know that it is still the same person.
function confirmAgain(el) {
  if (el.elements.password) return;
  const input = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  el.querySelector(".row.end").before(whose(session.peek()?.username ?? ""), field(t("act.password"), input));
  input.focus();
}

let fields = 0;
export function field(label, control, hint) {
  const id = control.id || `field-${++fields}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  if (control.type === "checkbox") return h("div.check", {}, control, h("label", { for: id }, label), hint && h("p.hint", { id: `${id}-hint` }, hint));
  const named = h("label", { for: id }, label), said = /^(date|month)/.test(control.type) && saying(control);
  return h("div.field", {}, said ? h("div.said", {}, named, said) : named, control, hint && h("p.hint", { id: `${id}-hint` }, hint));
}
// The date of a field in the words of the page, where the browser writes it otherwise.
function saying(control) {
  if (spoken(control.value) === null) return null;
  const value = signal(control.value);
  for (const kind of ["input", "change"]) control.addEventListener(kind, () => { value.value = control.value; });
  return h("span.small.muted", { role: "status" }, () => spoken(value.value));
}
export const input = (name, value, more = {}) => h("input", { name, value: value ?? "", autocomplete: "off", maxlength: 200, ...more });
export const checkbox = (name, checked, more = {}) => h("input", { type: "checkbox", name, checked: Boolean(checked), ...more });
export const select = (name, value, options, more = {}) =>
  h("select", { name, value: value ?? "", ...more }, options.map(([v, text]) => h("option", { value: v, selected: String(v) === String(value ?? "") }, text)));

// Text fields that are empty are null; boxes are true or false. A password is as it was typed: whoever types it elsewhere leaves out no space.
export function values(el) {
  const found = {};
  for (const control of el.elements) {
    if (!control.name || control.type === "file" || control.disabled) continue;
    if (control.type === "checkbox") found[control.name] = control.checked;
    else if (control.type === "radio") { if (control.checked) found[control.name] = control.value; } else if (control.type === "password") found[control.name] = control.value || null;
    else found[control.name] = control.value.trim() || null;
  }
  return found;
}

function mark(el, error) {
  for (const control of el.elements) control.removeAttribute?.("aria-invalid");
  for (const { at } of error.body?.errors ?? []) {
    const control = el.elements[at.split(".").at(-1)];
    control?.setAttribute?.("aria-invalid", "true");
  }
}
