// What the screen shows, as a function of what it showed, what happens, and when. No clock, no page.
export const WELCOME_MS = 4000, REFUSAL_MS = 5000, HINT_MS = 4000, AWAY_MS = 3000;

export const BEGIN = { show: "wait", until: 0, gate: null, code: "", name: null, done: 0, steps: 0 };

const idle = state => {
  if (!state.gate) return { ...state, show: "wait", until: 0 };
  if (fire(state.gate)) return { ...state, show: "fire", until: 0 };
  if (state.gate.fault) return { ...state, show: "fault", until: 0 };
  if (["lockdown", "out_of_service"].includes(state.gate.mode)) return { ...state, show: "closed", code: state.gate.mode, until: 0 };
  if (state.gate.mode === "free_access") return { ...state, show: "free", until: 0 };
  return { ...state, show: "idle", code: "", name: null, until: 0 };
};
const fire = gate => gate?.door === "fire";
const urgent = gate => Boolean(gate?.fault) || fire(gate);
const special = gate => Boolean(gate?.mode) && gate.mode !== "normal"; // the door is open, or shut, for all alike

// event: {kind: state|notice|decision|open|lost|tick, data}; now: milliseconds
export function next(state, { kind, data }, now) {
  const quiet = state.show !== "granted" && state.show !== "denied";
  switch (kind) {
    case "state": {
      const told = { ...state, gate: data, lostAt: null };
      return quiet || urgent(data) ? (state.show === "hint" && !urgent(data) ? told : idle(told)) : told;
    }
    case "open": return { ...state, lostAt: null };
    case "lost": return { ...state, lostAt: state.lostAt ?? now };
    case "decision":
      if (fire(state.gate)) return state;
      if (data.outcome === "granted" && !data.released) return { ...state, show: "fault", until: now + REFUSAL_MS };
      if (data.outcome === "granted") return { ...state, show: "granted", name: data.name, code: data.direction, until: now + WELCOME_MS };
      if (special(state.gate)) return idle(state);
      return { ...state, show: "denied", name: null, until: now + REFUSAL_MS };
    case "notice":
      if (state.show === "granted" || urgent(state.gate) || special(state.gate)) return state;
      // whoever was refused may try again: the refusal is read for a while, then hints help
      if (state.show === "denied" && state.until - now > REFUSAL_MS - 2000) return state;
      return { ...state, show: "hint", code: data.code, done: data.done, steps: data.steps, until: now + (data.seconds_left ? data.seconds_left * 1000 : HINT_MS) };
    case "tick":
      if (state.lostAt != null && now - state.lostAt >= AWAY_MS) return { ...state, show: "wait", gate: null, until: 0 };
      return state.until && now >= state.until ? idle(state) : state;
  }
  return state;
}
