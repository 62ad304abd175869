// Streamlit's own shortcuts know no "?", repeat while a key is held down (a held key would decide faces that nobody has
// seen), and take Enter away from a button that was reached with Tab. So a key here is a click on the button that is
// on the page, and every button belongs to one face: a second press before the next face is there does nothing.
const field = (event) => event.composedPath().some((node) => node instanceof HTMLElement && (
  node.isContentEditable || node.tagName === "TEXTAREA" || node.tagName === "SELECT" ||
  (node.tagName === "INPUT" && !["checkbox", "radio", "range", "button", "submit", "reset"].includes(node.type))));
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
    return true;
  };
  const state = { tabbed: was ? was.tabbed : false };
  state.point = () => { state.tabbed = false; };
  state.down = (event) => {
    if (event.key === "Tab") { state.tabbed = true; return; }
    if (field(event)) {
      // a finished note must not keep the keys off
      if (event.key === "Escape" || event.key === "Enter") setTimeout(() => document.activeElement && document.activeElement.blur(), 0);
      return;
    }
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || open()) return;
    const focus = document.activeElement;
    if (event.key === "Enter" && state.tabbed && focus && focus !== document.body) return;
    const name = keys[event.key.toLowerCase()];
    if (name && press(name)) event.preventDefault();
  };
  document.addEventListener("keydown", state.down);
  document.addEventListener("pointerdown", state.point, true);
  window.__fercleanKeys = state;
  document.body.dataset.fercleanFace = data.face;
}
