import { html } from "./html.js";
import { paint, short, word } from "./comfort.js";

const KINDS = { "room-alert": "Room", "floor-alert": "Floor", "building-alert": "Building" };

const name = (row) => row.RoomName ?? row.FloorName?.split(", ").at(-1) ?? row.BuildingName;

const place = (row, query) => (row.FloorName ? row.FloorName.split(", ")[0] : KINDS[query]);

export function Alerts({ live, now, select }) {
  const alerts = live.alerts();
  return html`
    <section class="alerts" id="alerts" aria-label="Alerts">
      <h2>Alerts <span class="count ${alerts.length ? "some" : ""}" data-count>${alerts.length}</span></h2>
      ${!alerts.length && html`<p class="calm">Everything is comfortable.</p>`}
      <ul>
        ${alerts.map((alert) => html`<${Alert} key=${alert.key} ...${{ alert, now, select }} />`)}
        ${live.recent.map((alert) => html`<${Over} key=${alert.key} alert=${alert} />`)}
      </ul>
    </section>
  `;
}

function Alert({ alert: { query, row, began }, now, select }) {
  const level = row.ComfortLevel;
  const content = html`
    <span class="swatch">${short(level)}</span>
    <span class="what"><b>${name(row)}</b><small>${place(row, query)} · ${word(level)}</small></span>
    <time>${began ? age(now - began) : ""}</time>
  `;
  return html`<li class="alert" data-alert=${row.RoomId ?? row.FloorId ?? row.BuildingId} style=${paint(level)}>
    ${row.RoomId ? html`<button onClick=${() => select(row.RoomId)}>${content}</button>` : html`<div>${content}</div>`}
  </li>`;
}

function Over({ alert: { query, row, began, ended } }) {
  return html`<li class="alert over">
    <div>
      <span class="swatch">✓</span>
      <span class="what"><b>${name(row)}</b><small>${place(row, query)} · comfortable again${began ? ` after ${age(ended - began)}` : ""}</small></span>
    </div>
  </li>`;
}

export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
