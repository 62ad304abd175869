// The grid: a list of any length of which only what is on the screen is here, decided about one by one or together.
// The list stands on the server while it is looked through, so that a place in it means the same face to both.
const PAGE = 60; // tiles that are asked for at a time
const KEPT = 480; // tiles that stay in memory
const GAP = 10, UNDER = 40, HEAD = 46; // px between tiles, of the words below one, of a group's line
const MOST_LISTED = 100000; // a browser draws no longer page; filters narrow it, and choosing all still means all
const LOOK = 300; // ms that new faces are on the screen before a key is taken for them
const ACTS = { k: "keep", a: "ambiguous", x: "exclude", s: "skip" };
const SAID = { keep: "kept", ambiguous: "ambiguous", exclude: "excluded", skip: "skipped" };

class Grid extends Recorder {
  constructor(root, data, went) {
    super(root, data);
    Object.assign(this, { went, tiles: new Map(), shown: new Map(), heads: new Map(), asked: new Set(), chosen: new Ranges(), sections: [], total: 0,
      at: -1, anchor: 0, run: 0, sent: data.heard, pointer: null });
    [this.scroll, this.canvas, this.box, this.band] = [".fc-grid-scroll", ".fc-grid-canvas", ".fc-grid-tiles", ".fc-grid-band"].map(this.find);
    this.facets = new Facets(this.find(".fc-grid-facets"), () => this.filtered());
    this.controls();
    this.down = (event) => this.key(event);
    document.addEventListener("keydown", this.down);
    this.scroll.onscroll = () => this.scrolled();
    this.sized = new ResizeObserver(() => { if (this.layout()) this.draw(); });
    this.sized.observe(this.scroll);
    this.pointers();
    this.open(data);
    this.say("", "Click, shift or drag to choose; a key decides.");
    this.post.flush();
  }
  leave() { document.removeEventListener("keydown", this.down); this.sized.disconnect(); this.post.leave(); this.gone = true; }
  open(data) {
    this.data = data;
    this.params = new URLSearchParams(data.address);
    this.sort = data.orders.some(([name]) => name === this.params.get("sort")) ? this.params.get("sort") : data.orders[0][0];
    this.fill(this.find(".fc-grid-sort"), data.orders, this.sort);
    this.fill(this.find(".fc-grid-action"), data.decisions, data.decisions[0][0]);
    this.facets.open(this.params);
    this.chosen.clear();
    this.scroll.scrollTop = 0;
    this.relist(0);
  }
  fill(select, options, value) {
    select.replaceChildren(...options.map(([name, words]) => Object.assign(document.createElement("option"), { value: name, textContent: words })));
    select.value = value;
  }
  controls() {
    const on = (name, act) => { this.find(name).onclick = (event) => { if (event.detail) event.currentTarget.blur(); act(); }; };
    on(".fc-grid-all", () => this.all());
    on(".fc-grid-none", () => this.none());
    on(".fc-grid-decide", () => this.decideChosen());
    on(".fc-grid-undo", () => this.undo());
    on(".fc-grid-help", () => this.map());
    on(".fc-grid-open", () => this.find(".fc-grid-open").setAttribute("aria-expanded", String(this.root.classList.toggle("facets"))));
    this.find(".fc-grid-sort").onchange = (event) => { this.sort = event.target.value; this.params.set("sort", this.sort); event.target.blur(); this.filtered(); };
    const size = this.find(".fc-grid-size");
    let kept = null;
    try { kept = localStorage.getItem("ferclean-grid-size"); } catch { /* nothing is kept there */ }
    size.value = ["96", "132", "184"].includes(kept) ? kept : "132";
    size.onchange = () => { try { localStorage.setItem("ferclean-grid-size", size.value); } catch { /* it holds for this page */ } size.blur(); this.layout(); this.draw(); };
    this.find(".fc-grid-action").onchange = (event) => { event.target.blur(); this.bar(); };
  }
  ask(what, more) { // until there is an answer, or another list is asked for
    const run = this.run;
    const address = new URLSearchParams(this.params);
    if (!address.has("state")) address.set("state", "open");
    for (const [name, value] of Object.entries(more)) if (value !== null) address.set(name, value);
    return super.ask(what, address, { over: () => this.gone || run !== this.run, always: true });
  }

