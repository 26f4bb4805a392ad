// Two short tones, up or down: heard by whoever does not look. Silent where the browser forbids it.
let audio = null;

export function chime(kind) {
  try {
    audio ??= new AudioContext();
    const notes = kind === "granted" ? [660, 880] : [330, 220];
    notes.forEach((pitch, n) => {
      const tone = audio.createOscillator(), level = audio.createGain(), at = audio.currentTime + n * 0.15;
      tone.frequency.value = pitch;
      level.gain.setValueAtTime(0.2, at);
      level.gain.exponentialRampToValueAtTime(0.001, at + 0.14);
      tone.connect(level).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.15);
    });
  } catch { /* no sound is no reason to fail */ }
}
