// Who signs in: accounts, programs with a token, one's own password and passkeys.
import { atDomain, del, get, patch, post, put, recently, session } from "../core/api.js";
import { h } from "../core/dom.js";
import { moment, t, word } from "../core/i18n.js";
import { bdi, button, chip, empty, loaded, note, toast } from "../pieces/bits.js";
import { ask, dialog, field, input, select, whose } from "../pieces/dialog.js";
import { icon } from "../pieces/icon.js";

const ROLES = ["self", "viewer", "operator", "admin", "auditor"];

const roleField = role => field(t("account.role"), select("role", role, ROLES.map(one => [one, word("role", one)])), t("account.role.hint"));
const secretField = (name, label, hint, more = { required: true }) =>
  field(label, input(name, "", { type: "password", autocomplete: "new-password", maxlength: 1024, ...more }), hint);

// --- accounts --------------------------------------------------------------------------------

export function accounts() {
  const line = (a, again) => h("li", {}, h("span.mark", {}, icon("person", 18)),
    h("div.grow", {}, h("strong", {}, bdi(a.username)), " ", chip("", null, word("role", a.role)),
      !a.is_active && chip("bad", "no", t("people.inactive")), h("div.small.muted", {}, moment(a.created_at))),
    button(t("app.change"), () => changeAccount(a, again), { kind: "small", "aria-label": `${t("app.change")}: ${a.username}` }));
  return h("div", {}, loaded(() => get("/api/accounts"), (found, again) => h("div.stack", {},
    h("div.row", {}, button(t("account.add"), () => addAccount(again), { kind: "main", sign: "plus" })),
    h("section.card", { "aria-label": t("settings.accounts") }, h("ul.rows", {}, found.map(a => line(a, again)))))));
}

async function addAccount(again) {
  const done = await ask(t("account.add"), [
    field(t("sign.name"), input("username", "", { required: true, autofocus: true, pattern: "[A-Za-z0-9_.@+\\-]+", autocapitalize: "none" })),
    roleField("viewer"),
    secretField("password", t("sign.password"), t("account.password.hint")),
  ], { yes: t("person.create"), act: given => post("/api/accounts", given) });
  if (done) again();
}

async function changeAccount(a, again) {
  const save = async given => {
    const active = given.is_active === "true";
    if (given.role !== a.role || active !== a.is_active) await patch(`/api/accounts/${a.id}`, { role: given.role, is_active: active });
    if (given.password) await put(`/api/accounts/${a.id}/password`, { password: given.password });
    return true;
  };
  const sure = (what, run, close) => ask(t(what), [h("p", {}, bdi(a.username))], { yes: t(what), kind: "bad", act: async () => (await run()) ?? true })
    .then(gone => { if (gone) close(true); });
  const done = await ask(a.username, close => [
    whose(a.username),
    roleField(a.role),
    field(t("people.status"), select("is_active", String(a.is_active), [["true", t("people.active")], ["false", t("people.inactive")]])),
    secretField("password", t("account.new_password"), t("account.leave_empty"), {}),
    h("div.row", {}, button(t("account.passkeys"), () => sure("account.passkeys", () => del(`/api/accounts/${a.id}/passkeys`), close), { kind: "small bad" }),
      button(t("account.remove"), () => sure("account.remove", () => del(`/api/accounts/${a.id}`), close), { kind: "small bad", sign: "bin" })),
  ], { yes: t("app.save"), act: save });
  if (done) again();
}

// --- programs that hold a token --------------------------------------------------------------

export const devices = () => tokens({
  role: "device", label: t("settings.devices"), adding: t("device.add"), name: "kiosk", sign: "card", none: t("device.none"),
  use: () => h("p.muted", {}, t("device.kiosk")),
});

const SCREEN = "/ui/display#";

// Screens elsewhere that show Now.
export const displays = () => h("div.stack", {}, h("p.muted", {}, t("display.what")), tokens({
  role: "display", label: t("settings.displays"), adding: t("display.add"), name: "display", sign: "now", none: t("display.none"), gone: t("display.gone"),
  use: made => field(t("display.link"), input("link", `${location.origin}${SCREEN}${made.token}`, { readonly: true, dir: "ltr", onfocus: e => e.target.select() }), t("display.link.hint")),
}));
const seen = d => (d.watching ? t("display.watching") : d.last_seen_at ? t("display.seen", { when: moment(d.last_seen_at) }) : d.role === "display" && t("display.never"));

