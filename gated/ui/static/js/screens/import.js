// Many at once: a file, its columns, a look at it, progress, and what has to be mended.
import { api, get } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { has, number, t } from "../core/i18n.js";
import { BASE, here, remember } from "../core/router.js";
import { button, chip, empty, head, inWords, note } from "../pieces/bits.js";
import { icon } from "../pieces/icon.js";
import { said } from "../pieces/said.js";

const FIELDS = ["personnel_code", "first_name", "last_name", "photo", "department", "position", "email", "phone"];
const SHOWN = 5;
const LOOK_MS = 700;

export default function bulk() {
  const chosen = signal(null), job = signal(null), problem = signal(null), busy = signal(false);
  const known = here.peek().query.get("job");
  let wanted = Number(known) || null, looking = false; // the job that is shown; one look at a time
  async function look() {
    if (looking || !wanted) return;
    looking = true;
    const id = wanted;
    try {
      const found = await get(`/api/jobs/${id}`);
      if (id === wanted) { job.value = found; problem.value = null; }
    } catch (error) {
      if (id === wanted) problem.value = error;
      if (error.status === 404) { wanted = null; remember({ job: null }); }
    } finally { looking = false; }
  }
  look();
  every(LOOK_MS, () => { if (!job.peek() || job.peek().state === "running") look(); });

  async function start(form) {
    problem.value = null;
    busy.value = true;
    try {
      job.value = await api("/api/enrollment/import", { method: "POST", form });
      wanted = job.peek().id;
      remember({ job: wanted });
    } catch (error) { problem.value = error; } finally { busy.value = false; }
  }
  return h("div", {},
    h("a.back", { href: `${BASE}people` }, icon("back", 16), t("app.people")), head(t("import.title")),
    () => problem.value && note("bad", inWords(problem.value)),
    () => (job.value ? running(job.value, start, () => { wanted = job.value = chosen.value = null; remember({ job: null }); }) : chosen.value ? columns(chosen.value, start, busy, () => { chosen.value = null; }) : choose(chosen, problem)));
}

function choose(chosen, problem) {
  const take = async files => {
    const list = [...files], table = list.find(f => /\.csv$/i.test(f.name)), zip = list.find(f => /\.zip$/i.test(f.name));
    problem.value = null;
    if (zip) chosen.value = { file: zip, photos: [], rows: null };
    else if (table) chosen.value = { file: table, photos: list.filter(f => f !== table), rows: parse(await table.text()) };
    else problem.value = new Error(t("import.wrong"));
  };
  const input = h("input.vh", { type: "file", id: "import-file", accept: ".csv,.zip,image/*", multiple: true, onchange: e => take(e.target.files).catch(error => { problem.value = error; }) });
  const zone = h("div.drop.tall", {
    ondragover: e => { e.preventDefault(); zone.classList.add("over"); }, ondragleave: () => zone.classList.remove("over"),
    ondrop: e => { e.preventDefault(); zone.classList.remove("over"); take(e.dataTransfer.files).catch(error => { problem.value = error; }); },
  }, icon("up", 40), h("p", {}, t("import.drop")), h("p.muted", {}, t("import.hint")), input, h("label.btn.main", { for: "import-file" }, t("import.choose")));
  return zone;
}

const guess = heading => {
  const plain = heading.toLowerCase().replace(/[^\p{L}]/gu, "");
  const alike = { personnelcode: "personnel_code", code: "personnel_code", id: "personnel_code", personalnummer: "personnel_code", firstname: "first_name", vorname: "first_name", lastname: "last_name", surname: "last_name", nachname: "last_name", photo: "photo", picture: "photo", foto: "photo", file: "photo", department: "department", abteilung: "department", position: "position", email: "email", mail: "email", phone: "phone", telefon: "phone" };
  return alike[plain] ?? "";
};

function columns({ file, photos, rows }, start, busy, back) {
  const titles = rows?.[0] ?? [], picked = titles.map(guess);
  const form = () => {
    const form = new FormData();
    form.append("file", file);
    for (const photo of photos) form.append("photos", photo);
    const said = picked.map((name, at) => name && `${name}=${titles[at]}`).filter(Boolean);
    if (said.length) form.append("columns", said.join(","));
    return form;
  };
  return h("div.stack", {},
    h("p", {}, t("import.chosen", { name: file.name, n: photos.length })),
    rows && h("section.card", { "aria-label": t("import.columns") }, h("header", {}, h("h2", {}, t("import.columns"))),
      h("div.scroll", { tabindex: 0, role: "group", "aria-label": t("import.columns") }, h("table.list.wide", {}, h("caption.vh", {}, t("import.columns")),
        h("thead", {}, h("tr", {}, titles.map((title, at) => h("th", { scope: "col" }, h("div", {}, title),
          h("select", { "aria-label": t("import.column", { name: title }), onchange: e => { picked[at] = e.target.value; } }, h("option", { value: "" }, t("import.ignore")), FIELDS.map(name => h("option", { value: name, selected: name === picked[at] }, t(`import.${name}`)))))))),
        h("tbody", {}, rows.slice(1, 1 + SHOWN).map(row => h("tr", {}, titles.map((_, at) => h("td", {}, row[at] ?? ""))))))),
      h("p.muted.pad", {}, t("import.rows", { n: rows.length - 1 }))),
    h("div.row", {}, button(t("app.back"), back), button(t("import.start"), () => start(form()), { kind: "main", disabled: () => busy.value })));
}

