// One room: what its sensors say, how it went, and the operator's controls. The controls write to the database and to nothing else:
// what they cause comes back by the queries.

import { html } from "./html.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { HIGH, LOW, paint, whole, word } from "./comfort.js";
import { Bolt, Check, Close, Copy, OpenWindow, Reset, Window, Wrench } from "./icons.js";

const DIALS = [
  { column: "temp", field: "Temperature", name: "Temperature", unit: "°F", min: 40, max: 100, step: 0.5 },
  { column: "humidity", field: "Humidity", name: "Humidity", unit: "%", min: 10, max: 80, step: 0.5 },
  { column: "co2", field: "CO2", name: "CO₂", unit: "ppm", min: 350, max: 2000, step: 10 },
];

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  if (answer.ok) return (await answer.json()).statement;
  throw new Error((await answer.text()) || `the panel answered ${answer.status}`);
}

export function Room({ live, id, close }) {
  const room = [...live.answer("room-comfort").values()].find((row) => row.RoomId === id);
  const [result, setResult] = useState(null);
  const sheet = useRef(null);

  useEffect(() => setResult(null), [id]);
  useEffect(() => {
    const escape = (event) => event.key === "Escape" && close();
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, [close]);

  if (!room) return html`<aside class="sheet"><p>This room is no longer in the answer.</p></aside>`;

  const write = async (path, body) => {
    const began = performance.now();
    setResult({});
    live.waiting.set(id, () => setResult((last) => ({ ...last, ms: Math.round(performance.now() - began) })));
    try {
      const statement = await post(`panel/rooms/${id}${path}`, body);
      setResult((last) => ({ ...last, statement }));
    } catch (error) {
      live.waiting.delete(id);
      setResult({ error: error.message });
    }
  };
  const set = (column, value) => write("", { [column]: value });
  const broken = room.Sensor === "broken";
  const open = room.Windows === "open";
  return html`
    <aside class="sheet" ref=${sheet} style=${paint(room.ComfortLevel)} data-sheet=${id} aria-label="Room">
      <header>
        <div><h2>${room.RoomName}</h2><p>${room.FloorName}</p></div>
        <button class="plain" aria-label="Close" onClick=${close}><${Close} /></button>
      </header>
      <div class="gauge">
        <b data-level>${whole(room.ComfortLevel)}</b>
        <span>${word(room.ComfortLevel)}${room.People ? html`<small>${room.People} people</small>` : ""}</span>
        <${Chart} points=${live.history.get(id) ?? []} />
      </div>
      ${DIALS.map((dial) => html`<${Dial} key=${dial.column} dial=${dial} value=${room[dial.field]} set=${set} />`)}
      <div class="buttons">
        <button data-act="windows" onClick=${() => write(open ? "/close-windows" : "/open-windows")}>
          <${open ? Window : OpenWindow} />${open ? "Close the windows" : "Open the windows"}
        </button>
        <button data-act="sensor" onClick=${() => write(broken ? "/repair-sensor" : "/break-sensor")}>
          <${broken ? Wrench : Bolt} />${broken ? "Repair the sensor" : "Break the sensor"}
        </button>
        <button data-act="reset" onClick=${() => write("/reset")}><${Reset} />Reset</button>
      </div>
      <${Result} result=${result} />
    </aside>
  `;
}

function Dial({ dial, value, set }) {
  const [held, setHeld] = useState(null); // while a hand is on it, the stream does not move it
  const shown = held ?? value;
  return html`
    <label class="dial">
      <span>${dial.name}</span>
      <output>${shown == null ? "–" : shown.toFixed(dial.step < 1 ? 1 : 0)} ${dial.unit}</output>
      <input
        type="range"
        name=${dial.column}
        min=${dial.min}
        max=${dial.max}
        step=${dial.step}
        value=${shown ?? dial.min}
        onInput=${(event) => setHeld(Number(event.target.value))}
        onChange=${(event) => {
          setHeld(null);
          set(dial.column, Number(event.target.value));
        }}
      />
    </label>
  `;
}

function Result({ result }) {
  if (!result) return html`<p class="result hint">Every control is one UPDATE on the SQLite file.</p>`;
  if (result.error) return html`<p class="result failed" role="alert">${result.error}</p>`;
  return html`
    <div class="result">
      ${result.statement && html`<${Statement} text=${result.statement} />`}
      ${result.ms != null && html`<p class="took"><${Check} />on this page after ${result.ms} ms</p>`}
    </div>
  `;
}

export function Statement({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<div class="statement">
    <code>${text}</code>
    <button class="plain" aria-label="Copy" title="Copy" onClick=${copy}><${copied ? Check : Copy} /></button>
  </div>`;
}

const [WIDTH, HEIGHT] = [260, 64];

function Chart({ points }) {
  const levels = points.map(([, level]) => level).filter((level) => level != null);
  const low = Math.min(LOW - 4, ...levels);
  const high = Math.max(HIGH + 4, ...levels);
  const y = (level) => HEIGHT - ((level - low) / (high - low)) * HEIGHT;
  const end = Date.now();
  const start = Math.min(end - 60_000, points[0]?.[0] ?? end);
  const x = (at) => ((at - start) / (end - start)) * WIDTH;
  let path = "";
  let last = null;
  for (const [at, level] of points) {
    if (level == null) last = null;
    else {
      path += last == null ? `M${x(at).toFixed(1)} ${y(level).toFixed(1)}` : `H${x(at).toFixed(1)}V${y(level).toFixed(1)}`;
      last = level;
    }
  }
  if (last != null) path += `H${WIDTH}`;
  return html`
    <svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="Comfort since this page was opened">
      <rect class="band" x="0" width=${WIDTH} y=${y(HIGH)} height=${y(LOW) - y(HIGH)} />
      <path class="line" d=${path} />
    </svg>
  `;
}
