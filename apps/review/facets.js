// The filters beside the grid: each value with the number of faces that choosing it would leave, and the address that
// carries what is chosen. A value that holds a comma is quoted, so that several stand in one parameter.
const TITLES = { state: "What became of it", verdict: "Verdict", pairs: "Class pair", given: "Given label", suggested: "Suggested label", split: "Split", source: "Source", by: "Decided by" };
const PARAMETER = { pairs: "pair" };
const OPEN = ["state", "verdict", "pairs"]; // unfolded at first
const STATE_WORDS = { open: "undecided", decided: "decided by you", skipped: "skipped", disagreed: "people disagree", noted: "with a note" };
const quoted = (value) => value.replace(/%/g, "%25").replace(/,/g, "%2C");

class Facets {
  constructor(root, changed) { Object.assign(this, { root, changed, unfolded: new Map(OPEN.map((name) => [name, true])) }); }
  open(params) { this.params = params; }
  chosen(name) {
    const said = this.params.get(name) || (name === "state" ? "open" : "");
    return said.split(",").filter((value) => value && !(name === "state" && value === "any")).map((value) => value.replace(/%2C/gi, ",").replace(/%25/g, "%"));
  }
  put(name, values) {
    if (values.length) this.params.set(name, values.map(quoted).join(","));
    else if (name === "state") this.params.set(name, "any");
    else this.params.delete(name);
    this.changed();
  }
  toggle(name, value) {
    const now = this.chosen(name);
    this.put(name, now.includes(value) ? now.filter((one) => one !== value) : [...now, value]);
  }
  fold(name, title, inside) {
    const box = document.createElement("details"), head = document.createElement("summary");
    head.textContent = title;
    box.open = this.unfolded.get(name) || false;
    box.ontoggle = () => this.unfolded.set(name, box.open);
    box.append(head, ...inside);
    return box;
  }
  draw(counts) {
    const focus = document.activeElement && this.root.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    if (!this.search) this.search = this.find();
    const boxes = [this.search];
    const of = { ...counts.of, pairs: counts.pairs };
    const names = [...Object.keys(TITLES), ...Object.keys(of).filter((name) => name.startsWith("attr:"))];
    for (const name of names) {
      const values = of[name] || [];
      const parameter = name.startsWith("attr:") ? "attr" : PARAMETER[name] || name;
      const inParameter = (value) => (name.startsWith("attr:") ? `${name.slice(5)}=${value}` : value);
      const now = this.chosen(parameter);
      if (!values.some(([value]) => now.includes(inParameter(value))) && (values.length < 2 && !["state", "verdict", "pairs"].includes(name) || !values.length)) continue;
      const buttons = values.map(([value, words, count]) => {
        const button = document.createElement("button"), left = document.createElement("span"), right = document.createElement("span");
        button.type = "button";
        button.className = "value";
        button.dataset.at = `${name}|${value}`;
        left.textContent = name === "state" ? STATE_WORDS[value] : words;
        left.title = left.textContent;
        right.textContent = count.toLocaleString("en");
        button.append(left, right);
        button.setAttribute("aria-pressed", String(now.includes(inParameter(value))));
        button.onclick = () => this.toggle(parameter, inParameter(value));
        return button;
      });
      boxes.push(this.fold(name, TITLES[name] || name.slice(5), buttons));
    }
    if (counts.chance.length) boxes.push(this.fold("chance", "Chance that the proposal is right", this.ends(counts.chance)));
    this.root.replaceChildren(...boxes);
    if (focus) { const again = [...this.root.querySelectorAll("[data-at]")].find((one) => one.dataset.at === focus); if (again) again.focus(); }
  }
  find() {
    const field = document.createElement("input");
    Object.assign(field, { type: "search", placeholder: "File name contains …", value: this.params.get("name") || "", maxLength: 200 });
    field.setAttribute("aria-label", "File name contains");
    field.dataset.at = "name";
    let waits;
    field.oninput = () => {
      clearTimeout(waits);
      waits = setTimeout(() => { if (field.value) this.params.set("name", field.value); else this.params.delete("name"); this.changed(); }, 250);
    };
    return field;
  }
  ends(bins) {
    const [low, high] = (this.params.get("p") || "0-1").split("-").map(Number);
    const most = Math.max(...bins, 1), bars = document.createElement("div"), line = document.createElement("div");
    bars.className = "fc-grid-bins";
    bars.setAttribute("aria-hidden", "true");
    bars.append(...bins.map((count, at) => {
      const bar = document.createElement("i");
      bar.style.height = `${(100 * count) / most}%`;
      bar.className = at / bins.length >= low - 1e-9 && (at + 1) / bins.length <= high + 1e-9 ? "in" : "";
      bar.title = `${Math.round((100 * at) / bins.length)} to ${Math.round((100 * (at + 1)) / bins.length)} %: ${count.toLocaleString("en")}`;
      return bar;
    }));
    line.className = "fc-grid-ends";
    const fields = [low, high].map((end, at) => {
      const field = document.createElement("input");
      Object.assign(field, { type: "number", min: 0, max: 100, step: 5, value: Math.round(100 * end) });
      field.setAttribute("aria-label", at ? "at most, per cent" : "at least, per cent");
      field.dataset.at = `p|${at}`;
      return field;
    });
    for (const field of fields) field.onchange = () => {
      const [from, to] = fields.map((one) => Math.min(100, Math.max(0, Number(one.value) || 0)) / 100);
      if (from <= 0 && to >= 1) this.params.delete("p"); else this.params.set("p", `${Math.min(from, to)}-${Math.max(from, to)}`);
      this.changed();
    };
    line.append(fields[0], "to", fields[1], "%");
    return [bars, line];
  }
}
