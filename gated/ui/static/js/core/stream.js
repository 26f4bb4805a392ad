// The stream of a screen that nobody looks after: whatever becomes of it, it is begun anew.
import { every, onEnd, signal } from "./dom.js";

const AGAIN_MS = 1000, LONGEST_MS = 10_000;
const SILENT_MS = 40_000, LOOK_MS = 5000; // the stream says something every 15 seconds

// Tells (kind, data): events of these kinds, "open", and "lost", as often as it breaks.
export function follow(path, kinds, tell) {
  let source = null, wait = AGAIN_MS, again = 0, heard = Date.now();
  const alive = () => { heard = Date.now(); wait = AGAIN_MS; };
  function open() {
    source?.close();
    source = new EventSource(path);
    source.onopen = () => { alive(); tell("open"); };
    for (const kind of kinds) source.addEventListener(kind, e => { alive(); tell(kind, JSON.parse(e.data)); });
    source.addEventListener("alive", alive);
    source.onerror = () => {
      source.close();
      clearTimeout(again);
      again = setTimeout(open, wait);
      wait = Math.min(wait * 1.5, LONGEST_MS);
      tell("lost"); // last, as whoever hears it may end this
    };
  }
  open();
  // a stream may die without a word, as after a suspend
  every(LOOK_MS, () => { if (Date.now() - heard > SILENT_MS) { heard = Date.now(); clearTimeout(again); open(); tell("lost"); } });
  onEnd(() => { source.close(); clearTimeout(again); });
}

// After an update of the program its page is another one; path: of that page.
export const outdated = signal(false);
let page = null;
export async function lookForUpdate(path) {
  const answer = await fetch(path, { method: "GET", cache: "no-store" }).catch(() => null);
  const tag = answer?.headers.get("ETag");
  if (!tag) return;
  page ??= tag;
  outdated.value = page !== tag;
}
