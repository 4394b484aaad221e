// What a comfort level means, in words and colours. 40 to 50 is comfortable: the thresholds of the alert queries.

export const LOW = 40;
export const HIGH = 50;

// [level, lightness, chroma, hue] of oklch; between two stops, the mixture.
const STOPS = [
  [10, 0.45, 0.16, 285],
  [28, 0.56, 0.16, 262],
  [37, 0.7, 0.13, 235],
  [41, 0.77, 0.1, 195],
  [45.5, 0.79, 0.14, 158],
  [50, 0.84, 0.15, 115],
  [54, 0.8, 0.16, 75],
  [62, 0.69, 0.19, 45],
  [80, 0.57, 0.21, 25],
];

function mixture(level) {
  if (level == null) return [0.75, 0.01, 260];
  const at = Math.min(Math.max(level, STOPS[0][0]), STOPS.at(-1)[0]);
  const i = Math.max(1, STOPS.findIndex((stop) => stop[0] >= at));
  const [from, to] = [STOPS[i - 1], STOPS[i]];
  const share = (at - from[0]) / (to[0] - from[0]);
  return from.map((value, k) => value + (to[k] - value) * share).slice(1);
}

export function colour(level) {
  const [lightness, chroma, hue] = mixture(level);
  return `oklch(${lightness.toFixed(3)} ${chroma.toFixed(3)} ${hue.toFixed(1)})`;
}

// The style of what is painted in a level's colour: that, and an ink that can be read on it.
export const paint = (level) => ({ "--level": colour(level), "--ink": mixture(level)[0] < 0.66 ? "#fff" : "#10192c" });

export function word(level) {
  if (level == null) return "no reading";
  if (level < 25) return "freezing";
  if (level < LOW) return "too cold";
  if (level <= HIGH) return "comfortable";
  if (level < 60) return "too warm";
  return "stifling";
}

export const outside = (level) => level != null && (level < LOW || level > HIGH);

export const whole = (level) => (level == null ? "–" : String(Math.round(level)));

// As exact as it must be to tell which side of a threshold it is on.
export const short = (level) => (Number.isInteger(level) ? whole(level) : tenth(level));

export const tenth = (level) => (level == null ? "–" : level.toFixed(1));