  // ---- the list -------------------------------------------------------------------------------------------------
  addressed() { // a reload shows this list
    const address = new URL(location.href);
    for (const name of [...this.data.names, "sort"]) {
      if (this.params.get(name)) address.searchParams.set(name, this.params.get(name)); else address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address);
  }
  filtered() { // what is chosen was chosen among other faces
    this.addressed();
    this.chosen.clear();
    this.sure();
    this.scroll.scrollTop = 0;
    this.at = -1;
    this.relist(0);
    this.tell({});
  }
  tell(more) { // the page around hears of it, for the other pages and the progress; what it draws before is of yesterday
    this.sent += 1;
    this.went({ ...more, n: this.sent, address: Object.fromEntries([...this.data.names, "sort"].map((name) => [name, this.params.get(name) || ""])) });
  }
  async relist(from) { // a new list; what is looked at stays where it is
    this.run += 1;
    this.box.setAttribute("aria-busy", "true");
    const found = await this.ask("grid", { sort: this.sort, start: from - (from % PAGE), count: PAGE });
    if (!found) return;
    this.began(found);
    const counts = await this.ask("counts", {});
    if (counts) this.facets.draw(counts);
  }
  began(found) {
    const last = this.tiles.get(this.at);
    if (this.chosen.size && this.list !== found.list) { // places mean other faces now
      tell("the list was made anew: what was chosen is chosen no longer");
      this.chosen.clear();
      this.sure();
    }
    this.fresh = performance.now();
    Object.assign(this, { list: found.list, total: found.total, judged: found.run, byChoice: found.by_choice });
    this.tiles.clear();
    this.asked.clear();
    let start = 0;
    this.sections = (found.groups || []).map((group) => { const section = { start, size: group.size, group }; start += group.size; return section; });
    const rest = Math.min(this.total, MOST_LISTED) - start;
    if (rest > 0) this.sections.push({ start, size: rest, group: null, headed: start > 0 });
    this.took(found);
    this.at = last && !this.pointer ? ([...this.tiles].find(([, face]) => face.id === last.id) || [-1])[0] : -1;
    const nothing = this.find(".fc-grid-nothing");
    nothing.hidden = this.total > 0;
    nothing.textContent = "No face matches. Clear a filter to see more.";
    this.layout();
    this.draw(true);
    this.box.removeAttribute("aria-busy");
  }
  took(found) {
    found.tiles.forEach((tile, place) => this.tiles.set(found.start + place, tile));
    if (this.tiles.size > KEPT) {
      const [low, high] = this.visible();
      const far = [...this.tiles.keys()].sort((one, other) => Math.abs(other - (low + high) / 2) - Math.abs(one - (low + high) / 2));
      for (const place of far.slice(0, this.tiles.size - KEPT)) { this.tiles.delete(place); this.asked.delete(place - (place % PAGE)); }
    }
  }
  async fetchPages(places) {
    for (const start of new Set(places.map((place) => place - (place % PAGE)))) {
      if (this.asked.has(start) || this.asked.size > 40) continue;
      this.asked.add(start);
      const found = await this.ask("grid", { list: this.list, sort: this.sort, start, count: PAGE });
      if (!found) return;
      this.asked.delete(start);
      if (found.list !== this.list) { // the server was started again: places mean other faces now
        this.run += 1;
        this.began(found);
        return;
      }
      this.took(found);
      this.draw(true);
    }
  }

