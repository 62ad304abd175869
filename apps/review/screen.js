// What deck, grid and map have in common: a line that says how it stands, and how they ask; what records answers also
// counts those that wait, and has a window that tells its keys.
const covered = () => document.querySelector('[data-testid="stPopoverBody"], dialog[open]');

class Screen {
  constructor(root, data) {
    Object.assign(this, { root, data });
    this.find = (name) => root.querySelector(name);
  }
  say(kind, text) {
    const line = this.find(".fc-status");
    line.className = `fc fc-status ${kind}`;
    line.textContent = text;
  }
  ask(what, address, how) { return ask(what, address, { say: (kind, text) => this.say(kind, text), over: () => this.gone, ...how }); }
}

class Recorder extends Screen {
  constructor(root, data) {
    super(root, data);
    this.outbox = new Outbox(`ferclean-answer|${encodeURIComponent(data.store)}|`, whose(data));
    this.post = new Post(this.outbox, this);
    this.back = new Set(); // undos of which the server is still to say what they took back
    this.find(".fc-deck-map table").replaceChildren(...data.map.map(([key, text]) => {
      const row = document.createElement("tr"), sign = document.createElement("kbd");
      sign.textContent = key;
      row.insertCell().append(sign);
      row.insertCell().textContent = text;
      return row;
    }));
  }
  count() {
    const waits = this.outbox.own().length, others = this.outbox.others(), line = this.find(".fc-deck-unsaved");
    line.textContent = (waits ? `${waits} not saved yet` : "all saved") + (others.length ? ` · ${others.length} of others` : "");
    line.title = others.length ? `Answers of ${[...new Set(others)].join(", ")} wait in this browser, too` : "";
    line.classList.toggle("waits", Boolean(waits + others.length));
  }
  put(answer) {
    if (!this.outbox.put(answer)) this.say("trouble", "This browser keeps nothing: do not close the page before all is saved");
    this.count();
    this.post.gather();
  }
  map() { const map = this.find(".fc-deck-map"); if (map.open) map.close(); else map.showModal(); }
}
