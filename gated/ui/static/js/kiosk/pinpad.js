// Personnel code and PIN by touch; what the gate decides is shown on the screen behind it.
import { session } from "../core/api.js";
import { h, signal } from "../core/dom.js";
import { t } from "../core/i18n.js";

const LEFT_ALONE_MS = 20_000;

export function pinPad() {
  const said = signal("");
  let leave = 0, busy = false;
  const code = h("input", { id: "pin-code", name: "code", autocomplete: "off", maxlength: 64, required: true, autofocus: true });
  const pin = h("input", { id: "pin-pin", name: "pin", type: "password", inputmode: "numeric", autocomplete: "off", maxlength: 12, pattern: "[0-9]+", required: true, dir: "ltr" });
  let at = code;
  for (const field of [code, pin]) field.addEventListener("focus", () => { at = field; });
  const key = n => h("button", { type: "button", onclick: () => { at.value += n; stay(); } }, n);
  const el = h("dialog", { "aria-labelledby": "pin-title" }, h("h2", { id: "pin-title" }, t("kiosk.pin")),
    h("form", { onsubmit: async e => {
      e.preventDefault();
      if (busy) return; // each try counts
      busy = true;
      try {
        const answer = await fetch("/api/kiosk/pin", { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": session.peek().csrf_token }, body: JSON.stringify({ personnel_code: code.value.trim(), pin: pin.value }) });
        if (answer.ok) el.close();
        else said.value = t(answer.status === 429 ? "kiosk.slow" : "kiosk.again");
      } catch { said.value = t("kiosk.again"); }
      busy = false;
      pin.value = "";
    } },
    h("label", { for: "pin-code" }, t("person.code")), code, h("label", { for: "pin-pin" }, t("kiosk.pin.digits")), pin,
    h("div.pad", {}, ["1", "2", "3", "4", "5", "6", "7", "8", "9"].map(key), h("button", { type: "button", "aria-label": t("kiosk.delete"), onclick: () => { at.value = at.value.slice(0, -1); stay(); } }, "⌫"), key("0"), h("button.main", { type: "submit", "aria-label": t("kiosk.send") }, "✓")),
    h("p.said", { role: "alert" }, () => said.value),
    h("div.row", {}, h("button", { type: "button", onclick: () => el.close() }, t("app.cancel")))));
  const stay = () => { clearTimeout(leave); leave = setTimeout(() => el.close(), LEFT_ALONE_MS); };
  el.addEventListener("close", () => { clearTimeout(leave); el.remove(); });
  el.addEventListener("input", stay);
  document.body.append(el);
  el.showModal();
  stay();
}
