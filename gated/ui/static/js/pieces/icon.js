// Signs of 24 by 24, drawn as strokes. They only repeat what a word beside them says.
import { h } from "../core/dom.js";

const PATHS = {
  now: "M3 12h4l3-8 4 16 3-8h4",
  people: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM2 21c0-4 3-7 7-7s7 3 7 7M17 4a4 4 0 0 1 0 7M19 15c2 1 3 3 3 6",
  person: "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4 21c0-4 3.500-7 8-7s8 3 8 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3 2",
  bell: "M6 9a6 6 0 0 1 12 0c0 6 2 7 2 7H4s2-1 2-7M10 20a2 2 0 0 0 4 0",
  door: "M6 21V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v17M3 21h18M14 12v.010",
  gear: "M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM12 2v3M12 19v3M4.900 4.900 7 7M17 17l2.100 2.100M2 12h3M19 12h3M4.900 19.100 7 17M17 7l2.100-2.100",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2 5 5",
  yes: "m5 12 5 5 9-10", no: "M6 6l12 12M18 6 6 18", plus: "M12 5v14M5 12h14",
  warn: "M12 3 2 20h20L12 3ZM12 10v4M12 17v.010", info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5M12 8v.010",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3", unlock: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 7.500-2",
  up: "M12 16V4M7 9l5-5 5 5M4 20h16", down: "M12 4v12M7 11l5 5 5-5M4 20h16",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  card: "M3 6h18v12H3zM3 10h18M7 15h4", face: "M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3M9 10v1M15 10v1M9 15c2 1.500 4 1.500 6 0",
  edit: "M4 20h4L19 9l-4-4L4 16v4Z", bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13", back: "M15 5l-7 7 7 7", next: "M9 5l7 7-7 7",
  moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10Z", globe: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  list: "M8 6h13M8 12h13M8 18h13M3 6v.010M3 12v.010M3 18v.010", out: "M10 4H5v16h5M15 8l4 4-4 4M9 12h10", question: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9.500 9a2.500 2.500 0 1 1 3.500 2.300c-1 .500-1 1-1 1.700M12 16.500v.010",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z", farther: "m6 12 6 6 6-6M6 5l6 6 6-6",
  nearer: "m6 12 6-6 6 6M6 19l6-6 6 6", above: "M12 20V5M6 11l6-6 6 6",
  left: "M20 12H5M11 6l-6 6 6 6", right: "M4 12h15M13 6l6 6-6 6", calendar: "M4 6h16v14H4zM4 10h16M8 3v5M16 3v5", more: "M5 12v.010M12 12v.010M19 12v.010",
};
const TURNED = new Set(["back", "next"]); // by the direction of writing
export const icon = (name, size = 20) =>
  h("svg", { viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", class: TURNED.has(name) ? "flip" : null },
    h("path", { d: PATHS[name] ?? PATHS.info }));
