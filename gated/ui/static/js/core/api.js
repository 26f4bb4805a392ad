// The gate's API with this browser's session. The token is in a cookie that no script can read.
import { every, signal } from "./dom.js";
import { learn, t } from "./i18n.js";

export const session = signal(undefined); // undefined: not asked yet; null: signed out
const RANK = { self: 0, auditor: 0, viewer: 1, operator: 2, admin: 3 };
export const may = role =>
  role === "auditor" ? ["auditor", "admin"].includes(session.value?.role) : (RANK[session.value?.role] ?? -1) >= RANK[role];

export class ApiError extends Error {
  constructor(status, body, id) {
    super(body?.detail ?? `HTTP ${status}`);
    Object.assign(this, { status, code: body?.code ?? "error", body, id });
  }
}

const others = new BroadcastChannel("gated-session");
others.onmessage = ({ data }) => { if (data === "out") session.value = null; };

// What asks for the password over the screen; the page sets it. Resolves when signed in again.
let signInAgain = null;
export const askToSignIn = ask => { signInAgain = ask; };

async function send(path, { method, json, form, abort, match }) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = session.peek()?.csrf_token ?? "";
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (match) headers["If-Match"] = match; // refused when somebody else has changed it meanwhile
  return fetch(path, { method, headers, body: form ?? (json === undefined ? undefined : JSON.stringify(json)), signal: abort, credentials: "same-origin" });
}

// The answer's JSON (raw: the answer itself). Raises ApiError, or TypeError without a connection.
export async function api(path, { method = "GET", json, form, abort, match, raw = false, headless = false } = {}) {
  const given = { method, json, form, abort, match };
  let answer = await send(path, given);
  if (answer.status === 401 && !headless && session.peek() && signInAgain) {
    await signInAgain();
    answer = await send(path, given);
  }
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    if (body?.code === "csrf" && !headless) { // another tab has signed in anew
      await resume();
      return api(path, { ...given, raw, headless: true });
    }
    await learn("codes").catch(() => {}); // words of what seldom goes wrong; else the API's own are shown
    throw new ApiError(answer.status, body, answer.headers.get("X-Request-ID"));
  }
  if (raw) return answer;
  return answer.status === 204 || answer.headers.get("Content-Length") === "0" ? null : answer.json();
}

// Does what needs a sign-in of the last minutes, after another one where the last is too old.
export async function recently(act) {
  try { return await act(); } catch (error) {
    if (error.code !== "confirmation_required" || !signInAgain) throw error;
    if (!await signInAgain(true)) throw new Error(t("sign.sure"));
    return act();
  }
}

// Passkeys are bound to the name in the address bar.
export const atDomain = domain => Boolean(domain && window.PublicKeyCredential) && `.${location.hostname}`.endsWith(`.${domain}`);

export const get = (path, values, more) => api(values ? `${path}?${query(values)}` : path, more);
export const post = (path, json, more) => api(path, { method: "POST", json, ...more });
export const put = (path, json, more) => api(path, { method: "PUT", json, ...more });
export const patch = (path, json, more) => api(path, { method: "PATCH", json, ...more });
export const del = (path, more) => api(path, { method: "DELETE", ...more });

export const query = values => new URLSearchParams(
  Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== "")).toString();

// A page of a list: rows, how many there are in all (null: not said), and where the next page is.
export async function page(path, more) {
  const answer = await api(path, { ...more, raw: true });
  const total = answer.headers.get("X-Total-Count");
  const next = /<([^>]+)>; rel="next"/.exec(answer.headers.get("Link") ?? "")?.[1] ?? null;
  return { rows: await answer.json(), total: total === null ? null : Number(total), next };
}

export async function resume() {
  try { session.value = await api("/api/auth/session", { headless: true }); }
  catch (error) { if (error.status !== 401) throw error; session.value = null; }
}
export async function signIn(username, password) {
  session.value = await post("/api/auth/sign-in", { username, password }, { headless: true });
}
// A session that is used, or that watches the gate, goes on; what was left alone ends by itself.
const LOOK_MS = 60_000, USED_MS = 300_000;
let used = Date.now();
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { used = Date.now(); }, { passive: true, capture: true });
export function stayWhile(watching) {
  every(LOOK_MS, async () => {
    const left = Date.parse(session.peek()?.expires_at) - Date.now();
    if (!(left < 2 * USED_MS) || (Date.now() - used > USED_MS && !(watching() && !document.hidden))) return;
    try { session.value = await post("/api/auth/session", undefined, { headless: true }); } catch { /* asked for the password when it is over */ }
  });
}

export async function signOut() {
  await del("/api/auth/session", { headless: true }).catch(() => {});
  others.postMessage("out");
  session.value = null;
}
