// What both kinds of keys ask of the page: whether a person is typing, and a word about a key that was not taken.
const field = (event) => event.composedPath().some((node) => node instanceof HTMLElement && (
  node.isContentEditable || node.tagName === "TEXTAREA" || node.tagName === "SELECT" ||
  (node.tagName === "INPUT" && !["checkbox", "radio", "range", "button", "submit", "reset"].includes(node.type))));
const elsewhere = (event) => { // meant for a field, or for the browser
  if (!field(event)) return event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented;
  // a finished note must not keep the keys off
  if (event.key === "Escape" || event.key === "Enter") setTimeout(() => document.activeElement && document.activeElement.blur(), 0);
  return true;
};
const tell = (text) => {
  let line = document.getElementById("fc-untaken");
  if (!line) {
    line = document.createElement("div");
    line.id = "fc-untaken";
    line.setAttribute("role", "status");
    document.body.append(line);
  }
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(line.__hide);
  line.__hide = setTimeout(() => line.classList.remove("shown"), 3500);
};
