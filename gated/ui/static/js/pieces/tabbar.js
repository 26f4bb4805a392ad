// The views of a screen. Which one is shown stands in the address, for going back and for links.
import { effect, h, signal } from "../core/dom.js";
import { remember } from "../core/router.js";

// A signal with the name of the view that the address asks for, else the first.
export const viewOf = (place, names) => signal(names.find(name => name === place.query.get("view")) ?? names[0]);

// views: [name, text]; view: the signal of the one that is shown.
export function tabbar(label, views, view) {
  const el = h("nav.tabbar", { "aria-label": label }, views.map(([name, text]) =>
    h("button", {
      type: "button", "aria-current": () => (view.value === name ? "page" : null),
      onclick: () => { remember({ view: name }); view.value = name; },
    }, text)));
  // on a phone it is one row that is moved sideways: the one that is shown is to be seen
  effect(() => { view.value; requestAnimationFrame(() => el.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" })); });
  return el;
}
