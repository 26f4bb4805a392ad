// Passkeys: what the API says and wants in text, browsers take and give in bytes.
import { post, session } from "../core/api.js";
import { t } from "../core/i18n.js";

const bytes = text => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0));
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const known = list => list.map(one => ({ ...one, id: bytes(one.id) }));

// What the browser says of itself is no text for people. It never tells more: others could listen.
async function asked(kind, publicKey) {
  try { return await navigator.credentials[kind]({ publicKey }); } catch (error) {
    throw new Error(t(error.name === "InvalidStateError" ? "passkey.there" : "passkey.failed"));
  }
}

const given = (made, response) => ({ id: made.id, rawId: text(made.rawId), type: made.type, response });

// Makes a passkey for who is signed in; resolves with what the API takes as `credential`.
export async function create(options) {
  const made = await asked("create", { ...options, challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: known(options.excludeCredentials) });
  return given(made, { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) });
}

// Signs in with whatever passkey somebody chooses.
export async function signInByPasskey() {
  const options = await post("/api/auth/passkeys/challenge", undefined, { headless: true });
  const found = await asked("get", { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) });
  const { clientDataJSON, authenticatorData, signature, userHandle } = found.response;
  session.value = await post("/api/auth/passkeys/sign-in", given(found, { clientDataJSON: text(clientDataJSON),
    authenticatorData: text(authenticatorData), signature: text(signature), userHandle: userHandle && text(userHandle) }), { headless: true });
}
