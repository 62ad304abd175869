// The map: all faces as points that are written into the picture's pixels by hand, which a browser without a graphics
// card does for 100,000 in a few milliseconds. Points come once, as numbers; faces are asked for when they are pointed at.
const SIDE = 65535; // as the server tells places
const CELLS = 128; // of the grid in which the point under the pointer is sought
const CORNERS = 60; // of an area at most: it has to fit into an address
const KEPT = 400; // faces that are not asked for again
const NEAR = 9; // px within which a point is meant
const GREY = "none";

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const say = (value) => value.toLocaleString("en");
const make = (tag, kind, text) => { // text is set, never parsed
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  return node;
};

// Which places lie in a polygon: the same sum as in ferclean/review/area.py, so that both count the same
const inside = (corners, x, y) => {
  let odd = false;
  for (let at = 0; at < corners.length; at += 1) {
    const [x1, y1] = corners[at], [x2, y2] = corners[(at + 1) % corners.length];
    if ((y1 > y) !== (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
};

// Fewer corners: those that change nothing go first (Douglas and Peucker), more of them until they are few enough
const fewer = (line) => {
  const off = ([x, y], [x1, y1], [x2, y2]) => {
    const [dx, dy] = [x2 - x1, y2 - y1], length = dx * dx + dy * dy;
    const t = length ? clamp(((x - x1) * dx + (y - y1) * dy) / length, 0, 1) : 0;
    return Math.hypot(x - x1 - t * dx, y - y1 - t * dy);
  };
  for (let most = SIDE / 4000; ; most *= 1.5) {
    const keep = new Uint8Array(line.length), left = [[0, line.length - 1]];
    keep[0] = keep[line.length - 1] = 1;
    while (left.length) {
      const [from, to] = left.pop();
      let far = most, at = 0;
      for (let i = from + 1; i < to; i += 1) { const gap = off(line[i], line[from], line[to]); if (gap > far) { far = gap; at = i; } }
      if (at) { keep[at] = 1; left.push([from, at], [at, to]); }
    }
    const found = line.filter((_, at) => keep[at]);
    if (found.length <= CORNERS) return found;
  }
};

class FaceMap extends Screen {
  constructor(root, data) {
    super(root, data);
    Object.assign(this, { points: null, lit: new Set(), faces: new Map(), trail: [], chosen: null, area: [], drawing: null, lasso: false, hovered: -1 });
    this.plate = this.find(".fc-map-plate");
    [this.canvas, this.over] = root.querySelectorAll("canvas");
    this.find(".lasso").onclick = () => this.arm(!this.lasso);
    this.find(".whole").onclick = () => { this.fit(); this.draw(); };
    this.pointers();
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(this.plate);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => setTimeout(() => this.gone || (this.colour(), this.draw()), 50);
    this.scheme.addEventListener("change", this.recolour);
    if (data.aside) this.say("trouble", data.aside);
    this.load();
  }
  leave() { this.gone = true; this.sized.disconnect(); this.scheme.removeEventListener("change", this.recolour); }
  async load() {
    const began = performance.now();
    const found = await this.ask("map", this.data.address, { always: true, patience: LONG });
    if (!found) return;
    this.read(found);
    this.colourings();
    this.fit();
    if (this.data.area) this.setArea(this.data.area.split(";").slice(1).map((pair) => pair.split(",").map(Number)));
    this.paint();
    this.root.dataset.ready = String(Math.round(performance.now() - began));
    this.greet();
  }
  read(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const { count } = this.head;
    this.x = new Uint16Array(buffer, 4 + length, count);
    this.y = new Uint16Array(buffer, 4 + length + 2 * count, count);
    this.codes = this.head.colourings.map((_, at) => new Uint8Array(buffer, 4 + length + 4 * count + at * count, count));
    // points by cell, so that the one under the pointer is found at once
    const cell = (at) => Math.min(CELLS - 1, (this.y[at] * CELLS / (SIDE + 1)) | 0) * CELLS + ((this.x[at] * CELLS / (SIDE + 1)) | 0);
    this.start = new Uint32Array(CELLS * CELLS + 1);
    for (let at = 0; at < count; at += 1) this.start[cell(at) + 1] += 1;
    for (let at = 0; at < CELLS * CELLS; at += 1) this.start[at + 1] += this.start[at];
    const next = this.start.slice();
    this.order = new Uint32Array(count);
    for (let at = 0; at < count; at += 1) this.order[next[cell(at)]++] = at;
    this.width = this.x.reduce((a, b) => Math.max(a, b), 1);
    this.height = this.y.reduce((a, b) => Math.max(a, b), 1);
  }
  colourings() {
    const holder = this.find(".fc-map-by");
    let kept = null;
    try { kept = localStorage.getItem("ferclean-map-by"); } catch { /* nothing is kept there */ }
    holder.replaceChildren(make("span", "quiet", "Colour by"), ...this.head.colourings.map((one, at) => {
      const button = make("button", "", one.title);
      button.type = "button";
      button.onclick = () => { try { localStorage.setItem("ferclean-map-by", one.key); } catch { /* it holds for this page */ } this.by = at; this.lit.clear(); this.legend(); this.draw(); this.counted(); };
      return button;
    }));
    this.by = Math.max(0, this.head.colourings.findIndex((one) => one.key === kept));
    this.legend();
  }
  legend() {
    [...this.find(".fc-map-by").querySelectorAll("button")].forEach((button, at) => button.setAttribute("aria-pressed", String(at === this.by)));
    const { codes } = this.head.colourings[this.by];
    this.find(".fc-map-legend").replaceChildren(...codes.flatMap(([name, count, tone], code) => {
      if (!count) return [];
      const button = make("button"), mark = make("i", `tone-${tone.replace(/\d+$/, (n) => n % 8)} shape-${this.shape(tone)}`);
      button.type = "button";
      button.append(mark, make("span", "", name), make("small", "num", say(count)));
      button.title = `${name}: show it alone, or with others`;
      button.onclick = () => { if (!this.lit.delete(code)) this.lit.add(code); this.pressed(); this.draw(); this.counted(); };
      button.dataset.code = code;
      return [button];
    }));
    this.pressed();
    this.colour();
  }
  pressed() {
    for (const button of this.find(".fc-map-legend").children) {
      const on = this.lit.has(Number(button.dataset.code));
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("off", Boolean(this.lit.size) && !on);
    }
  }
  shape(tone) { return tone.startsWith("m") ? Math.min(3, Math.floor(Number(tone.slice(1)) / 8)) : 0; }
  colour() { // the legend's own colours, in whatever theme it is drawn
    if (!this.head) return;
    const packed = (node, what) => {
      const [r, g, b] = getComputedStyle(node)[what].match(/[\d.]+/g).map(Number);
      return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
    };
    const { codes } = this.head.colourings[this.by];
    this.inks = new Uint32Array(256);
    this.shapes = codes.map(([, , tone]) => this.shape(tone));
    for (const button of this.find(".fc-map-legend").children) this.inks[button.dataset.code] = packed(button.firstChild, "color");
    this.ground = packed(this.plate, "backgroundColor");
    // each byte of both colours, half and half
    this.pales = this.inks.map((ink) => (((ink & 0xfefefefe) >>> 1) + ((this.ground & 0xfefefefe) >>> 1) | 0xff000000) >>> 0);
    this.faint = packed(this.find(".fc-map-hint"), "borderBottomColor");
    this.ink = getComputedStyle(this.plate).color;
  }
  resize() {
    const box = this.plate.getBoundingClientRect(), ratio = Math.min(2, devicePixelRatio || 1);
    if (!box.width || !box.height) return;
    const [wide, high] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (wide === this.canvas.width && high === this.canvas.height && this.image) return;
    const was = this.view && this.image ? { x: (this.canvas.width / 2 - this.view.x) / this.view.k, y: (this.canvas.height / 2 - this.view.y) / this.view.k, z: this.view.k / this.view.whole } : null;
    for (const canvas of [this.canvas, this.over]) { canvas.width = wide; canvas.height = high; }
    this.ratio = ratio;
    this.image = this.canvas.getContext("2d").createImageData(wide, high);
    this.pixels = new Uint32Array(this.image.data.buffer);
    if (!this.x) return;
    this.fit();
    if (was) { this.view.k *= was.z; this.view.x = wide / 2 - was.x * this.view.k; this.view.y = high / 2 - was.y * this.view.k; }
    this.paint();
  }
  fit() {
    if (!this.image) this.resize();
    if (!this.image || !this.x) return;
    const edge = 24 * this.ratio, { width, height } = this.canvas;
    const whole = Math.min((width - 2 * edge) / this.width, (height - 2 * edge) / this.height);
    this.view = { k: whole, whole, x: (width - this.width * whole) / 2, y: (height - this.height * whole) / 2 };
  }
  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; if (!this.gone) this.paint(); });
  }
  // what one point leaves in the picture: pixels of an edge in the ground's colour, of half its own, and of its own
  stamp(radius, shape) {
    const edge = [], half = [], core = [], wide = this.canvas.width, reach = Math.ceil(radius) + 2;
    for (let dy = -reach; dy <= reach; dy += 1) for (let dx = -reach; dx <= reach; dx += 1) {
      const [ax, ay] = [Math.abs(dx), Math.abs(dy)];
      const far = [Math.hypot(dx, dy), Math.max(ax, ay) * 1.12, (ax + ay) * 0.8, Math.min(ax, ay) * 2.4 + Math.max(ax, ay) * 0.7][shape];
      if (far <= radius - 0.4) core.push(dy * wide + dx);
      else if (far <= radius + 0.4) (radius < 2.5 ? core : half).push(dy * wide + dx);
      else if (far <= radius + 1.2 && radius >= 2.5) edge.push(dy * wide + dx);
    }
    return { edge: Int32Array.from(edge), half: Int32Array.from(half), core: Int32Array.from(core), reach };
  }
  paint() {
    if (!this.image || !this.view || !this.x) return;
    const { pixels, x, y, inks, view } = this, { width, height } = this.canvas, codes = this.codes[this.by], count = x.length;
    pixels.fill(this.ground);
    const roomy = clamp(Math.sqrt(width * height * 0.2 / (count * Math.PI)), 1, 5 * this.ratio);
    this.radius = Math.min(8 * this.ratio, roomy * (view.k / view.whole) ** 0.6);
    const stamps = [0, 1, 2, 3].map((shape) => this.stamp(this.radius, shape)), small = this.stamp(Math.max(1, this.radius * 0.7), 0);
    const put = ({ edge, half, core, reach }, at, ink, pale) => {
      const px = (x[at] * view.k + view.x) | 0, py = (y[at] * view.k + view.y) | 0;
      if (px < reach || py < reach || px >= width - reach || py >= height - reach) return;
      const base = py * width + px;
      for (let i = 0; i < edge.length; i += 1) pixels[base + edge[i]] = this.ground;
      for (let i = 0; i < half.length; i += 1) pixels[base + half[i]] = pale;
      for (let i = 0; i < core.length; i += 1) pixels[base + core[i]] = ink;
    };
    const all = !this.lit.size, lit = new Uint8Array(256);
    for (const code of this.lit) lit[code] = 1;
    if (!all) for (let at = 0; at < count; at += 1) if (!lit[codes[at]]) put(small, at, this.faint, this.faint);
    for (let at = 0; at < count; at += 1) if (all || lit[codes[at]]) put(stamps[this.shapes[codes[at]]], at, inks[codes[at]], this.pales[codes[at]]);
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
    this.marks();
  }
  place(at) { return [this.x[at] * this.view.k + this.view.x, this.y[at] * this.view.k + this.view.y]; }
  marks() {
    const pen = this.over.getContext("2d"), { ratio, view } = this;
    pen.clearRect(0, 0, this.over.width, this.over.height);
    if (!view) return;
    const ring = (at, size, width) => { const [px, py] = this.place(at); pen.lineWidth = width * ratio; pen.beginPath(); pen.arc(px, py, this.radius + size * ratio, 0, 7); pen.stroke(); };
    pen.strokeStyle = this.ink;
    if (this.chosen) {
      const [px, py] = this.place(this.chosen.at);
      pen.globalAlpha = 0.5; pen.lineWidth = ratio;
      for (const one of this.chosen.alike) if (one.at !== null) { const [qx, qy] = this.place(one.at); pen.beginPath(); pen.moveTo(px, py); pen.lineTo(qx, qy); pen.stroke(); ring(one.at, 2, 1.5); }
      pen.globalAlpha = 1;
      ring(this.chosen.at, 4, 3);
    }
    if (this.hovered >= 0) ring(this.hovered, 2, 2);
    const line = this.drawing || this.area;
    if (line.length > 1) {
      pen.beginPath();
      line.forEach(([cx, cy], at) => pen[at ? "lineTo" : "moveTo"](cx * view.k + view.x, cy * view.k + view.y));
      if (!this.drawing) pen.closePath();
      pen.lineWidth = 2 * ratio; pen.setLineDash([6 * ratio, 4 * ratio]); pen.stroke(); pen.setLineDash([]);
      pen.globalAlpha = 0.1; pen.fillStyle = this.ink; pen.fill("evenodd"); pen.globalAlpha = 1;
    }
  }
  spot(event) { const box = this.plate.getBoundingClientRect(); return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio]; }
  data_at([px, py]) { return [(px - this.view.x) / this.view.k, (py - this.view.y) / this.view.k]; }
  nearest([px, py], within) {
    const reach = within / this.view.k, [cx, cy] = this.data_at([px, py]), codes = this.codes[this.by];
    const cell = (value) => clamp(Math.floor(value * CELLS / (SIDE + 1)), 0, CELLS - 1);
    let best = -1, least = reach * reach;
    for (let row = cell(cy - reach); row <= cell(cy + reach); row += 1) {
      for (let i = this.start[row * CELLS + cell(cx - reach)]; i < this.start[row * CELLS + cell(cx + reach) + 1]; i += 1) {
        const at = this.order[i], gap = (this.x[at] - cx) ** 2 + (this.y[at] - cy) ** 2;
        if (gap <= least && (!this.lit.size || this.lit.has(codes[at]))) { least = gap; best = at; }
      }
    }
    return best;
  }
  zoom([px, py], by) {
    const { view } = this, next = clamp(view.k * by, view.whole * 0.5, view.whole * 200);
    view.x = px - (px - view.x) * next / view.k;
    view.y = py - (py - view.y) * next / view.k;
    view.k = next;
    this.draw();
  }
  arm(on) {
    this.lasso = on;
    this.find(".lasso").setAttribute("aria-pressed", String(on));
    this.plate.classList.toggle("lassoing", on);
  }
  pointers() {
    const { plate } = this;
    const onto = (event) => event.target === plate || event.target.tagName === "CANVAS";
    plate.addEventListener("wheel", (event) => { if (this.view && onto(event)) { event.preventDefault(); this.zoom(this.spot(event), Math.exp(-event.deltaY * 0.0015)); } }, { passive: false });
    plate.onpointerdown = (event) => {
      if (!this.view || event.button || !onto(event)) return;
      plate.setPointerCapture(event.pointerId);
      this.down = { from: this.spot(event), at: { ...this.view }, moved: false, draws: this.lasso || event.shiftKey };
      this.drawing = this.down.draws ? [this.data_at(this.down.from)] : null;
      this.hover(-1);
      this.find(".fc-map-hint").classList.add("known");
    };
    plate.onpointermove = (event) => {
      if (!this.view) return;
      const here = this.spot(event), { down } = this;
      if (!down) { if (onto(event)) this.hover(this.nearest(here, Math.max(NEAR * this.ratio, this.radius + 2)), here); else this.hover(-1); return; }
      down.moved = down.moved || Math.hypot(here[0] - down.from[0], here[1] - down.from[1]) > 4 * this.ratio;
      if (down.draws) { this.drawing.push(this.data_at(here)); this.marks(); return; }
      if (!down.moved) return;
      this.view.x = down.at.x + here[0] - down.from[0];
      this.view.y = down.at.y + here[1] - down.from[1];
      this.draw();
    };
    plate.onpointerup = plate.onpointercancel = (event) => {
      const { down, drawing } = this;
      this.down = this.drawing = null;
      if (!down) return;
      if (down.draws && down.moved) { this.drawn(drawing); this.arm(false); return; }
      if (event.type === "pointerup" && !down.moved) {
        const at = this.nearest(down.from, Math.max(NEAR * this.ratio, this.radius + 2));
        if (at >= 0) this.choose(at);
      }
      this.marks();
    };
    plate.onpointerleave = () => this.hover(-1);
    plate.ondblclick = (event) => { if (onto(event)) this.zoom(this.spot(event), 2); };
    plate.onkeydown = (event) => {
      if (event.target !== plate || !this.view || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = 60 * this.ratio, middle = [this.canvas.width / 2, this.canvas.height / 2];
      const acts = {
        ArrowLeft: () => { this.view.x += step; }, ArrowRight: () => { this.view.x -= step; }, ArrowUp: () => { this.view.y += step; }, ArrowDown: () => { this.view.y -= step; },
        "+": () => this.zoom(middle, 1.3), "=": () => this.zoom(middle, 1.3), "-": () => this.zoom(middle, 1 / 1.3), 0: () => this.fit(),
        Enter: () => { const at = this.nearest(middle, Math.max(...middle)); if (at >= 0) this.choose(at); },
        Escape: () => { this.arm(false); this.setArea([]); },
      };
      if (!acts[event.key]) return;
      event.preventDefault(); event.stopPropagation();
      acts[event.key]();
      this.draw();
    };
  }
  async face(at, near, over) {
    const key = `${at}${near ? "+" : ""}`;
    if (!this.faces.has(key)) {
      const address = `${this.data.address}&map=${this.head.map}&at=${at}${near ? "&near=1" : ""}`;
      const found = await this.ask("map/face", address, { over });
      if (!found) return null;
      if (this.faces.size > KEPT) this.faces.clear();
      this.faces.set(key, found);
    }
    return this.faces.get(key);
  }
  picture(face, size) {
    const image = face.picture ? make("img") : make("div", "gone", "no picture");
    if (face.picture) { image.src = face.picture; image.alt = face.name; image.draggable = false; } else image.title = face.trouble || "";
    if (size) image.style.width = image.style.height = `${size}px`;
    return image;
  }
  words(face) {
    const line = make("div", "words");
    if (face.given !== null) line.append(make("span", "given-ink", face.given));
    if (face.suggested && face.suggested !== face.given) line.append(" → ", make("span", "suggested-ink", face.suggested));
    return line;
  }
  hover(at, here) {
    const card = this.find(".fc-map-hover");
    if (at === this.hovered) return;
    this.hovered = at;
    clearTimeout(this.soon);
    card.hidden = true;
    this.marks();
    if (at < 0) return;
    this.soon = setTimeout(async () => {
      const face = await this.face(at, false, () => this.gone || this.hovered !== at);
      if (!face || this.hovered !== at) return;
      card.replaceChildren(this.picture(face, 96), make("div", "name", face.name), this.words(face));
      if (face.verdict) card.append(make("div", "quiet", face.verdict));
      if (face.stands) card.append(make("div", "quiet", `your answer: ${face.stands}`));
      const box = this.plate.getBoundingClientRect(), [px, py] = [here[0] / this.ratio, here[1] / this.ratio];
      card.style.left = `${px + 230 > box.width ? px - 210 : px + 18}px`;
      card.style.top = `${clamp(py - 40, 8, Math.max(8, box.height - 190))}px`;
      card.hidden = false;
    }, 60);
  }
  async choose(at, { back = false } = {}) {
    const clicked = (this.clicked = (this.clicked || 0) + 1), face = await this.face(at, true, () => this.gone || this.clicked !== clicked);
    if (!face) return;
    if (this.chosen && !back && this.chosen.at !== at) this.trail.push(this.chosen.at);
    this.chosen = face;
    this.marks();
    const panel = this.find(".fc-map-face"), held = panel.contains(document.activeElement), acts = make("div", "acts"), open = make("a", "fc-map-go", "Open in review");
    open.href = face.review;
    open.target = "_self";
    acts.append(open);
    if (this.trail.length) {
      const before = make("button", "", "← Back");
      before.type = "button";
      before.onclick = () => this.choose(this.trail.pop(), { back: true });
      acts.append(before);
    }
    panel.replaceChildren(this.picture(face), make("div", "name", face.name), this.words(face));
    if (face.verdict) panel.append(make("div", "quiet", face.verdict));
    if (face.stands) panel.append(make("div", "quiet", `your answer: ${face.stands}`));
    panel.append(acts);
    if (this.data.blind) { panel.append(make("p", "quiet", "Blind mode: labels and the faces most alike are hidden.")); return; }
    const list = make("div", "alike");
    for (const one of face.alike) {
      const tile = one.at === null ? make("a") : make("button");
      if (one.at === null) { tile.href = one.review; tile.target = "_self"; } else { tile.type = "button"; tile.onclick = () => this.walk(one.at); }
      tile.title = `${one.name} · ${one.label} · ${one.why}`;
      tile.append(this.picture(one), make("span", one.label === face.given ? "given-ink" : one.label === face.suggested ? "suggested-ink" : "quiet", one.label));
      list.append(tile);
    }
    panel.append(make("h4", "", face.alike.length ? "Most alike: click to go there" : "No faces alike are known"), list);
    if (held) open.focus();
  }
  walk(at) { // a face out of sight is brought into it
    const [px, py] = this.place(at), edge = 40 * this.ratio;
    if (px < edge || py < edge || px > this.canvas.width - edge || py > this.canvas.height - edge) {
      this.view.x += this.canvas.width / 2 - px;
      this.view.y += this.canvas.height / 2 - py;
      this.draw();
    }
    this.choose(at);
  }
  greet() {
    const panel = this.find(".fc-map-face");
    panel.replaceChildren(
      make("p", "quiet", this.data.blind ? "Blind mode: what the model thinks is hidden, so points show only what you have answered, and no labels."
        : "Faces that the recognizer finds alike lie together. Far from its own colour, a face may bear the wrong label."),
      make("p", "quiet", "Point at a face to see it, click it for the faces most like it. Draw an area to review all faces in it, or to see them in the grid."));
  }
  drawn(line) {
    const corners = fewer([...line, line[0]].map(([cx, cy]) => [Math.round(clamp(cx, 0, SIDE)), Math.round(clamp(cy, 0, SIDE))])).slice(0, -1);
    const distinct = corners.filter(([cx, cy], at) => { const [bx, by] = corners[(at + corners.length - 1) % corners.length]; return cx !== bx || cy !== by; });
    this.setArea(distinct.length > 2 ? distinct : []);
  }
  setArea(corners) {
    this.area = corners;
    const address = new URL(location.href), text = corners.length ? [this.head.map, ...corners.map((one) => one.join(","))].join(";") : "";
    if (text) address.searchParams.set("area", text); else address.searchParams.delete("area");
    if (text !== (this.data.area || "")) history.replaceState(history.state, "", address);
    this.data.area = text;
    this.marks();
    this.counted();
  }
  narrowing() { // what of the legend is a filter elsewhere, too
    const { key, codes } = this.head.colourings[this.by], named = { given: "given", verdict: "verdict" }[key];
    const names = [...this.lit].map((code) => codes[code]).filter(([, , tone]) => key === "verdict" || tone !== GREY).map(([name]) => name);
    return named && names.length && names.length === this.lit.size ? { named, names } : null;
  }
  counted() {
    const holder = this.find(".fc-map-area");
    holder.hidden = !this.area.length;
    if (holder.hidden) { holder.replaceChildren(); return; }
    const only = this.narrowing(), codes = this.codes[this.by];
    let count = 0;
    for (let at = 0; at < this.x.length; at += 1) if ((!only || this.lit.has(codes[at])) && inside(this.area, this.x[at], this.y[at])) count += 1;
    const link = (page, text) => {
      const to = new URLSearchParams(this.data.kept), go = make("a", "fc-map-go", text);
      if (only) to.set(only.named, only.names.map((name) => name.replaceAll("%", "%25").replaceAll(",", "%2C")).join(","));
      if (this.data.planned) to.set("whose", "all");
      to.set("area", this.data.area);
      to.set("page", page);
      go.href = `?${to}`;
      go.target = "_self";
      return go;
    };
    const clear = make("button", "", "Clear");
    clear.type = "button";
    clear.onclick = () => this.setArea([]);
    const words = make("b", "num", `${say(count)} ${count === 1 ? "face" : "faces"}`);
    words.dataset.count = count;
    holder.replaceChildren(words, make("span", "quiet", only ? `in the area: ${only.names.join(", ")}` : "in the area"), ...(count ? [link("review", "Review these"), link("grid", "Show in the grid")] : []), clear);
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".fc-map"), was = window.__fercleanMap;
  if (was && was.root === root && !was.gone && was.data.address === data.address) return;
  if (was) was.leave();
  window.__fercleanMap = new FaceMap(root, data);
}