// Those of a role: made, given another token, shut out. use: says, beside a new token, where it belongs.
export function tokens({ role, label, adding, name, sign, none, use, gone = "" }) {
  const show = made => dialog(made.username, close => [
    note("warn", t("device.once")),
    field(t("kiosk.token"), input("token", made.token, { readonly: true, dir: "ltr", onfocus: e => e.target.select() })),
    use(made),
    h("div.row.end", {}, button(t("app.close"), () => close(), { kind: "main" })),
  ], { wide: true });
  const add = async again => {
    const fields = [field(t("sign.name"), input("name", name, { required: true, autofocus: true }))];
    const made = await ask(adding, fields, { yes: t("person.create"), act: given => post("/api/devices", { ...given, role }) });
    if (made) { await show(made); again(); }
  };
  const renew = async (d, again) => {
    const made = await ask(t("device.renew"), [h("p", {}, bdi(d.username)), h("p.muted", {}, t("device.renew.hint"))],
      { yes: t("device.renew"), act: () => post(`/api/devices/${d.id}/token`) });
    if (made) { await show(made); again(); }
  };
  const remove = async (d, again) => {
    const done = await ask(t("app.remove"), [h("p", {}, bdi(d.username)), gone && h("p.muted", {}, gone)],
      { yes: t("app.remove"), kind: "bad", act: () => del(`/api/devices/${d.id}`) });
    if (done) again();
  };
  const line = (d, again) => h("li", {}, h("span.mark", {}, icon(sign, 18)),
    h("div.grow", {}, h("strong", {}, bdi(d.username)), h("div.small.muted", {}, [moment(d.created_at), seen(d)].filter(Boolean).join(" · "))),
    button(t("device.renew"), () => renew(d, again), { kind: "small", "aria-label": `${t("device.renew")}: ${d.username}` }),
    button(t("app.remove"), () => remove(d, again), { kind: "small bad", "aria-label": `${t("app.remove")}: ${d.username}` }));
  const mine = async () => (await get("/api/devices")).filter(d => d.role === role);
  return h("div", {}, loaded(mine, (found, again) => h("div.stack", {},
    h("div.row", {}, button(adding, () => add(again), { kind: "main", sign: "plus" })),
    found.length ? h("section.card", { "aria-label": label }, h("ul.rows", {}, found.map(d => line(d, again)))) : empty(sign, none))));
}

// --- one's own -------------------------------------------------------------------------------

export function password() {
  const open = async () => {
    const done = await ask(t("settings.password"), [
      whose(session.peek().username),
      field(t("account.current"), input("current_password", "", { type: "password", autocomplete: "current-password", required: true, autofocus: true })),
      secretField("new_password", t("account.new_password"), t("account.password.hint")),
    ], { yes: t("app.save"), act: given => post("/api/auth/password", given) });
    if (done) { toast(t("app.saved")); location.reload(); }
  };
  return h("section.card.pad.stack", { "aria-label": t("settings.password") },
    h("p", {}, t("account.ends")), h("div.row", {}, button(t("account.new_password"), open, { kind: "main" })));
}

const PASSKEYS = "/api/auth/passkeys";
const nameField = name => field(t("passkey.name"), input("name", name, { required: true, autofocus: true, maxlength: 100 }), t("passkey.name.hint"));

export function passkeys(domain) {
  const line = (one, again) => h("li", {}, h("span.mark", {}, icon("lock", 18)),
    h("div.grow", {}, h("strong", {}, bdi(one.name)), h("div.small.muted", {}, t("passkey.added", { when: moment(one.created_at) }), " · ",
      one.last_used_at ? t("passkey.used", { when: moment(one.last_used_at) }) : t("passkey.never"))),
    button(t("passkey.rename"), () => renamePasskey(one, again), { kind: "small", "aria-label": `${t("passkey.rename")}: ${one.name}` }),
    button(t("app.remove"), () => removePasskey(one), { kind: "small bad", "aria-label": `${t("app.remove")}: ${one.name}` }));
  return h("div", {}, loaded(() => get(PASSKEYS), (found, again) => h("section.card.pad.stack", { "aria-label": t("settings.passkeys") },
    h("p", {}, t("passkey.what")),
    atDomain(domain) ? h("div.row", {}, button(t("passkey.add"), () => addPasskey(again), { kind: "main", sign: "plus" })) : note("info", t("passkey.elsewhere", { domain })),
    found.length ? h("ul.rows", {}, found.map(one => line(one, again))) : h("p.muted", {}, t("passkey.none")))));
}

async function addPasskey(again) {
  const made = await ask(t("passkey.add"), [nameField("")], { yes: t("passkey.add"), act: async ({ name }) => {
    const [options, { create }] = await Promise.all([recently(() => post(`${PASSKEYS}/registration`)), import("../pieces/passkey.js")]);
    return post(PASSKEYS, { name, credential: await create(options) });
  } });
  if (made) { toast(t("app.saved")); again(); }
}

async function renamePasskey(one, again) {
  const done = await ask(t("passkey.rename"), [nameField(one.name)], { yes: t("app.save"), act: given => patch(`${PASSKEYS}/${one.id}`, given) });
  if (done) again();
}

async function removePasskey(one) {
  const done = await ask(t("app.remove"), [h("p", {}, bdi(one.name)), h("p", {}, t("passkey.remove.hint"))],
    { yes: t("app.remove"), kind: "bad", act: async () => (await recently(() => del(`${PASSKEYS}/${one.id}`))) ?? true });
  if (done) location.reload(); // all sessions of the account are over, also this one
}
