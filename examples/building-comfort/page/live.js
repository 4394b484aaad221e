// The answers of all queries, kept current by one stream of server-sent events.
//
// The stream begins with the result of each query (`h`, then an `r` per row) and goes on with what changes (`i`, `u`, `d`), without
// gap or repeat, also across a reconnection. So the rows here are the answer, not an approximation of it.
//
// An `h` does not say of which query. Those of a new stream are one for each query; any other means that the server could not go on
// where we were (its log is trimmed), and everything is read anew.

const HISTORY = 240;
const SAMPLES = 120;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export class Live {
  constructor(url, queries, changed) {
    this.url = `${url}?query=${queries.join(",")}`;
    this.queries = queries;
    this.changed = changed;
    this.rows = new Map(); // query id → row id → row
    this.history = new Map(); // room id → [[ms, comfort level] …]
    this.recent = []; // alerts that are over
    this.since = new Map(); // query id + row id → ms the alert began; null: before we looked
    this.latencies = [];
    this.arrivals = [];
    this.state = "connecting";
    this.refused = false; // the server is there, and does not know us any more
    this.lastSeen = 0;
    this.opened = 0;
    this.attempts = 0;
    this.waiting = new Map(); // room id → function called at its next change
  }

  answer(query) {
    let rows = this.rows.get(query);
    if (!rows) this.rows.set(query, (rows = new Map()));
    return rows;
  }

  open() {
    const stream = new EventSource(this.url);
    this.stream = stream;
    this.rows.clear();
    this.results = 0;
    stream.onopen = () => {
      this.state = "live";
      this.refused = false;
      this.attempts = 0;
      this.opened = Date.now();
      this.changed();
    };
    stream.onmessage = (message) => {
      this.lastSeen = Date.now();
      const item = JSON.parse(message.data);
      if (item.op === "h" && ++this.results > this.queries.length) {
        this.close();
        this.open();
        return;
      }
      this.take(item);
      this.changed();
    };
    stream.onerror = () => {
      this.state = "lost";
      this.askWhy();
      // The browser tries again by itself, and continues where it was, unless the server answered with an error.
      if (stream.readyState === EventSource.CLOSED) {
        const wait = RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)];
        this.timer = setTimeout(() => this.open(), wait);
      }
      this.changed();
    };
  }

  // A stream does not say why it was refused; a plain request does.
  async askWhy() {
    try {
      this.refused = (await fetch("sign-in", { headers: { accept: "application/json" } })).status === 401;
    } catch {
      this.refused = false;
    }
    this.changed();
  }

  close() {
    clearTimeout(this.timer);
    this.stream?.close();
  }

  take({ op, payload }) {
    const query = payload?.source?.queryId;
    if (op === "h") return;
    if (op === "x") return this.control(query, payload.kind);
    const rows = this.answer(query);
    const at = payload.source.ts_ms;
    if (op === "d") rows.delete(payload.rowId);
    else rows.set(payload.rowId, payload.after);
    if (op !== "r") this.measure(at);
    if (query === "room-comfort" && payload.after) this.remember(payload.after);
    if (query.endsWith("-alert")) this.alert(op, query, payload, at);
  }

  control(query, kind) {
    if (kind === "bootstrapStarted" || kind === "deleted") this.answer(query).clear();
  }

  measure(at) {
    const now = Date.now();
    this.arrivals.push(now);
    if (this.arrivals.length > 5000) this.arrivals.splice(0, 2500);
    // What was missed while the connection was down is late for another reason.
    if (at > 0 && at >= this.opened) {
      this.latencies.push(Math.max(0, now - at));
      if (this.latencies.length > SAMPLES) this.latencies.shift();
    }
  }

  remember(row) {
    let points = this.history.get(row.RoomId);
    if (!points) this.history.set(row.RoomId, (points = []));
    points.push([Date.now(), row.ComfortLevel]);
    if (points.length > HISTORY) points.shift();
    const waiter = this.waiting.get(row.RoomId);
    if (waiter) {
      this.waiting.delete(row.RoomId);
      waiter();
    }
  }

  alert(op, query, { rowId, before }, at) {
    const key = `${query}/${rowId}`;
    if (op === "i") this.since.set(key, at);
    if (op === "r" && !this.since.has(key)) this.since.set(key, null);
    if (op === "d") {
      this.recent.unshift({ key: `${key}@${at}`, query, row: before, began: this.since.get(key), ended: at });
      this.recent.length = Math.min(this.recent.length, 6);
      this.since.delete(key);
    }
  }

  // Alerts that hold now: the newest first.
  alerts() {
    const kinds = ["building-alert", "floor-alert", "room-alert"];
    return kinds
      .flatMap((query) => [...this.answer(query)].map(([id, row]) => ({ key: `${query}/${id}`, query, row, began: this.since.get(`${query}/${id}`) })))
      .sort((a, b) => kinds.indexOf(a.query) - kinds.indexOf(b.query) || (b.began ?? 0) - (a.began ?? 0));
  }

  median() {
    if (!this.latencies.length) return null;
    return [...this.latencies].sort((a, b) => a - b)[this.latencies.length >> 1];
  }

  perSecond() {
    const from = Date.now() - 5000;
    return this.arrivals.filter((at) => at >= from).length / 5;
  }
}