function running(job, start, anew) {
  const report = job.report ?? {}, refused = [...(report.refused ?? []), ...(report.differing ?? [])];
  const share = job.total ? job.done / job.total : 0;
  return h("div.stack", {},
    h("section.card.pad.stack", { "aria-label": t("import.progress"), role: "status" },
      h("div.row", {}, chip(job.state === "done" ? "ok" : job.state === "running" ? "" : "bad", null, t(`job.${job.state}`)), h("span.grow"), h("span.num", {}, `${number(job.done)} / ${number(job.total)}`)),
      h("progress", { max: 1, value: share, "aria-label": t("import.progress") }),
      job.detail && h("p.muted", {}, said(job)),
      h("div.row", {}, job.state === "running" && button(t("job.cancel"), () => api(`/api/jobs/${job.id}`, { method: "DELETE" })), job.state !== "running" && button(t("import.another"), anew))),
    job.state !== "running" && report.one_photo?.length > 0 && note("info", t("import.one_photo", { n: report.one_photo.length }), h("p", {}, h("a", { href: `${BASE}people?only=one_photo` }, t("import.one_photo.show")))),
    job.state !== "running" && (refused.length ? mend(job, refused, start) : empty("yes", t("import.all"))));
}

// Why a row was refused; fields of a person are called as the columns are.
const whyRefused = entry => said({ ...entry, limit: entry.limit?.split(", ").map(name => (has(`import.${name}`) ? t(`import.${name}`) : name)).join(", ") });

// What was refused, to be mended here: the table again, only with these rows, with their cells to change.
function mend(job, refused, start) {
  const entries = refused.flatMap(entry => (entry.rows?.length ? entry.rows : [{}]).map((cells, at) => ({ entry, cells: { ...cells }, line: entry.lines?.[at], file: null })));
  const keys = FIELDS.filter(key => key !== "photo");
  const row = one => h("tr", {},
    h("td", {}, h("strong", {}, one.entry.photo ?? ""), one.line && h("span.muted", {}, ` · ${t("import.line", { n: one.line })}`), h("div.small.bad-text", {}, whyRefused(one.entry))),
    keys.slice(0, 3).map(key => h("td", {}, h("input", { "aria-label": t(`import.${key}`), value: one.cells[key] ?? (key === "personnel_code" ? one.entry.personnel_code ?? "" : ""), oninput: e => { one.cells[key] = e.target.value; } }))),
    h("td", {}, h("input", { type: "file", accept: "image/*", "aria-label": t("import.photo"), onchange: e => { one.file = e.target.files[0]; } })));
  const again = () => {
    const form = new FormData(), ready = entries.filter(one => one.file);
    const quote = text => `"${String(text ?? "").replaceAll('"', '""')}"`;
    const lines = ready.map(one => [...keys.map(key => quote(one.cells[key] ?? (key === "personnel_code" ? one.entry.personnel_code : ""))), quote(one.file.name)].join(","));
    form.append("file", new File([[[...keys, "photo"].join(","), ...lines].join("\r\n")], "mended.csv", { type: "text/csv" }));
    for (const one of ready) form.append("photos", one.file);
    return ready.length ? start(form) : null;
  };
  return h("section.card", { "aria-label": t("import.mend") },
    h("header", {}, h("h2", {}, t("import.mend")), h("a.btn", { href: `/api/jobs/${job.id}/failures`, download: "failures.csv" }, icon("down"), t("import.failures"))),
    h("p.muted.pad", {}, t("import.mend.hint")),
    h("div.scroll", { tabindex: 0, role: "group", "aria-label": t("import.mend") }, h("table.list.wide", {}, h("caption.vh", {}, t("import.mend")),
      h("thead", {}, h("tr", {}, [t("import.problem"), ...keys.slice(0, 3).map(key => t(`import.${key}`)), t("import.photo")].map(name => h("th", { scope: "col" }, name)))), h("tbody", {}, entries.map(row)))),
    h("div.row.pad.end", {}, button(t("import.again"), again, { kind: "main" })));
}

// RFC 4180, with commas or semicolons, as far as a look at the first rows needs it.
function parse(text) {
  const mark = (text.split("\n", 1)[0].match(/;/g) ?? []).length > (text.split("\n", 1)[0].match(/,/g) ?? []).length ? ";" : ",";
  const rows = [[""]];
  let quoted = false;
  const chars = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n").replace(/\n+$/, "");
  for (let at = 0; at < chars.length; at++) {
    const c = chars[at], row = rows.at(-1);
    if (quoted) { if (c !== '"') row[row.length - 1] += c; else if (chars[at + 1] === '"') { row[row.length - 1] += c; at++; } else quoted = false; }
    else if (c === '"') quoted = true;
    else if (c === mark) row.push("");
    else if (c === "\n") rows.push([""]);
    else row[row.length - 1] += c;
  }
  return rows;
}
