// Sealed copies of everything: made as a job, kept on the gate, downloaded; put back by a command.
import { del, get, post, session } from "../core/api.js";
import { every, h, signal } from "../core/dom.js";
import { moment, number, t } from "../core/i18n.js";
import { bdi, button, empty, inWords, loaded, note, toast } from "../pieces/bits.js";
import { ask, field, form, input, whose } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";
import { said } from "../pieces/said.js";

const PROGRESS_MS = 700, SHORTEST = 12;
const megabytes = bytes => t("backup.size", { mb: number(bytes / 2 ** 20, { maximumFractionDigits: 1 }) });
const commands = (...lines) => h("pre.commands", { dir: "ltr", lang: "en", tabindex: 0 }, lines.join("\n"));

export function backup() {
  const job = signal(null), running = () => job.value?.state === "running";
  const list = loaded(() => get("/api/backups"), found => (found.length
    ? h("div.stack", {}, h("section.card", { "aria-label": t("backup.kept") }, h("ul.rows", {}, found.map(line))), putBack(found[0]))
    : empty("down", t("backup.none"))));
  const line = one => h("li.wraps", {}, h("div.grow", {}, h("strong.break", { dir: "ltr" }, one.name), h("div.small.muted", {}, `${moment(one.created_at)} · ${megabytes(one.bytes)}`)),
    h("a.btn.small", { href: `/api/backups/${one.name}`, download: one.name, "aria-label": `${t("app.download")}: ${one.name}` }, icon("down"), t("app.download")),
    button(t("app.remove"), () => remove(one), { kind: "small", "aria-label": `${t("app.remove")}: ${one.name}` }));
  const remove = async one => { if (await ask(t("backup.remove"), [h("p", {}, bdi(one.name))], { yes: t("app.remove"), kind: "bad", act: () => del(`/api/backups/${one.name}`) })) list.again(); };
  get("/api/jobs").then(all => { job.value ??= all.find(one => one.kind === "backup" && one.state === "running") ?? null; }).catch(() => {});
  every(PROGRESS_MS, async () => {
    if (!running()) return;
    // a look that fails is made again: the job goes on without it
    job.value = await get(`/api/jobs/${job.peek().id}`).catch(() => job.peek());
    if (!running()) list.again();
  });
  const secret = name => input(name, "", { type: "password", autocomplete: "new-password", required: true, minlength: SHORTEST, maxlength: 1024 });
  const making = () => {
    const passphrase = secret("passphrase"), again = secret("again"), password = given => (given.password ? { password: given.password } : {});
    const el = form([whose(session.peek()?.username ?? ""), h("div.pair", {}, field(t("backup.passphrase"), passphrase, t("backup.keys")), field(t("backup.again"), again))], { yes: t("backup.make"), act: async given => {
      if (passphrase.value !== again.value) throw new Error(t("backup.differs"));
      // as it was typed: the command that puts it back does not leave out a space
      job.value = await post("/api/backups", { passphrase: passphrase.value, ...password(given) });
    } });
    el.classList.add("stack");
    return el;
  };
  return h("div.stack", {}, h("section.card.pad.stack", { "aria-label": t("backup.make") }, h("p", {}, t("backup.what")),
    () => (running() ? null : making()),
    h("div", { role: "status" }, () => job.value && state(job.value))), list);
}

function state(job) {
  if (job.state === "running") return h("div.row", {}, h("progress.grow", { max: job.total || 1, value: job.done, "aria-label": t("backup.make") }), button(t("job.cancel"), () => del(`/api/jobs/${job.id}`).catch(error => toast(inWords(error))), { kind: "small" }));
  return job.state === "done" ? note("ok", t("backup.made", { name: job.report.file })) : note("bad", said(job) ?? t(`job.${job.state}`));
}

const putBack = newest => h("section.card.pad.stack", { "aria-label": t("backup.back") }, h("p", {}, t("backup.back")),
  commands("sudo systemctl stop gated gated-service", `sudo gated restore ${newest.path} --replace`, "sudo systemctl start gated"),
  h("p", {}, t("backup.elsewhere")), commands(`sudo gated restore ${newest.name}`), h("p.small.muted", {}, t("backup.disk")));