  // ---- where tiles are ------------------------------------------------------------------------------------------
  layout() {
    const width = this.scroll.clientWidth - 4, wanted = Number(this.find(".fc-grid-size").value);
    if (width <= 0) return false;
    const columns = Math.max(1, Math.floor((width + GAP) / (wanted + GAP)));
    this.columns = columns;
    this.side = (width - GAP * (columns - 1)) / columns;
    this.high = this.side + UNDER + GAP;
    let top = 2;
    for (const section of this.sections) {
      section.top = top;
      section.body = top + (section.group || section.headed ? HEAD : 0);
      top = section.body + Math.ceil(section.size / columns) * this.high;
    }
    this.canvas.style.height = `${top}px`;
    return true;
  }
  sectionOf(place) {
    let [low, high] = [0, this.sections.length - 1];
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.sections[middle].start <= place) low = middle; else high = middle - 1; }
    return this.sections[low];
  }
  spot(place) {
    const section = this.sectionOf(place), within = place - section.start;
    return { x: (within % this.columns) * (this.side + GAP) + 2, y: section.body + Math.floor(within / this.columns) * this.high };
  }
  within(top, bottom) { // first and last place of which something lies there
    let first = -1, last = -1;
    let [low, high] = [0, this.sections.length - 1];
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.sections[middle].top <= top) low = middle; else high = middle - 1; }
    for (let at = low; at < this.sections.length && this.sections[at].top < bottom; at += 1) {
      const { body, start, size } = this.sections[at];
      const from = Math.max(0, Math.floor((top - body) / this.high)) * this.columns, to = Math.min(size, Math.ceil((bottom - body) / this.high) * this.columns);
      if (from >= size || to <= 0) continue;
      if (first < 0) first = start + from;
      last = start + to - 1;
    }
    return [first, last];
  }
  visible(beyond = 0) { return this.within(this.scroll.scrollTop - beyond, this.scroll.scrollTop + this.scroll.clientHeight + beyond); }

  scrolled() { // what a key is taken for is what the pointer is over, or what is still on the screen
    this.draw();
    if (this.pointer) {
      const under = document.elementFromPoint(...this.pointer), tile = under && under.closest(".fc-grid-tile");
      this.at = tile && this.box.contains(tile) ? Number(tile.dataset.place) : -1;
    } else if (this.at >= 0) {
      const [first, last] = this.visible();
      if (this.at < first || this.at > last) this.at = -1;
    }
    this.draw();
  }

  // ---- drawing --------------------------------------------------------------------------------------------------
  draw(anew = false) {
    if (!this.columns) return;
    const [first, last] = this.total ? this.visible(this.high) : [0, -1];
    for (const [place, tile] of this.shown) if (place < first || place > last) { tile.remove(); this.shown.delete(place); }
    const missing = [];
    for (let place = first; place >= 0 && place <= last; place += 1) {
      if (!this.tiles.has(place)) missing.push(place);
      const known = this.shown.get(place), tile = known || this.tile(place);
      if (!known) { this.shown.set(place, tile); this.box.append(tile); }
      this.face(tile, place, anew || !known);
    }
    this.headLines();
    this.bar();
    const active = this.at >= 0 && this.shown.has(this.at);
    if (active) this.box.setAttribute("aria-activedescendant", `fc-tile-${this.at}`); else this.box.removeAttribute("aria-activedescendant");
    clearTimeout(this.later);
    if (missing.length) this.later = setTimeout(() => this.gone || this.fetchPages(missing), 60); // not while it flies past
  }
  tile(place) {
    const tile = document.createElement("div");
    tile.className = "fc-grid-tile";
    tile.id = `fc-tile-${place}`;
    tile.dataset.place = place;
    tile.setAttribute("role", "option");
    tile.innerHTML = '<div class="pic"><img alt="" draggable="false"><p hidden></p><span class="tick"></span><span class="done"></span></div><div class="words"></div><div class="says"></div>';
    return tile;
  }
  face(tile, place, anew) {
    const { x, y } = this.spot(place), face = this.tiles.get(place);
    Object.assign(tile.style, { left: `${x}px`, top: `${y}px`, width: `${this.side}px` });
    tile.setAttribute("aria-selected", String(this.chosen.has(place)));
    tile.classList.toggle("cursor", place === this.at);
    if (!face || (!anew && tile.dataset.face === face.id + (face.mark || ""))) return;
    tile.dataset.face = face.id + (face.mark || "");
    tile.classList.toggle("drawn", face.drawn);
    const [image, trouble] = [tile.querySelector("img"), tile.querySelector("p")];
    if (face.picture) image.src = face.picture; else image.removeAttribute("src");
    image.hidden = !face.picture;
    trouble.hidden = Boolean(face.picture);
    trouble.textContent = face.trouble || "";
    const words = tile.querySelector(".words"), says = tile.querySelector(".says"), name = (label) => this.data.words.get(label) || label;
    const part = (kind, text) => Object.assign(document.createElement(kind ? "span" : "i"), { className: kind, textContent: text });
    words.replaceChildren(part("given", face.given ? name(face.given) : "unknown"), ...(face.suggested ? [" → ", part("suggested", name(face.suggested))] : []));
    const bold = (text) => Object.assign(document.createElement("b"), { textContent: text });
    const verdict = face.verdict ? `${face.verdict}${face.p === null ? "" : ` ${Math.round(100 * face.p)}%`}` : "";
    says.replaceChildren(...(face.drawn ? [bold("random check, alone")] : [verdict, ...(face.brief ? [" · ", bold(face.brief)] : [])]));
    const done = face.action === "relabel" ? `→ ${name(face.label)}` : face.action ? SAID[face.action] : face.skipped ? "skipped" : "";
    tile.querySelector(".done").textContent = done;
    tile.title = face.name;
    tile.setAttribute("aria-label", [face.name, `given ${face.given || "unknown"}`, face.suggested ? `suggested ${face.suggested}` : "", verdict, face.drawn ? "random check" : "", done].filter(Boolean).join(", "));
  }
  headLines() {
    const [top, bottom] = [this.scroll.scrollTop - 200, this.scroll.scrollTop + this.scroll.clientHeight + 200];
    const here = this.at >= 0 && this.total ? this.sectionOf(this.at) : null, holder = this.find(".fc-grid-heads"), wanted = new Set();
    for (const section of this.sections) {
      if (!(section.group || section.headed) || section.top < top || section.top > bottom) continue;
      wanted.add(section);
      let line = this.heads.get(section);
      if (!line) {
        line = document.createElement("div");
        line.className = "fc-grid-head";
        const title = document.createElement("b"), rest = document.createElement("span");
        line.append(title, rest);
        if (section.group) {
          const { flow, size, right, offer, verdict } = section.group, button = document.createElement("button");
          title.textContent = flow;
          rest.textContent = `${size} ${verdict} faces alike; the proposal is right for about ${right}: first decide the odd ones alone, then the rest at once`;
          button.type = "button";
          button.textContent = `${offer[0].toUpperCase()}${offer.slice(1)} what is left`;
          button.onclick = () => this.decideGroup(section);
          line.append(button);
        } else { title.textContent = "One by one"; rest.textContent = `${section.size.toLocaleString("en")} faces that are less sure, or of the random check`; }
        this.heads.set(section, line);
        holder.append(line);
      }
      line.style.top = `${section.top}px`;
      line.classList.toggle("here", section === here);
    }
    for (const [section, line] of this.heads) if (!wanted.has(section)) { line.remove(); this.heads.delete(section); }
  }
  bar() {
    const many = (count) => count.toLocaleString("en"), size = this.chosen.size;
    this.find(".fc-grid-total").textContent = `${many(this.total)} faces${this.total > MOST_LISTED ? `, ${many(MOST_LISTED)} listed` : ""}`;
    this.find(".fc-grid-chosen").textContent = size ? `${many(size)} chosen` : "";
    Object.assign(this.find(".fc-grid-all"), { textContent: `Choose all ${many(this.total)}`, disabled: !this.total || size === this.total });
    this.find(".fc-grid-none").disabled = !size;
    Object.assign(this.find(".fc-grid-decide"), { textContent: `Decide ${many(size)}`, disabled: !size || !this.find(".fc-grid-action").value });
  }

  // ---- choosing -------------------------------------------------------------------------------------------------
  pointers() {
    const placeOf = (event) => { const tile = event.target.closest(".fc-grid-tile"); return tile ? Number(tile.dataset.place) : -1; };
    const spot = (event) => { const box = this.canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    let from = null;
    this.box.onpointermove = (event) => {
      const place = placeOf(event);
      this.pointer = [event.clientX, event.clientY];
      if (from && !(event.buttons & 1)) { from = null; this.band.hidden = true; } // it was let go elsewhere
      if (!from && place !== this.at) { this.at = place; this.draw(); }
      if (!from) return;
      const [x, y] = spot(event);
      if (!from.moved && Math.hypot(x - from.x, y - from.y) < 8) return;
      from.moved = true;
      this.box.setPointerCapture(event.pointerId);
      this.band.hidden = false;
      Object.assign(this.band.style, { left: `${Math.min(x, from.x)}px`, top: `${Math.min(y, from.y)}px`, width: `${Math.abs(x - from.x)}px`, height: `${Math.abs(y - from.y)}px` });
    };
    this.box.onpointerdown = (event) => { if (event.button === 0) { const [x, y] = spot(event); from = { x, y, place: placeOf(event) }; } };
    this.box.onpointerup = (event) => {
      if (!from) return;
      const was = from, [x, y] = spot(event);
      from = null;
      this.band.hidden = true;
      if (was.moved) { this.caught(Math.min(x, was.x), Math.min(y, was.y), Math.max(x, was.x), Math.max(y, was.y), !event.altKey); return; }
      if (was.place < 0 || was.place !== placeOf(event)) return;
      if (event.shiftKey) this.span(was.place); else this.toggle(was.place);
    };
    this.box.onpointerleave = () => { this.pointer = null; };
    this.box.onpointercancel = () => { from = null; this.band.hidden = true; };
    this.box.ondblclick = (event) => { const place = placeOf(event); if (place >= 0) this.alone(place); };
  }
  caught(left, top, right, bottom, on) {
    const [first, last] = this.within(top, bottom);
    for (let place = first; place >= 0 && place <= last; place += 1) {
      const { x, y } = this.spot(place);
      if (x < right && x + this.side > left && y < bottom && y + this.side > top) this.chosen.set(place, place + 1, on);
    }
    this.sure();
    this.draw();
  }
  toggle(place) {
    const face = this.tiles.get(place);
    if (face && face.drawn) { tell("a face of the random check is decided alone: O opens it"); return; }
    this.chosen.set(place, place + 1, !this.chosen.has(place));
    this.at = this.anchor = place;
    this.sure();
    this.draw();
  }
  span(place) { this.chosen.set(Math.min(this.anchor, place), Math.max(this.anchor, place) + 1, true); this.at = place; this.sure(); this.draw(); }
  move(by, event) {
    if (!this.total) return;
    this.pointer = null;
    let place = this.at;
    if (place < 0) [place] = this.visible();
    else if (Math.abs(by) === 1) place += by;
    else { // the same column of the next row, also where another group begins there
      const { x, y } = this.spot(place);
      for (let next = place + Math.sign(by); next >= 0 && next < this.listed(); next += Math.sign(by)) {
        const there = this.spot(next);
        if (there.y === y) continue;
        place = next;
        if (by > 0 ? there.x >= x : there.x <= x) break;
        if (Math.abs(next - this.at) > 2 * this.columns) break;
      }
    }
    place = Math.max(0, Math.min(this.listed() - 1, place));
    if (event.shiftKey) { if (!this.chosen.size) this.anchor = Math.max(0, this.at); this.at = place; this.span(place); } else { this.at = place; this.anchor = place; }
    this.reveal(place);
    this.draw();
  }
  listed() { return Math.min(this.total, MOST_LISTED); }
  reveal(place) {
    const { y } = this.spot(place), head = this.sectionOf(place).start === place ? HEAD : 0;
    if (y - head < this.scroll.scrollTop) this.scroll.scrollTop = y - head - 4;
    else if (y + this.high > this.scroll.scrollTop + this.scroll.clientHeight) this.scroll.scrollTop = y + this.high - this.scroll.clientHeight;
  }

  all() { this.sure(); this.chosen.set(0, this.total, true); this.draw(); }
  none() { this.sure(); this.chosen.clear(); this.draw(); }

  // ---- deciding -------------------------------------------------------------------------------------------------
  alone(place) {
    const face = this.tiles.get(place);
    if (face) this.tell({ sample: face.id, page: "review" });
  }
  single(place, action, label) {
    const face = this.tiles.get(place);
    if (!face) { tell(`${this.pressed || "this"} was not taken: point at a face or choose some first`); return; }
    if (face.drawn) { tell(`${this.pressed || "this"} was not taken: a face of the random check is decided alone; O opens it`); return; }
    if (action === "offer") {
      if (!face.offer) { tell("Enter was not taken: nothing is proposed for this face; choose an answer of your own"); return; }
      ({ action, label } = face.offer);
    }
    const answer = { answer_id: this.outbox.name(), action, label: label || null, sample_id: face.id, seen: face.seen, model_hidden: this.data.blind, by_choice: this.byChoice,
      run_id: this.judged, note: "", seconds: null };
    if (action === "skip") face.skipped = true;
    else {
      const kept = action === "relabel" && label === face.given;
      Object.assign(face, { seen: answer.answer_id, action: kept ? "keep" : action, label: action === "relabel" ? label : null, skipped: false });
    }
    face.mark = answer.answer_id;
    this.put({ ...answer, address: this.base() });
    this.say("saved", `${face.name}: ${face.skipped ? "skipped" : face.action === "relabel" ? `→ ${this.data.words.get(face.label)}` : SAID[face.action]}`);
    const { start, size } = this.sectionOf(place); // not on to another group: Enter would decide that one
    if (!this.pointer && place + 1 < start + size) this.at = place + 1; // what the pointer is over stays meant
    if (!this.pointer) this.reveal(this.at);
    this.draw(true);
  }
  base() { return this.params.toString(); }
  taken(found, answers) {
    for (const one of found.taken) {
      if (one.refused && this.back.delete(one.answer_id)) this.say("", `Not undone: ${one.refused}`);
      else if (one.refused) this.say("trouble", `Not recorded for ${one.name || "this face"}: ${one.newer ? `${one.newer.said} stands, ${one.newer.who}` : one.refused}`);
      else if (this.saved(one)) continue;
      else if (this.back.delete(one.answer_id)) this.say("", found.undone ? `Undone: ${found.undone.toLocaleString("en")} ${found.undone === 1 ? "decision" : "decisions"}` : "Nothing to undo");
      else continue;
      this.relist(Math.max(0, this.visible()[0]));
    }
    if (answers.length) { clearTimeout(this.heard); this.heard = setTimeout(() => this.gone || this.tell({}), 1500); } // the progress above
  }
  saved(one) { // the tile that shows it now knows which decision it is
    for (const face of this.tiles.values()) if (face.mark === one.answer_id) { if (face.seen === one.answer_id) face.seen = one.decision_id; return true; }
    return false;
  }
  undo() {
    const answer = { answer_id: this.outbox.name(), action: "undo", undoes: null, address: this.base() };
    this.back.add(answer.answer_id);
    this.outbox.put(answer);
    this.count();
    this.post.soon(0);
  }
  decideChosen() {
    const [action, label] = this.find(".fc-grid-action").value.split(/:(.*)/s);
    this.bulk(this.chosen.list, action, label || null);
  }
  decideGroup(section) { this.bulk([[section.start, section.start + section.size]], "offer", null, true); }
  async bulk(ranges, action, label, open_only = false) {
    if (this.busy) { tell("the decision before is still being recorded"); return; }
    this.busy = true;
    this.sure();
    try {
      await this.post.flush(); // what was decided by itself is not decided with the others
      if (this.outbox.own().length) { this.say("trouble", "Not recorded: the answers before are not saved yet; try again when they are."); return; }
      const what = { bulk_id: crypto.randomUUID ? crypto.randomUUID() : this.outbox.name(), list: this.list, ranges: ranges.map((range) => [...range]), action, label, open_only };
      const inside = (place) => ranges.some(([start, end]) => start <= place && place < end);
      what.seen = [...this.tiles].filter(([place, face]) => typeof face.seen === "number" && face.seen && inside(place)).map(([place, face]) => [place, face.seen]);
      const plan = await this.bulkOf({ ...what, dry: true });
      if (!plan) return;
      if (!plan.count) this.say("", `Nothing to decide: ${plan.told}`);
      else if (plan.asks) this.sure(`${plan.told}: are so many meant?`, `Yes, decide ${plan.count.toLocaleString("en")}`, () => this.record(what));
      else await this.record(what);
    } finally { this.busy = false; }
  }
  async record(what) {
    this.sure();
    this.say("", "Recording …");
    const done = await this.bulkOf(what);
    if (!done) return;
    this.say("saved", `${done.told}. One undo takes all of them back.`);
    this.chosen.clear();
    await this.relist(Math.max(0, this.visible()[0]));
    this.tell({});
  }
  async bulkOf(what) { // again under its name, which is recorded once
    let no = false;
    const say = (kind, text, refused) => { no = refused; this.say(kind, refused ? `Not recorded: ${text}` : text); };
    const found = await super.ask("bulk", this.base(), { sent: what, patience: LONG, say });
    if (no) this.relist(Math.max(0, this.visible()[0]));
    else if (!found && what.dry) this.say("trouble", `Not recorded: ${SILENT}`);
    else if (!found) this.sure(`${SILENT} It is not known whether this was recorded.`, "Send again", () => this.record(what));
    return found;
  }
  sure(text, yes, act) {
    const holder = this.find(".fc-grid-sure");
    holder.replaceChildren();
    if (!text) return;
    this.say("trouble", text);
    for (const [words, does] of [[yes, act], ["No", () => { this.sure(); this.say("", "Nothing was decided"); }]]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: words, onclick: does });
      holder.append(button);
    }
    holder.lastChild.focus(); // a key that was pressed once too often decides nothing
  }

  // ---- keys -----------------------------------------------------------------------------------------------------
  key(event) {
    if (!this.root.isConnected) { this.leave(); return; }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && !field(event) && !covered()) {
      event.preventDefault();
      this.all();
      return;
    }
    if (elsewhere(event)) return;
    if (event.repeat && ["Enter", " "].includes(event.key)) { event.preventDefault(); tell("a key that is held down counts once"); return; }
    const focus = document.activeElement, onButton = focus && focus !== document.body && focus !== this.box && ["Enter", " "].includes(event.key);
    if (onButton) return; // a button or a fold that was reached with Tab
    const key = event.key.toLowerCase(), letter = event.key.length === 1 && event.key !== " ";
    const label = /^[0-9]$/.test(key) ? this.data.classes[(Number(key) + 9) % 10] : null;
    const moves = { arrowleft: -1, arrowright: 1, arrowup: -2, arrowdown: 2 }[key];
    const known = ACTS[key] || label || moves || ["enter", " ", "u", "o", "?", "escape", "home", "end"].includes(key);
    this.pressed = letter ? key.toUpperCase() : event.key;
    if (covered()) { if (letter && known && key !== "?") tell(`${this.pressed} was not taken: close the open window first (Esc)`); return; }
    if (!known) { if (letter) tell(`${this.pressed} was not taken: it has no meaning here; ? shows the keys`); return; }
    event.preventDefault();
    if (moves) { this.move(moves, event); return; }
    if (event.repeat) { tell(`${this.pressed} is held down: it counts once`); return; }
    const many = this.chosen.size;
    if ((ACTS[key] || label || key === "enter") && performance.now() - this.fresh < LOOK) { tell(`${this.pressed} was not taken: these faces have only just come`); return; }
    if (ACTS[key]) { if (many) this.bulk(this.chosen.list, ACTS[key], null); else this.single(this.at, ACTS[key], null); }
    else if (label) { if (many) this.bulk(this.chosen.list, "relabel", label[0]); else this.single(this.at, "relabel", label[0]); }
    else if (key === "enter") {
      if (many) this.decideChosen();
      else if (this.at >= 0 && this.sectionOf(this.at).group) this.decideGroup(this.sectionOf(this.at));
      else this.single(this.at, "offer", null);
    } else if (key === " ") { if (this.at >= 0) this.toggle(this.at); }
    else if (key === "u") this.undo();
    else if (key === "o") this.alone(this.at);
    else if (key === "?") this.map();
    else if (key === "escape") this.none();
    else { this.pointer = null; this.at = key === "home" ? 0 : this.listed() - 1; this.reveal(this.at); this.draw(); }
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".fc-grid"), was = window.__fercleanGrid;
  const given = { ...data, words: new Map(data.classes) };
  const same = (one, other) => [...data.names, "sort", ...data.kept].every((name) => (one.get(name) || "") === (other.get(name) || ""));
  const went = (what) => setTriggerValue("went", JSON.stringify({ ...what, at: Date.now() }));
  if (was && was.root === root && !was.gone && was.data.store === data.store && was.data.turn === data.turn) {
    was.went = went;
    if (data.heard < was.sent) { // drawn before the page around heard of the latest choice, and so is its address
      was.addressed();
      return;
    }
    if (!same(was.params, new URLSearchParams(data.address))) was.open(given);
    return;
  }
  if (was) was.leave();
  window.__fercleanGrid = new Grid(root, given, went);
  document.body.dataset.fercleanFace = "";
}
