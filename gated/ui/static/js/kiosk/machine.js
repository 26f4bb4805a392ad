// What the screen shows, as a function of what it showed, what happens, and when. No clock, no page.
export const WELCOME_MS = 4000, REFUSAL_MS = 5000, HINT_MS = 4000, AWAY_MS = 3000;

export const BEGIN = { show: "wait", until: 0, heardAt: 0, gate: null, code: "", name: null, done: 0, steps: 0 };

const idle = state => {
  if (!state.gate) return { ...state, show: "wait", until: 0 };
  if (state.gate.fault) return { ...state, show: "fault", until: 0 };
  if (["lockdown", "out_of_service"].includes(state.gate.mode)) return { ...state, show: "closed", code: state.gate.mode, until: 0 };
  return { ...state, show: "idle", code: "", name: null, until: 0 };
};

// event: {kind: state|notice|decision|open|lost|tick, data}; now: milliseconds
export function next(state, { kind, data }, now) {
  const quiet = state.show !== "granted" && state.show !== "denied";
  switch (kind) {
    case "state": {
      const told = { ...state, gate: data, lostAt: null };
      return quiet || data.fault ? (state.show === "hint" && !data.fault ? told : idle(told)) : told;
    }
    case "open": return { ...state, lostAt: null };
    case "lost": return { ...state, lostAt: state.lostAt ?? now };
    case "decision":
      if (data.outcome === "granted") return { ...state, show: "granted", name: data.name, code: data.direction, until: now + WELCOME_MS };
      return { ...state, show: "denied", name: null, until: now + REFUSAL_MS };
    case "notice":
      if (state.show === "granted" || state.gate?.fault) return state;
      // whoever was refused may try again: the refusal is read for a while, then hints help
      if (state.show === "denied" && state.until - now > REFUSAL_MS - 2000) return state;
      return { ...state, show: "hint", code: data.code, done: data.done, steps: data.steps, until: now + (data.seconds_left ? data.seconds_left * 1000 : HINT_MS) };
    case "tick":
      if (state.lostAt != null && now - state.lostAt >= AWAY_MS) return { ...state, show: "wait", gate: null, until: 0 };
      return state.until && now >= state.until ? idle(state) : state;
  }
  return state;
}
