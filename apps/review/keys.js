// Streamlit's own shortcuts know no "?", repeat while a key is held down (a held key would decide faces that nobody has
// seen), and take Enter away from a button that was reached with Tab. So a key here is a click on the button that is
// on the page, and every button belongs to one face. A key that is not taken says so: one that comes before the page has
// answered the one before, one that is held down, one without a meaning here.
const PATIENCE = 8000; // ms that an answer of the page may take before the next key is tried all the same
const open = () => document.querySelector('[data-testid="stDialog"], [data-testid="stPopoverBody"]');

export default function ({ data }) {
  const was = window.__fercleanKeys;
  if (was) { document.removeEventListener("keydown", was.down); document.removeEventListener("pointerdown", was.point, true); }
  const keys = data.keys;
  const press = (name) => {
    const holder = document.querySelector(`[class*="st-key-${name}"]`);
    const button = holder && holder.querySelector("button:not(:disabled)");
    if (!button) return false;
    holder.classList.add("fc-pressed");
    setTimeout(() => holder.classList.remove("fc-pressed"), 140);
    button.click();
    state.waits = Date.now();
    return true;
  };
  const state = { tabbed: was ? was.tabbed : false, waits: 0 };
  state.point = () => { state.tabbed = false; };
  state.down = (event) => {
    if (event.key === "Tab") { state.tabbed = true; return; }
    if (elsewhere(event)) return;
    const key = event.key.toLowerCase();
    const letter = event.key.length === 1 && event.key !== " ";
    const name = keys[key];
    if (open()) {
      if (letter && name) tell(`${key.toUpperCase()} was not taken: close the open window first (Esc)`);
      return;
    }
    if (!name && !letter && key !== "enter") return;
    const focus = document.activeElement;
    const focused = focus && focus !== document.body;
    if (key === "enter" && focused && (state.tabbed || !name)) return;
    const shown = letter ? key.toUpperCase() : event.key;
    if (event.repeat) tell(`${shown} is held down: it counts once`);
    else if (Date.now() - state.waits < PATIENCE) tell(`${shown} was not taken: the page was still busy with the key before`);
    else if (name && press(name)) event.preventDefault();
    else tell(`${shown} was not taken: ${data.rests[key] || "it has no meaning here; ? on the review page shows the keys"}`);
  };
  document.addEventListener("keydown", state.down);
  document.addEventListener("pointerdown", state.point, true);
  window.__fercleanKeys = state;
  document.body.dataset.fercleanFace = data.face;
}
