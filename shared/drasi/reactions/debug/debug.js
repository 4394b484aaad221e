// The Debug page: follows one query over a WebSocket and draws what has changed since the last frame.

const SHOWN = 500; // rows in the table; the filter looks at all of them
const KEPT = 200; // differences in the list
const WORDS = { i: "added", u: "updated", d: "deleted", x: "signal" };

const find = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const number = new Intl.NumberFormat("en");

const page = {
  query: "",
  state: "–",
  sequence: 0,
  rows: new Map(), // row id → {data, before, mark}
  columns: [],
  drawn: new Map(), // row id → tr
  touched: new Set(),
  fresh: [], // differences not drawn yet
  reset: true,
  paused: false,
  filter: "",
  lag: null,
  changedAt: null,
  marks: [], // times of the differences of the last seconds
  loading: false,
  asked: "", // the query whose state is wanted at once
};

// What comes over the socket.

function receive(message) {
  if (message.kind === "error") {
    showErrors([message.message]);
    return;
  }
  switch (message.op) {
    case "h":
      page.rows.clear();
      page.sequence = message.seq;
      page.reset = true;
      page.state = "running";
      break;
    case "r":
      put(message.payload.rowId, message.payload.after, null);
      break;
    default:
      apply(message);
  }
}

function apply(message) {
  const { payload } = message;
  page.sequence = message.seq;
  page.changedAt = Date.now();
  page.marks.push(page.changedAt);
  if (payload.source.ts_ms > 0) page.lag = Math.max(0, message.ts_ms - payload.source.ts_ms);
  if (message.op === "x") {
    page.state = { bootstrapStarted: "bootstrapping", bootstrapCompleted: "bootstrap complete" }[payload.kind] ?? payload.kind;
    if (payload.kind === "bootstrapStarted" || payload.kind === "deleted") {
      page.rows.clear();
      page.reset = true;
    }
  } else if (message.op === "d") {
    page.rows.delete(payload.rowId);
    page.touched.add(payload.rowId);
  } else {
    put(payload.rowId, payload.after, message.op);
  }
  page.fresh.push(message);
  if (page.fresh.length > KEPT) page.fresh.shift();
}

function put(id, data, mark) {
  for (const name of Object.keys(data)) {
    if (!page.columns.includes(name)) {
      page.columns.push(name);
      page.reset = true;
    }
  }
  const old = page.rows.get(id);
  page.rows.set(id, { data, mark, before: old?.data });
  page.touched.add(id);
}

// Drawing, at most once per frame.

function draw() {
  drawFacts();
  if (page.paused) return;
  if (page.reset) {
    drawTable();
  } else if (page.touched.size) {
    for (const id of page.touched) drawRow(id);
    drawCount();
  }
  page.touched.clear();
  drawDifferences();
}

function drawFacts() {
  const now = Date.now();
  while (page.marks.length && page.marks[0] < now - 5000) page.marks.shift();
  const running = page.state === "running";
  find("state").textContent = page.state;
  find("state").style.color = running ? "var(--added)" : page.state === "–" ? "" : "var(--updated)";
  find("sequence").textContent = number.format(page.sequence);
  find("count").textContent = number.format(page.rows.size);
  find("lag").textContent = page.lag === null ? "–" : page.lag < 10000 ? `${number.format(page.lag)} ms` : ago(page.lag);
  find("rate").textContent = number.format(Math.round(page.marks.length / 5));
  find("changed").textContent = page.changedAt === null ? "–" : now - page.changedAt < 1000 ? "now" : `${ago(now - page.changedAt)} ago`;
  const entry = document.querySelector(`nav a[aria-current="page"] .sequence`);
  if (entry) entry.textContent = number.format(page.sequence);
}

