import { html } from "./html.js";

const icon = (paths) => (props) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" ...${props}>${paths}</svg>`;

export const Sun = icon(html`<circle cx="12" cy="12" r="4.5" /><path d="M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2" />`);
export const Moon = icon(html`<path d="M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z" />`);
export const Window = icon(html`<rect x="4" y="3" width="16" height="18" rx="1" /><path d="M12 3v18M4 12h16" />`);
export const OpenWindow = icon(html`<path d="M12 4v16M12 4L4 6.5v15L12 20M12 4l8 2.5v15L12 20" />`);
export const Bolt = icon(html`<path d="M13 2L5 14h6l-1 8 9-13h-6z" />`);
export const Wrench = icon(html`<path d="M14.5 6.5a4.5 4.5 0 0 1 5.800-1.300l-3 3 .5 2 2 .5 3-3a4.5 4.5 0 0 1-6.300 5.300L8.5 21a2 2 0 0 1-3-3l8-8a4.5 4.5 0 0 1 1-3.5z" />`);
export const Reset = icon(html`<path d="M4 12a8 8 0 1 0 2.5-5.800M4 4v4.5h4.5" />`);
export const Close = icon(html`<path d="M6 6l12 12M18 6L6 18" />`);
export const Copy = icon(html`<rect x="8" y="8" width="12" height="12" rx="2" /><path d="M16 8V5a1 1 0 0 0-1-1H5a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h3" />`);
export const Check = icon(html`<path d="M5 13l4 4L19 7" />`);
