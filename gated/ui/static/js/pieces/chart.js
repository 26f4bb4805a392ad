// Bars, with the same numbers as a table behind a button.
import { h, signal } from "../core/dom.js";
import { number, t } from "../core/i18n.js";
import { button } from "./bits.js";

const WIDTH = 640, HEIGHT = 150, BELOW = 22;

// rows: [[label, number]]
export function bars(title, rows) {
  const most = Math.max(1, ...rows.map(([, n]) => n)), step = WIDTH / rows.length, asTable = signal(false);
  const drawn = h("svg.bars", { viewBox: `0 0 ${WIDTH} ${HEIGHT + BELOW}`, role: "img", "aria-label": `${title}: ${rows.filter(([, n]) => n).map(([label, n]) => `${label} ${number(n)}`).join(", ")}` },
    rows.map(([label, n], at) => {
      const height = n / most * (HEIGHT - 16);
      return h("g", {}, h("rect", { x: at * step + 2, y: HEIGHT - height, width: Math.max(step - 4, 2), height, rx: 2 }),
        n > 0 && h("text", { x: at * step + step / 2, y: HEIGHT - height - 4, "text-anchor": "middle" }, number(n)),
        h("text.axis", { x: at * step + step / 2, y: HEIGHT + 16, "text-anchor": "middle" }, label));
    }));
  const table = () => h("table.list", {}, h("caption.vh", {}, title), h("tbody", {}, rows.filter(([, n]) => n).map(([label, n]) => h("tr", {}, h("th", { scope: "row" }, label), h("td.num", {}, number(n))))));
  return h("div.pad", {}, () => (asTable.value ? table() : drawn), button(() => t(asTable.value ? "chart.bars" : "chart.table"), () => { asTable.value = !asTable.value; }, { kind: "small quiet" }));
}