function ago(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${number.format(Math.round(seconds / 86400))} d`;
}

function matches(row) {
  return !page.filter || Object.values(row.data).some((value) => text(value).toLowerCase().includes(page.filter));
}

function drawTable() {
  page.reset = false;
  const names = page.columns;
  const head = make("tr");
  for (const name of names) head.append(make("th", numeric(name) ? "number" : "", name));
  find("rows").tHead.replaceChildren(head);
  page.drawn.clear();
  const body = document.createDocumentFragment();
  for (const [id, row] of page.rows) {
    if (page.drawn.size >= SHOWN) break;
    if (!matches(row)) continue;
    const line = make("tr");
    fill(line, row, false);
    page.drawn.set(id, line);
    body.append(line);
  }
  find("rows").tBodies[0].replaceChildren(body);
  drawCount();
}

function numeric(name) {
  for (const row of page.rows.values()) {
    const value = row.data[name];
    if (value !== null && value !== undefined) return typeof value === "number";
  }
  return false;
}

function drawRow(id) {
  const row = page.rows.get(id);
  let line = page.drawn.get(id);
  if (!row || !matches(row)) {
    line?.remove();
    page.drawn.delete(id);
    return;
  }
  if (line) {
    fill(line, row, true);
    return;
  }
  if (page.drawn.size >= SHOWN) return;
  line = make("tr", row.mark === "i" ? "added" : "");
  fill(line, row, false);
  page.drawn.set(id, line);
  find("rows").tBodies[0].append(line);
}

function fill(line, row, changes) {
  const cells = page.columns.map((name) => {
    const value = row.data[name];
    const cell = make("td", typeof value === "number" ? "number" : "", text(value));
    if (value === null || value === undefined) cell.className = "null";
    if (cell.textContent.length > 30) cell.title = cell.textContent;
    if (changes && row.before && text(row.before[name]) !== text(value)) cell.classList.add("updated");
    return cell;
  });
  line.replaceChildren(...cells);
}

function drawCount() {
  const shown = page.drawn.size;
  find("empty").hidden = shown > 0;
  find("empty").textContent = page.rows.size ? "No row matches the filter." : "No rows.";
  const more = find("more");
  more.hidden = !(shown < page.rows.size);
  more.textContent = page.filter
    ? `${number.format(shown)} of ${number.format(page.rows.size)} rows match`
    : `${number.format(shown)} of ${number.format(page.rows.size)} rows are shown; filter to find others`;
}

function drawDifferences() {
  if (!page.fresh.length) return;
  const list = find("differences");
  for (const message of page.fresh) list.prepend(difference(message));
  page.fresh.length = 0;
  while (list.children.length > KEPT) list.lastChild.remove();
}

function difference({ op, seq, ts_ms: at, payload }) {
  const item = make("li");
  item.append(make("span", `op ${op}`, WORDS[op]));
  const what = make("span", "what");
  if (op === "x") what.append(payload.kind);
  else for (const piece of pieces(op, payload)) what.append(piece);
  if (op !== "x") item.title = JSON.stringify(payload.after ?? payload.before, null, 1);
  item.append(what, make("span", "when", `#${number.format(seq)} · ${new Date(at).toLocaleTimeString()}`));
  return item;
}

// Of an updated row: what names it (its first columns), and what changed.
function* pieces(op, { before, after }) {
  const row = after ?? before;
  const changed = (name) => op === "u" && text(before[name]) !== text(after[name]);
  const names = Object.keys(row);
  const same = names.filter((name) => !changed(name));
  const shown = op === "u" ? names.filter((name) => changed(name) || same.indexOf(name) < 2) : names;
  for (const [index, name] of shown.entries()) {
    if (index) yield "  ";
    yield make("span", "name", `${name} `);
    if (changed(name)) {
      yield make("del", "", text(before[name]));
      yield " → ";
      yield make("ins", "", text(after[name]));
    } else {
      yield text(row[name]);
    }
  }
}

function text(value) {
  if (value === null || value === undefined) return "null";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function showErrors(lines) {
  const box = find("errors");
  box.hidden = !lines.length;
  box.replaceChildren(...lines.map((line) => make("p", "", line)));
}

// The connection.

const address = (path) => new URL(path, document.baseURI);
let socket = null;
let attempts = 0;
let timer = 0;

function follow(query) {
  page.query = query;
  Object.assign(page, { state: "–", sequence: 0, lag: null, changedAt: null, columns: [], marks: [], fresh: [], reset: true });
  page.rows.clear();
  find("differences").replaceChildren();
  showErrors([]);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.query === query) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  attempts = 0;
  page.asked = query;
  connect();
  inform();
}

function connect() {
  clearTimeout(timer);
  socket?.close();
  const url = address(`api/ws/query/${encodeURIComponent(page.query)}`);
  url.protocol = url.protocol.replace("http", "ws");
  const mine = new WebSocket(url);
  socket = mine;
  mine.onopen = () => {
    if (attempts > 0) {
      banner("Connected again. The rows are read anew.", true);
    } else {
      banner("");
    }
    attempts = 0;
    connection("live", "live");
  };
  mine.onmessage = (event) => {
    if (mine === socket) receive(JSON.parse(event.data));
  };
  mine.onclose = () => {
    if (mine !== socket) return;
    attempts += 1;
    const seconds = Math.min(15, 2 ** Math.min(attempts - 1, 4));
    connection("lost", "reconnecting");
    banner(`The connection is lost; what you see is no longer live. Reconnecting in ${seconds} s (attempt ${attempts}).`);
    timer = setTimeout(connect, seconds * 1000);
    askWhy();
  };
}

// A socket does not say why it was refused; a plain request does.
async function askWhy() {
  try {
    const answer = await fetch(address("api/queries"));
    if (answer.status === 401) banner("The server wants a new token. Reload this page: it says where one is.");
  } catch {
    // The banner already says that the connection is lost.
  }
}

