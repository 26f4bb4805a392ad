// Long work in the background, and the check of the log, which is such work.
import { del, get, may, post } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { moment, number, t, word } from "../core/i18n.js";
import { BASE } from "../core/router.js";
import { bdi, button, chip, empty, inWords, loaded, note, toast } from "../pieces/bits.js";
import { ask, field, input } from "../pieces/dialog.js";
import { said } from "../pieces/said.js";

const LIST_MS = 3000, PROGRESS_MS = 700;
const KINDS = { done: "ok", running: "" };

export const stateOf = job => chip(KINDS[job.state] ?? "bad", null, t(`job.${job.state}`));

export function jobs() {
  const cancel = async job => { await del(`/api/jobs/${job.id}`); list.again(); };
  const line = job => h("li", {},
    h("div.grow", {}, h("strong", {}, word("work", job.kind.replaceAll(" ", "_"))),
      h("div.small.muted", {}, bdi(job.actor), ` · ${moment(job.started_at)}`), job.detail && h("p.small", {}, said(job))),
    stateOf(job), h("span.num", {}, `${number(job.done)} / ${number(job.total)}`),
    job.state === "running" && may(job.role) && button(t("job.cancel"), () => cancel(job), { kind: "small" }),
    job.kind === "import" && h("a.btn.small", { href: `${BASE}people/import?job=${job.id}` }, t("jobs.look")));
  const list = loaded(() => get("/api/jobs"), found => (found.length
    ? h("section.card", { "aria-label": t("settings.jobs") }, h("ul.rows", {}, found.map(line)))
    : empty("list", t("jobs.none"))));
  every(LIST_MS, () => list.again());
  return h("div", {}, list);
}

// --- the check of the log --------------------------------------------------------------------

export function log() {
  const job = signal(null), problem = signal(null);
  const running = () => job.value?.state === "running";
  const begin = async () => {
    problem.value = null;
    try { job.value = await post("/api/journal/verify"); } catch (error) { problem.value = error; }
  };
  every(PROGRESS_MS, async () => {
    // a look that fails is made again: the check goes on without it
    if (running()) job.value = await get(`/api/jobs/${job.peek().id}`).catch(() => job.peek());
  });
  return h("div.stack", {}, h("p", {}, t("log.hint")),
    h("div.row", {}, button(t("log.check"), begin, { kind: "main", sign: "list", disabled: running })),
    () => problem.value && note("bad", inWords(problem.value)),
    h("div", { role: "status" }, () => job.value && verdict(job.value)));
}

function verdict(job) {
  const { ok, rows, problems = [], notes = [] } = job.report;
  if (job.state === "running") return h("progress", { max: job.total || 1, value: job.done, "aria-label": t("log.check") });
  if (job.state !== "done") return note("bad", said(job) ?? t(`job.${job.state}`));
  const line = p => h("li", {}, h("div.grow", { lang: "en", dir: "ltr" }, h("strong", {}, p.what), h("p.small.muted.break", {}, `${p.chain} · ${p.seq}–${p.last}`)));
  return h("div.stack", {},
    ok ? note("ok", t("log.whole", { n: rows })) : note("bad", t("log.broken", { n: problems.length }), h("p", {}, t("log.todo"))),
    problems.length > 0 && h("section.card", { "aria-label": t("log.problems") }, h("ul.rows", {}, problems.map(line))),
    notes.map(text => h("p.small.muted", { lang: "en", dir: "ltr" }, text)),
    !ok && h("div.row", {}, button(t("log.acknowledge"), acknowledge, { kind: "bad" })));
}

async function acknowledge() {
  const done = await ask(t("log.acknowledge"), [
    h("p", {}, t("log.acknowledge.hint")),
    field(t("act.reason"), input("reason", "", { required: true, autofocus: true })),
  ], { yes: t("log.acknowledge"), kind: "bad", act: given => post("/api/journal/acknowledge", given) });
  if (done) toast(t("app.saved"));
}
