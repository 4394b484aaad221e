// The street: each building as one sees it from outside, a window per room, coloured by the room's comfort.

import { html } from "./html.js";
import { outside, paint, tenth, whole, word } from "./comfort.js";
import { OpenWindow, Wrench } from "./icons.js";

export function Scene({ live, selected, select }) {
  const buildings = group(live);
  if (!buildings.length) return html`<main class="scene empty"><p>${waiting(live)}</p></main>`;
  return html`
    <main class="scene">
      <div class="sky" aria-hidden="true"><div class="orb"></div><div class="cloud one"></div><div class="cloud two"></div></div>
      <div class="street">
        ${buildings.map((building) => html`<${Building} key=${building.id} ...${{ building, selected, select }} />`)}
      </div>
      <div class="ground" aria-hidden="true"></div>
    </main>
  `;
}

const waiting = (live) => (live.state === "live" ? "The queries are reading the database…" : "Connecting…");

function group(live) {
  const buildings = new Map();
  for (const room of live.answer("room-comfort").values()) {
    let building = buildings.get(room.BuildingId);
    if (!building) buildings.set(room.BuildingId, (building = { id: room.BuildingId, name: room.BuildingName, floors: new Map() }));
    let floor = building.floors.get(room.FloorId);
    if (!floor) building.floors.set(room.FloorId, (floor = { id: room.FloorId, number: room.FloorNumber, name: room.FloorName, rooms: [] }));
    floor.rooms.push(room);
  }
  for (const row of live.answer("building-comfort").values()) if (buildings.has(row.BuildingId)) buildings.get(row.BuildingId).level = row.ComfortLevel;
  const floors = new Map([...live.answer("floor-comfort").values()].map((row) => [row.FloorId, row.ComfortLevel]));
  const byId = (a, b) => (a < b ? -1 : 1);
  return [...buildings.values()]
    .sort((a, b) => byId(a.id, b.id))
    .map((building) => ({
      ...building,
      floors: [...building.floors.values()]
        .sort((a, b) => b.number - a.number)
        .map((floor) => ({ ...floor, level: floors.get(floor.id), rooms: floor.rooms.sort((a, b) => byId(a.RoomId, b.RoomId)) })),
    }));
}

function Building({ building, selected, select }) {
  const widest = Math.max(...building.floors.map((floor) => floor.rooms.length));
  return html`
    <section class="building ${outside(building.level) ? "alarm" : ""}" data-building=${building.id} style=${{ "--rooms": widest, ...paint(building.level) }}>
      <header class="roof">
        <h2>${building.name}</h2>
        <p class="sign" title="average of the floors' averages"><b data-level>${tenth(building.level)}</b><span>${word(building.level)}</span></p>
      </header>
      <div class="facade">
        ${building.floors.map((floor) => html`<${Floor} key=${floor.id} ...${{ floor, building, selected, select }} />`)}
      </div>
    </section>
  `;
}

function Floor({ floor, building, selected, select }) {
  const name = floor.name.replace(`${building.name}, `, "");
  return html`
    <div class="floor ${outside(floor.level) ? "alarm" : ""}" data-floor=${floor.id} style=${paint(floor.level)}>
      <div class="rooms">
        ${floor.rooms.map((room) => html`<${Room} key=${room.RoomId} ...${{ room, floor: name, building, chosen: room.RoomId === selected, select }} />`)}
      </div>
      <p class="plate" title="${name}: average of its rooms"><b data-level>${whole(floor.level)}</b><span>${floor.number === 0 ? "G" : floor.number}</span></p>
    </div>
  `;
}

function Room({ room, floor, building, chosen, select }) {
  const level = room.ComfortLevel;
  const state = [outside(level) && "alarm", room.Windows === "open" && "open", room.Sensor === "broken" && "broken", chosen && "chosen"];
  return html`
    <button
      class="room ${state.filter(Boolean).join(" ")}"
      data-room=${room.RoomId}
      style=${paint(level)}
      aria-pressed=${chosen}
      aria-label="${room.RoomName}, ${building.name}, ${floor}: ${whole(level)}, ${word(level)}"
      onClick=${() => select(chosen ? null : room.RoomId)}
    >
      <b data-level key=${level} class="pop">${whole(level)}</b>
      <span class="name">${room.RoomName}</span>
      <span class="people" aria-hidden="true">${Array.from({ length: Math.min(room.People, 12) }, () => html`<i></i>`)}</span>
      ${room.Windows === "open" && html`<${OpenWindow} class="icon badge" />`}
      ${room.Sensor === "broken" && html`<${Wrench} class="icon badge" />`}
    </button>
  `;
}
