// Use a generated client against a gate: node walk.js ADDRESS PASSWORD
import createClient from "openapi-fetch";
import type { components, paths } from "./gated.js";

const [address, password] = process.argv.slice(2) as [string, string];
const check = (right: unknown, what: string): void => { if (!right) throw new Error(what); };

const stranger = createClient<paths>({ baseUrl: address });
const signed = await stranger.POST("/api/auth/login", {
  body: { username: "the-admin", password },
  bodySerializer: body => new URLSearchParams(body as Record<string, string>),
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
});
if (!signed.data) throw new Error(signed.error.detail);

const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${signed.data.access_token}` } });
const grace: components["schemas"]["PersonIn"] = { first_name: "Grace", last_name: "Hopper", personnel_code: "TS1", extended_unlock: false, groups: [] };
const made = await client.POST("/api/persons", { body: grace });
check(made.data?.personnel_code === "TS1", "made");
const again = await client.POST("/api/persons", { body: grace });
check(again.error?.code === "personnel_code_taken", "taken");
const listed = await client.GET("/api/persons", { params: { query: { q: "TS1", limit: 10 } } });
check(listed.data?.length === 1 && listed.response.headers.get("X-Total-Count") === "1", "listed");
// @ts-expect-error a parameter that is not there does not compile, and is refused
const wrong = await client.GET("/api/persons", { params: { query: { limt: 10 } } });
check(wrong.error?.code === "unknown_parameter", "unknown");
console.log("went well");
