import { html } from "./html.js";
import { render } from "./vendor/preact.js";
import { useCallback, useEffect, useRef, useState } from "./vendor/hooks.js";
import { Alerts, age } from "./alerts.js";
import { HIGH, LOW, colour } from "./comfort.js";
import { Moon, Sun } from "./icons.js";
import { Live } from "./live.js";
import { Room, Statement } from "./room.js";
import { Scene } from "./scene.js";

const STREAM = "reactions/comfort-page/events";
const QUERIES = ["room-comfort", "floor-comfort", "building-comfort", "room-alert", "floor-alert", "building-alert"];

function useLive() {
  const [, draw] = useState(0);
  const live = useRef(null);
  if (!live.current) {
    let due = false;
    live.current = new Live(STREAM, QUERIES, () => {
      if (due) return;
      due = true; // a burst of changes is drawn once a frame
      requestAnimationFrame(() => {
        due = false;
        draw((n) => n + 1);
      });
    });
  }
  useEffect(() => {
    live.current.open();
    const clock = setInterval(() => draw((n) => n + 1), 1000);
    return () => {
      clearInterval(clock);
      live.current.close();
    };
  }, []);
  return live.current;
}

function useTheme() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const toggle = () => {
    const next = theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    setTheme(next);
  };
  return [theme, toggle];
}

function useDatabase() {
  const [path, setPath] = useState(null);
  useEffect(() => {
    fetch("panel/info")
      .then((answer) => answer.json())
      .then((info) => setPath(info.database))
      .catch(() => {}); // the line is a hint; the page lives without it
  }, []);
  return path;
}

function App() {
  const live = useLive();
  const [theme, toggleTheme] = useTheme();
  const [selected, setSelected] = useState(() => location.hash.slice(1) || null);
  const database = useDatabase();
  const select = useCallback((id) => {
    history.replaceState(null, "", id ? `#${id}` : location.pathname);
    setSelected(id);
  }, []);
  const close = useCallback(() => select(null), [select]);
  const now = Date.now();
  const alerts = live.alerts().length;
  return html`
    <header class="bar">
      <h1>Building comfort</h1>
      <${Figures} live=${live} />
      ${alerts > 0 && html`<a class="chip" href="#alerts" onClick=${scrollTo}>${alerts} ${alerts === 1 ? "alert" : "alerts"}</a>`}
      <${Connection} live=${live} />
      <button class="plain" data-theme-toggle aria-label=${theme === "dark" ? "Make it day" : "Make it night"} onClick=${toggleTheme}>
        <${theme === "dark" ? Sun : Moon} />
      </button>
    </header>
    ${live.state === "lost" && html`<${Lost} live=${live} now=${now} />`}
    <div class="layout ${live.state === "lost" ? "stale" : ""}">
      <${Scene} ...${{ live, selected, select }} />
      <div class="side">
        ${selected && html`<${Room} ...${{ live, id: selected, close }} />`}
        <${Alerts} ...${{ live, now, select }} />
        <${Legend} />
      </div>
    </div>
    <footer>
      ${database && html`<p>Or write to the database yourself, with any SQLite client:</p>
        <${Statement} text=${`sqlite3 ${database} "UPDATE Room SET temp = 85 WHERE id = '${selected ?? "room_01_01_01"}'"`} />`}
      <nav><a href="reactions/comfort-debug/">Debug</a><a href="queries/room-comfort">Rows</a><a href="v1/continuousQueries">Queries</a><a href="swagger-ui/">API</a></nav>
    </footer>
  `;
}

function scrollTo(event) {
  event.preventDefault(); // the hash names the chosen room
  document.getElementById("alerts").scrollIntoView({ behavior: "smooth" });
}

function Figures({ live }) {
  const median = live.median();
  return html`<dl class="figures">
    <div title="median time from the write in the database to this page"><dt>latency</dt><dd data-latency>${median == null ? "–" : `${median} ms`}</dd></div>
    <div title="differences a second, over the last five seconds"><dt>changes</dt><dd>${live.perSecond().toFixed(1)}/s</dd></div>
    <${Spark} values=${live.latencies} />
  </dl>`;
}

function Spark({ values }) {
  const shown = values.slice(-40);
  const top = Math.max(100, ...shown);
  return html`<svg class="spark" viewBox="0 0 80 20" preserveAspectRatio="none" aria-hidden="true">
    ${shown.map((value, i) => html`<rect x=${i * 2} width="1.3" y=${20 - Math.max(1, (value / top) * 20)} height=${Math.max(1, (value / top) * 20)} />`)}
  </svg>`;
}

const WORDS = { live: "Live", connecting: "Connecting…", lost: "Reconnecting…" };

function Connection({ live }) {
  return html`<p class="connection ${live.state}" data-connection=${live.state} role="status"><i></i>${WORDS[live.state]}</p>`;
}

function Lost({ live, now }) {
  return html`<p class="lost" role="alert">
    ${live.refused ? "The server wants a new token. Reload this page: it says where one is." : "The connection to the server is lost; reconnecting…"}
    ${live.lastSeen ? ` What you see is ${age(now - live.lastSeen)} old.` : ""}
  </p>`;
}

function Legend() {
  const levels = Array.from({ length: 41 }, (_, i) => 25 + i);
  return html`<figure class="legend">
    <div class="scale">${levels.map((level) => html`<i style=${{ background: colour(level) }}></i>`)}</div>
    <div class="marks"><span>25</span><span style=${{ left: "37.5%" }}>${LOW}</span><span style=${{ left: "62.5%" }}>${HIGH}</span><span>65</span></div>
    <figcaption>Comfort from temperature, humidity and CO₂: ${LOW} to ${HIGH} is comfortable.</figcaption>
  </figure>`;
}

render(html`<${App} />`, document.body);
