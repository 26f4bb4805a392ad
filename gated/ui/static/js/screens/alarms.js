// Warnings and alarms: those that nobody has seen to, or all.
import { get, may } from "../core/api.js";
import { effect, h, signal } from "../core/dom.js";
import { alarms } from "../core/gate.js";
import { moment, t, word } from "../core/i18n.js";
import { button, chip, empty, head, loaded } from "../pieces/bits.js";
import { icon } from "../pieces/icon.js";
import { detailOf } from "../pieces/said.js";
import { acknowledge } from "./now.js";

const about = alarm => { const text = detailOf(alarm); return text && [" · ", text]; };

// Read anew when an alarm comes or somebody has seen to one, here or elsewhere.
function following(list) {
  let first = true;
  effect(() => { alarms.value; if (first) first = false; else list.again(); });
  return list;
}

export default function screen() {
  const all = signal(false);
  return h("div", {}, head(t("app.alarms"), h("span.grow"), button(() => t(all.value ? "alarm.standing" : "alarm.all"), () => { all.value = !all.value; })),
    () => { const only = all.value ? null : true; return h("div", {}, following(loaded(() => get("/api/alarms", { standing: only, limit: 500 }), (found, again) => (found.length
      ? h("section.card", { "aria-label": t("app.alarms") }, h("ul.rows", {}, found.map(a => h("li", {},
        h("span.mark", { class: a.severity === "alarm" ? "bad" : "warn" }, icon("bell", 18)),
        h("div.grow", {}, h("strong", {}, word("event", a.kind)), " ", chip(a.severity === "alarm" ? "bad" : "warn", null, t(`severity.${a.severity}`)), a.count > 1 && h("span.muted", {}, ` · ${t("alarm.times", { n: a.count })}`),
          h("div.small.muted", {}, `${moment(a.raised_at)}${a.count > 1 ? ` – ${moment(a.last_at)}` : ""}`, about(a)),
          a.acknowledged_at && h("div.small.muted", {}, t("alarm.by", { who: a.acknowledged_by, at: moment(a.acknowledged_at) }))),
        !a.acknowledged_at && may("operator") && button(t("alarm.seen"), () => acknowledge(a).then(done => done && again()), { kind: "small" })))))
      : empty("bell", t("alarm.none")))))); });
}