function connection(state, words) {
  const pill = find("connection");
  pill.className = `pill ${state}`;
  pill.textContent = words;
  document.querySelector(".panes").classList.toggle("stale", state !== "live");
}

let bannerTimer = 0;
function banner(words, good = false) {
  clearTimeout(bannerTimer);
  const line = find("banner");
  line.hidden = !words;
  line.textContent = words;
  line.classList.toggle("good", good);
  if (good) bannerTimer = setTimeout(() => (line.hidden = true), 4000);
}

// State and errors of every query, which the stream does not carry.

const SECONDS = 2;
let round = 0;

async function inform() {
  if (page.loading) return;
  page.loading = true;
  round += 1;
  try {
    for (const link of document.querySelectorAll("nav a")) await informOf(link);
  } catch {
    // The banner already says that the connection is lost.
  } finally {
    page.loading = false;
  }
}

async function informOf(link) {
  const query = link.dataset.query;
  // Without a status each answer costs the query its whole result.
  if (link.dataset.costly && round % 15 !== 1 && query !== page.asked) return;
  page.asked = "";
  const answer = await fetch(address(`api/queries/${encodeURIComponent(query)}/debug-information`));
  if (!answer.ok) return;
  const known = await answer.json();
  link.dataset.costly = known.status === null ? "yes" : "";
  const lines = troubles(known, known.status ?? (await management(query)));
  if (query === page.query) {
    if (known.state) page.state = known.state;
    showErrors(lines);
  } else if (known.sequence !== undefined && known.sequence !== null) {
    link.querySelector(".sequence").textContent = number.format(known.sequence);
  }
  const running = (known.state ?? "") === "running";
  link.querySelector(".dot").className = `dot ${lines.length ? "bad" : running ? "good" : ""}`;
  link.title = lines.length ? lines[0] : (known.state ?? "");
}

function troubles(known, status) {
  const lines = [];
  if (known.error) lines.push(known.error);
  if (status?.errorMessage) lines.push(status.errorMessage);
  const count = status?.rowErrors?.count ?? 0;
  if (count) {
    lines.push(`${number.format(count)} row(s) cannot be evaluated now and are held out:`);
    for (const row of status.rowErrors.sample ?? []) lines.push(`${row.type}: ${row.detail}: ${row.message}`);
  }
  for (const [source, of] of Object.entries(status?.sources ?? {})) {
    if (of?.message) lines.push(`source ${source}: ${of.message}`);
  }
  if (known.reaction?.lastError) lines.push(known.reaction.lastError);
  return lines;
}

// In one process the management API stands beside the reaction; elsewhere there is none, and nothing is shown.
let managed = true;
async function management(query) {
  if (!managed) return null;
  const answer = await fetch(`/v1/continuousQueries/${encodeURIComponent(query)}`);
  if (!answer.ok || !(answer.headers.get("content-type") ?? "").includes("json")) {
    managed = false;
    return null;
  }
  return (await answer.json()).status ?? null;
}

// The page itself.

function theme(name) {
  document.documentElement.dataset.theme = name;
}

async function begin() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  theme(localStorage.getItem("drasi-theme") ?? (dark.matches ? "dark" : "light"));
  find("theme").onclick = () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    theme(next);
    localStorage.setItem("drasi-theme", next);
  };
  find("filter").oninput = (event) => {
    page.filter = event.target.value.trim().toLowerCase();
    page.reset = true;
  };
  find("pause").onclick = (event) => {
    page.paused = !page.paused;
    page.reset = true;
    event.target.textContent = page.paused ? "Go on" : "Pause";
    event.target.setAttribute("aria-pressed", String(page.paused));
  };
  find("clear").onclick = () => find("differences").replaceChildren();

  const queries = await load();
  for (const query of queries) {
    const link = make("a");
    link.href = `#${encodeURIComponent(query)}`;
    link.dataset.query = query;
    link.append(make("span", "dot"), make("span", "query", query), make("span", "sequence"));
    find("queries").append(link);
  }
  const chosen = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const query = queries.includes(wanted) ? wanted : queries[0];
    if (query && query !== page.query) follow(query);
  };
  // The base element would lead an anchor away from a page without a slash at its end.
  find("queries").onclick = (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    location.hash = link.dataset.query;
  };
  addEventListener("hashchange", chosen);
  chosen();
  setInterval(inform, SECONDS * 1000);
  const frame = () => {
    draw();
    setTimeout(() => requestAnimationFrame(frame), 100);
  };
  frame();
}

async function load() {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await fetch(address("api/queries"));
      if (answer.ok) return await answer.json();
    } catch {
      // said below
    }
    connection("lost", "reconnecting");
    banner(`The reaction does not answer. Trying again (attempt ${attempt}).`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(15000, 500 * 2 ** attempt)));
  }
}

begin();
