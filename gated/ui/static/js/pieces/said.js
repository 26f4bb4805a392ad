// Words for what has a code or a rule beside the English of the program: jobs, rows of an import, settings taken back.
import { has, learn, placesIn, t } from "../core/i18n.js";
import { english, inRule } from "./bits.js";

await learn("codes").catch(() => {}); // without them the program's own are shown

// one: {code, rule, limit, detail} of a job or of a row, as errors of the API have them. Null where nothing is said.
export function said(one) {
  const { code, rule, detail } = one, ruled = has(`unfit.${rule}`), why = ruled ? inRule(one) : detail;
  if (has(`refusal.${code}`)) return t(`refusal.${code}`);
  const whole = has(`error.${code}`) && t(`error.${code}`, { detail: why });
  if (ruled) return whole && whole.includes(why) ? whole : why;
  return whole || (detail ? english(detail) : null);
}

// What an alarm is about. Its values have words; what a device says by itself is the program's.
export function detailOf({ kind, detail: found }) {
  const key = `detail.${found?.why ?? kind}`;
  if (has(key) && placesIn(key).every(name => name in found)) return t(key, found);
  return found?.detail ? english(found.detail) : null;
}
