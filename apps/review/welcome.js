// A word for whoever is new, until they have read it; a browser that keeps nothing shows it each time.
const WELCOMED = "ferclean-welcomed";
const welcoming = (note, lines) => {
  note.querySelector("ul").replaceChildren(...lines.map((text) => { const item = document.createElement("li"); item.textContent = text; return item; }));
  try { note.hidden = localStorage.getItem(WELCOMED) === "yes"; } catch { note.hidden = false; }
  const read = () => { // true: it was on the screen
    if (note.hidden) return false;
    note.hidden = true;
    try { localStorage.setItem(WELCOMED, "yes"); } catch { /* nothing is kept there */ }
    document.activeElement.blur(); // for the keys
    return true;
  };
  note.querySelector("button").onclick = read;
  return read;
};
