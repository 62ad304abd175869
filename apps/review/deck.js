// The deck: the next faces are here before they are asked for, a key acts at once, and its answer goes out behind the
// person's back. An answer stays in the browser's storage until the server says that it is recorded, and has a name, so
// that the same answer sent twice is recorded once. A key is taken only for the face that is on the screen.
const AHEAD = 20; // faces that are asked for at a time
const FIRST = 6; // of them come alone, so that the page is there at once
const FEW = 40; // fewer than these ahead, and more are asked for: a minute's worth without a server
const BEHIND = 30; // faces that are kept for undo
const LETTERS = { k: "keep", a: "ambiguous", x: "exclude", s: "skip" };
const DONE = { keep: "kept", ambiguous: "ambiguous", exclude: "excluded", skip: "skipped" };

class Deck extends Recorder {
  constructor(root, data, ended) {
    super(root, data);
    Object.assign(this, { ended, line: [], card: null, answered: new Set(), history: [], examples: {}, painted: false, refusals: [], asking: null });
    this.stage = this.find(".stage");
    this.reset = zoomable(this.stage);
    this.words = new Map(data.classes);
    this.mix = new Mixing(this.find(".mixing"), this.words);
    this.buttons();
    this.read = welcoming(this.find(".fc-deck-welcome"), data.welcome);
    this.asides = new Asides(this);
    this.find(".fc-deck-beside").onclick = (event) => {
      const face = event.target.closest("button[data-face]");
      if (face && event.detail > 1) tell("a double click counts once");
      else if (face) this.pick(face.dataset.face);
    };
    this.down = (event) => this.key(event);
    this.point = () => { this.tabbed = false; };
    document.addEventListener("keydown", this.down);
    document.addEventListener("pointerdown", this.point, true);
    const focus = document.activeElement; // whoever chose a mode goes on with keys
    if (focus && focus.getAttribute("role") === "combobox") focus.blur();
    this.say("", "Every decision is saved at once.");
    this.post.flush().then(() => this.begin());
  }
  leave() {
    document.removeEventListener("keydown", this.down);
    document.removeEventListener("pointerdown", this.point, true);
    this.post.leave();
    this.gone = true;
  }
  async begin() {
    const found = await this.ask("deck", { count: FIRST, examples: 1 }, { always: true });
    if (!found) return;
    Object.assign(this.examples, found.examples);
    this.how(found);
    for (const card of found.faces) this.line.push(this.ready(card));
    this.next();
  }
  ask(what, more, how = {}) {
    const address = new URLSearchParams(this.data.address);
    const sample = new URLSearchParams(location.search).get("sample");
    if (what === "deck" && !more.after && sample) {
      address.set("sample", sample);
      if (new URLSearchParams(location.search).get("pick")) address.set("pick", "1");
    }
    for (const [name, value] of Object.entries(more)) if (value) address.set(name, value);
    return super.ask(what, address, how);
  }
  ready(card) { // decoded before it is shown, so that it is there when it is
    card.image = new Image();
    if (card.picture) { card.image.src = card.picture; card.image.decode().catch(() => {}); }
    card.image.draggable = false;
    card.key = card.id + card.token; // the same face may come twice, each time as a question of its own
    card.beside = card.beside.replace(/src="example:([0-9a-f]+)"/g, (_, id) => this.examples[id] ? `src="${this.examples[id]}"` : "");
    return card;
  }
  buttons() {
    const make = (holder, key, text, act, kind) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = kind || "";
      if (key) { const sign = document.createElement("code"); sign.textContent = key; button.append(sign, " "); }
      const words = document.createElement("span");
      words.textContent = text;
      button.append(words);
      button.onclick = (event) => { // a second click of one is about a face that nobody has looked at
        if (event.detail > 1) { tell("a double click counts once"); return; }
        if (event.detail) button.blur();
        act(event);
      };
      holder.append(button);
      return button;
    };
    const classes = this.find(".fc-deck-classes"), acts = this.find(".fc-deck-acts");
    classes.replaceChildren(); acts.replaceChildren();
    const many = this.data.classes.length, rows = Math.ceil(many / 11);
    classes.style.setProperty("--columns", Math.ceil(many / rows));
    this.root.style.setProperty("--rows", rows);
    this.root.classList.toggle("many", rows > 1);
    this.classes = this.data.classes.map(([name, words], at) => {
      const button = make(classes, at < 10 ? String((at + 1) % 10) : "", words, () => this.mix.open ? this.mixIn(name) : this.decide("relabel", name));
      button.title = words; // a narrow button cuts it
      return button;
    });
    this.offer = make(acts, "Enter", "", () => this.accept(), "primary offer");
    this.acts = {};
    for (const [letter, action] of Object.entries(LETTERS))
      this.acts[action] = make(acts, letter.toUpperCase(), action[0].toUpperCase() + action.slice(1), (event) => action === "ambiguous" ? this.ambiguous(event.shiftKey) : this.decide(action));
    for (const [action, words] of Object.entries(this.data.meant)) {
      this.acts[action].title = words;
      this.acts[action].setAttribute("aria-description", words);
    }
    make(acts, "U", "Undo", () => this.undo());
    make(acts, "", "←", () => this.step(-1)).setAttribute("aria-label", "previous face");
    make(acts, "", "→", () => this.step(1)).setAttribute("aria-label", "next face");
    make(acts, "?", "", () => this.map()).setAttribute("aria-label", "keys");
    const mixing = this.find(".mixing-acts");
    mixing.replaceChildren();
    make(mixing, "←", "", () => this.mixBy(-1)).setAttribute("aria-label", "less of the first");
    make(mixing, "→", "", () => this.mixBy(1)).setAttribute("aria-label", "more of the first");
    make(mixing, "Enter", "Save", () => this.mixed(), "primary");
    make(mixing, "Esc", "Just ambiguous", () => this.decide("ambiguous"));
    make(mixing, "U", "Back", () => this.unmix());
  }
  show(card) {
    this.card = card;
    this.painted = false;
    const { stage } = this;
    stage.dataset.face = card.id;
    card.image.alt = card.name;
    stage.querySelector("img").replaceWith(card.image);
    stage.classList.toggle("gone", !card.picture);
    stage.querySelector("p").textContent = card.trouble || "";
    this.reset();
    this.find(".fc-caption").innerHTML = card.caption;
    this.find(".fc-deck-labels").innerHTML = card.labels;
    this.find(".fc-deck-evidence").innerHTML = card.evidence;
    this.find(".fc-deck-beside").innerHTML = card.beside;
    this.find(".fc-deck-note").value = "";
    this.mix.show(false);
    this.marks();
    this.find(".fc-deck-body").classList.remove("waits");
    const told = [["given", card.given], ["suggested", card.suggested]].map(([what, name]) => name ? `, ${what} ${this.words.get(name) || name}` : "");
    this.find(".fc-deck-heard").textContent = `Face ${card.name}${told.join("")}`;
    const address = new URL(location.href);
    address.searchParams.set("sample", card.place);
    if (card.picked) address.searchParams.set("pick", "1"); else address.searchParams.delete("pick");
    history.replaceState(history.state, "", address);
    requestAnimationFrame(() => { this.painted = true; this.since = performance.now(); document.body.dataset.fercleanFace = card.id; });
  }
  marks() {
    const { card } = this, stands = card.stands || {}, shares = (this.mix.open ? this.mix.shares : stands.shares) || {};
    this.data.classes.forEach(([name], at) => {
      const chosen = shares[name] || (this.mix.open && this.mix.first === name);
      if (shares[name]) this.classes[at].dataset.share = `${Math.round(shares[name] * 100)} %`;
      else delete this.classes[at].dataset.share;
      this.classes[at].className = stands.label === name || chosen ? "stands" : card.suggested === name ? "suggested" : card.given === name ? "given" : "";
    });
    for (const [action, button] of Object.entries(this.acts)) button.className = stands.action === action ? "stands" : "";
    for (const button of [...this.classes, ...Object.values(this.acts)]) button.setAttribute("aria-pressed", String(button.className === "stands"));
    this.data.classes.forEach(([name], at) => this.classes[at].setAttribute("aria-description",
      [name === card.given && "the given label", name === card.suggested && "suggested"].filter(Boolean).join(", ")));
    this.acts.keep.disabled = Boolean(card.unlabelled);
    this.offer.disabled = !card.offer;
    this.offer.querySelector("span").textContent = card.offered;
  }
  how(found) {
    if (found.progress) this.find(".fc-deck-progress").innerHTML = found.progress;
    this.over = this.over || Boolean(this.teaching && !found.teaching); // the teaching round: the page has a word to say
    this.teaching = found.teaching;
    this.count();
    if (this.over && !this.outbox.own().length && !this.gone) { this.over = false; this.ended(); }
  }
  send(answer) { this.put({ ...answer, address: this.data.address }); }
  ambiguous(ask) { // at once, or with a word on what the face shows
    if (!ask && !this.data.mixed) { this.decide("ambiguous"); return; }
    if (!this.card || !this.painted) { this.decide("ambiguous"); return; } // which says that it was not taken
    this.mix.show(true);
    this.marks();
  }
  mixIn(name) {
    if (this.mix.choose(name)) this.mixed();
    else this.marks();
  }
  mixBy(by) { this.mix.shift(by); this.marks(); }
  mixed() {
    if (this.mix.shares) this.decide("ambiguous", null, undefined, null, this.mix.shares);
    else tell("Enter was not taken: choose two expressions, or Esc for just ambiguous");
  }
  unmix() { this.mix.show(false); this.marks(); this.say("", "Nothing was recorded"); }
  mixKey(key, digit, shown) {
    const acts = { escape: () => this.decide("ambiguous"), a: () => this.decide("ambiguous"), enter: () => this.mixed(), u: () => this.unmix(),
      backspace: () => this.unmix(), arrowleft: () => this.mixBy(-1), arrowright: () => this.mixBy(1) };
    const act = digit ? () => digit.click() : acts[key];
    if (act) act();
    else tell(`${shown} was not taken: choose two expressions, or Esc for just ambiguous`);
  }
  decide(action, label = null, seen = undefined, about = null, shares = null) {
    const card = about || this.card;
    if (!card || (!about && !this.painted)) {
      tell(`${this.pressed || "this"} was not taken: the next face is not on the screen yet`);
      return false;
    }
    if (action === "keep" && card.unlabelled) { tell(`${this.pressed || "Keep"} was not taken: ${card.unlabelled}`); return false; }
    const answer = { answer_id: this.outbox.name(), action, label, shares, sample_id: card.id, token: card.token, seen: seen === undefined ? card.seen : seen, model_hidden: card.hidden,
      by_choice: card.by_choice, run_id: card.run_id, note: about ? about.note : this.find(".fc-deck-note").value.trim(), seconds: about ? null : (performance.now() - this.since) / 1000 };
    this.history.push({ answer_id: answer.answer_id, key: card.key, card: about ? null : card, note: answer.note, before: { seen: card.seen, stands: card.stands } });
    if (this.history.length > BEHIND) this.history[this.history.length - BEHIND - 1].card = null;
    if (action !== "skip") {
      card.seen = answer.answer_id;
      card.stands = { action, label: action === "keep" ? card.given : label, shares };
    }
    this.answered.add(card.key);
    this.send(answer);
    const kept = action === "relabel" && label === card.given;
    this.say("saved", `${card.name}: ${action === "relabel" && !kept ? `${card.unlabelled ? "" : `${this.words.get(card.given) || "unknown"} → `}${this.words.get(label)}` : DONE[kept ? "keep" : action]}${shares ? `, ${this.mix.told(shares)}` : ""}`);
    if (!about) this.next();
    return true;
  }
  accept() {
    if (!this.card || !this.card.offer) { tell(`Enter was not taken: ${this.data.rests[!this.card ? "none" : this.card.unlabelled ? "double" : this.card.hidden ? "blind" : "none"]}`); return; }
    this.decide(this.card.offer.action, this.card.offer.label);
  }
  undo() {
    const last = this.history.pop();
    const answer = { answer_id: this.outbox.name(), action: "undo", undoes: last ? last.answer_id : null };
    this.send(answer);
    if (last) this.answered.delete(last.key);
    if (!last || !last.card) { this.back.add(answer.answer_id); this.post.soon(0); return; } // the server knows which face it was
    if (this.card && this.card !== last.card && !this.answered.has(this.card.key)) this.line.unshift(this.card);
    Object.assign(last.card, last.before);
    this.line = this.line.filter((card) => card !== last.card);
    this.show(last.card);
    this.find(".fc-deck-note").value = last.note; // taken back with its answer, and not lost
    this.say("", `Undone: ${last.card.name}`);
  }
  step(by) { return this.look("step", { from: this.card && this.card.place, by: String(by) }); }
  pick(id) { return this.look("deck", { sample: id, pick: "1", count: 1 }); } // one of the small faces, wherever it is from
  async look(what, more) { // at another face, without deciding about this one, which comes back
    if (!this.card) return;
    const from = this.card;
    if (this.outbox.own().length) await this.post.flush(); // what the server does not know yet stands in the way of what comes next
    const found = await this.ask(what, more, { over: () => this.gone || this.card !== from });
    if (!found || !found.faces.length) return;
    const card = this.ready(found.faces[0]);
    if (!this.answered.has(from.key) && !from.stands) this.line.unshift(from);
    this.line = this.line.filter((one) => one.key !== card.key);
    this.show(card);
  }
  next() {
    const card = this.line.shift();
    if (card) this.show(card);
    else this.empty();
    if (this.line.length < FEW && !(this.whole && this.line.length)) this.more();
  }
  empty() { // nothing is left on the screen that a key could be taken for
    this.card = null;
    this.painted = false;
    this.mix.show(false);
    delete this.stage.dataset.face;
    delete document.body.dataset.fercleanFace;
    this.find(".fc-deck-body").classList.add("waits");
  }
  async more() {
    if (this.asking) return;
    const after = this.line.length ? this.line[this.line.length - 1].place : this.card ? this.card.place : this.last;
    this.last = after;
    this.asking = this.ask("deck", { after, count: AHEAD }, { always: true });
    const found = await this.asking;
    this.asking = null;
    if (!found) return;
    const here = new Set([...this.line.map((card) => card.key), this.card && this.card.key]);
    const fresh = found.faces.filter((card) => !here.has(card.id + card.token) && !this.answered.has(card.id + card.token));
    this.whole = !fresh.length; // all that is open is here
    for (const card of fresh) this.line.push(this.ready(card));
    if (!this.card && this.line.length) this.next();
    else if (!this.card && !fresh.length) {
      await this.post.flush();
      if (this.outbox.own().length) setTimeout(() => this.gone || this.more(), 500);
      else if (found.faces.some((card) => this.answered.has(card.id + card.token))) { this.answered.clear(); this.more(); } // skipped ones come last
      else this.end();
    }
  }
  async end() {
    await this.post.flush();
    if (!this.outbox.own().length && !this.gone) this.ended();
  }
  taken(found, answers) {
    for (const one of found.taken) {
      if (one.refused) this.refused(one, answers.find((answer) => answer.answer_id === one.answer_id));
    }
    const back = found.taken.filter((one) => this.back.delete(one.answer_id) && !one.refused);
    if (back.length) {
      const [card] = found.faces;
      if (card) {
        this.ready(card);
        this.answered.delete(card.key);
        if (this.card && this.card.key !== card.key && !this.answered.has(this.card.key)) this.line.unshift(this.card);
        this.line = this.line.filter((one) => one.key !== card.key);
        this.show(card);
      }
      this.say("", `Undone: ${found.undone > 1 ? `${found.undone.toLocaleString()} decisions` : back[back.length - 1].name}`);
    }
    if (answers[0].address === this.data.address) this.how(found);
  }
  refused(one, answer) { // each is a row of its own until the person has answered it
    const undo = answer && answer.action === "undo";
    const own = !answer || whose(answer) === this.outbox.reviewer; // another's is not said again in this one's name
    const what = `${undo ? "Not undone" : `Not recorded for ${one.name || "this face"}`}${own ? "" : ` (of ${whose(answer)})`}`;
    this.refusals.push({ one, answer: own && answer, words: `${what}: ${one.newer ? `${one.newer.said} stands, ${one.newer.who}` : one.refused}` });
    this.refusalsShown();
  }
  refusalsShown() {
    const holder = this.find(".fc-deck-asked");
    const rows = this.refusals.slice(0, 3).map((refusal) => {
      const row = document.createElement("div"), words = document.createElement("span");
      words.className = "fc-status trouble";
      words.textContent = refusal.words;
      row.append(words);
      const add = (text, act) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = text;
        button.onclick = () => { this.refusals = this.refusals.filter((other) => other !== refusal); this.refusalsShown(); act(); };
        row.append(button);
      };
      const { one, answer } = refusal;
      if (one.newer && answer) {
        add(`Leave ${one.newer.said}`, () => this.say("", "Left as it was"));
        const what = answer.label ? ` ${this.words.get(answer.label)}` : answer.shares ? `: ${this.mix.told(answer.shares)}` : "";
        add(`Replace by ${answer.action}${what}`, () => this.decide(answer.action, answer.label,
          one.newer.decision_id, { ...answer, id: answer.sample_id, key: answer.sample_id + answer.token, name: one.name, hidden: answer.model_hidden, stands: null, given: null }, answer.shares));
      } else add("Understood", () => {});
      return row;
    });
    holder.replaceChildren(...rows);
  }
  key(event) {
    if (!this.root.isConnected) { this.leave(); return; }
    if (event.key === "Tab") { this.tabbed = true; return; }
    if (elsewhere(event)) return;
    const key = event.key.toLowerCase();
    const letter = event.key.length === 1 && event.key !== " ";
    const digit = /^[0-9]$/.test(key) ? this.classes[(Number(key) + 9) % 10] : null;
    const known = LETTERS[key] || digit || this.asides.keys[key] || ["enter", "u", "arrowleft", "arrowright", "?"].includes(key);
    const shown = letter ? key.toUpperCase() : event.key;
    if (covered()) {
      if (!this.asides.closes(key) && letter && known && key !== "?") tell(`${shown} was not taken: close the open window first (Esc)`);
      return;
    }
    if (key === "escape" && !this.mix.open && this.read()) return;
    const mixes = this.mix.open && (letter || ["escape", "backspace"].includes(key));
    if (!known && !letter && !mixes) return;
    const focus = document.activeElement;
    if (event.repeat) {
      event.preventDefault(); // also of a button that was reached with Tab
      tell(`${shown} is held down: it counts once`);
      return;
    }
    if (key === "enter" && focus && focus !== document.body && this.tabbed) return;
    if (this.mix.open && key !== "?") { event.preventDefault(); this.mixKey(key, digit, shown); return; }
    if (!known) { tell(`${shown} was not taken: it has no meaning here; ? shows the keys`); return; }
    event.preventDefault();
    this.pressed = shown;
    if (key === "a") this.ambiguous(event.shiftKey);
    else if (LETTERS[key]) this.decide(LETTERS[key]);
    else if (digit) digit.click();
    else if (key === "enter") this.accept();
    else if (key === "u") this.undo();
    else if (key === "?") this.map();
    else if (this.asides.keys[key]) this.asides.keys[key]();
    else this.step(key === "arrowleft" ? -1 : 1);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".fc-deck");
  const was = window.__fercleanDeck;
  const ended = () => setTriggerValue("ended", Date.now());
  if (was && was.root === root && !was.gone && was.data.store === data.store && was.data.address === data.address && was.data.turn === data.turn) {
    was.ended = ended;
    was.data.mixed = data.mixed;
    return;
  }
  if (was) was.leave();
  window.__fercleanDeck = new Deck(root, data, ended);
}
