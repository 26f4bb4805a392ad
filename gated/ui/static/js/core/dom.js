// Elements, and values that keep them up to date. Text only: nothing here parses HTML, and the
// policy of the pages (Trusted Types) would not let it.
import { keepPlace } from "./focus.js";

let reader = null; // the effect that runs at this moment
let owner = null; // collects what ends together with that

export function signal(value) {
  const readers = new Set();
  return {
    get value() {
      if (reader) { readers.add(reader); reader.sources.add(readers); }
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const one of [...readers]) one.run();
    },
    peek: () => value,
  };
}

function clear(one) {
  for (const readers of one.sources) readers.delete(one);
  one.sources.clear();
  one.inner.splice(0).forEach(end => end());
}

// Runs `action` now and whenever a signal that it has read changes; returns what ends that.
export function effect(action) {
  const self = {
    sources: new Set(), inner: [],
    run() {
      clear(self);
      const before = [reader, owner];
      [reader, owner] = [self, self.inner];
      try { action(); } finally { [reader, owner] = before; }
    },
  };
  const end = () => clear(self);
  owner?.push(end);
  self.run();
  return end;
}

// Builds something that ends (effects, streams, timers) when the returned function is called.
export function scoped(build) {
  const before = [reader, owner], mine = [];
  [reader, owner] = [null, mine];
  try { build(); } finally { [reader, owner] = before; }
  return () => mine.splice(0).forEach(end => end());
}
export const onEnd = end => owner?.push(end);

// Of several answers to one question that of the latest stays, in whatever order they come: gives,
// for each time that it is asked, what tells whether its answer still counts.
export function inOrder() {
  let asked = 0, told = 0;
  return () => { const mine = ++asked; return () => mine >= told && Boolean(told = mine); };
}

export function every(ms, action) {
  const timer = setInterval(action, ms);
  onEnd(() => clearInterval(timer));
}
export function listen(target, kind, action, options) {
  target.addEventListener(kind, action, options);
  onEnd(() => target.removeEventListener(kind, action, options));
}

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "path", "g", "rect", "line", "text", "title", "polyline", "circle"]);
const AS_PROPERTY = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "indeterminate"]);

// h("button.main", {onclick, disabled: () => busy.value}, "text", node, () => reactive)
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const el = DRAWN.has(name) && name !== "title" ? document.createElementNS(SVG, name) : document.createElement(name);
  if (classes.length) el.classList.add(...classes);
  const later = [];
  for (const [key, value] of Object.entries(props ?? {})) {
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (typeof value === "function") effect(() => put(el, key, value(), classes));
    else if (key === "value") later.push([key, value]); // a select has its options first
    else put(el, key, value, classes);
  }
  add(el, children);
  for (const [key, value] of later) put(el, key, value, classes);
  return el;
}

function put(el, key, value, classes) {
  if (AS_PROPERTY.has(key)) el[key] = value ?? "";
  else if (key === "class") el.setAttribute("class", [...classes, value].filter(Boolean).join(" "));
  else if (value === null || value === undefined || value === false) el.removeAttribute(key);
  else el.setAttribute(key, value === true ? "" : value);
}

const shown = parts => parts.flat(Infinity).filter(p => p !== null && p !== undefined && p !== false && p !== "");

export function add(el, children) {
  for (const child of shown(children)) {
    if (typeof child !== "function") { el.append(child instanceof Node ? child : String(child)); continue; }
    const spot = document.createComment(""), here = [];
    el.append(spot);
    effect(() => {
      const next = shown([child()]).map(p => (p instanceof Node ? p : document.createTextNode(String(p))));
      keepPlace([...here], () => {
        for (const node of here.splice(0)) if (!next.includes(node)) node.remove();
        here.push(...next);
        // what is there already is not touched: a click may have begun on it
        next.reduceRight((after, node) => { if (node.nextSibling !== after) after.before(node); return node; }, spot);
        return next;
      });
    });
  }
}
