// What an ambiguous face shows: two expressions and how much of each, in tenths, on a strip over the face. It only keeps
// what was chosen; the deck says which key means what, and records it.
class Mixing {
  constructor(strip, words) {
    Object.assign(this, { strip, words, open: false, first: null, second: null, tenths: 5 });
    for (const kind of ["pointerdown", "dblclick", "wheel"]) strip.addEventListener(kind, (event) => event.stopPropagation()); // the face below zooms
  }
  show(open) {
    Object.assign(this, { open, first: null, second: null, tenths: 5 });
    this.strip.hidden = !open;
    this.draw();
  }
  choose(name) { // true: it is the second one once more, which says that it is finished
    if (this.first === null) this.first = name;
    else if (name === this.first) this.shift(1);
    else if (name === this.second) return true;
    else this.second = name;
    this.draw();
    return false;
  }
  shift(by) {
    if (this.second === null) return;
    this.tenths = Math.min(9, Math.max(1, this.tenths + by));
    this.draw();
  }
  get shares() { return this.second === null ? null : { [this.first]: this.tenths / 10, [this.second]: (10 - this.tenths) / 10 }; }
  told(shares) { return Object.entries(shares).map(([name, share]) => `${this.words.get(name)} ${Math.round(share * 100)} %`).join(", "); }
  draw() {
    const { strip } = this;
    strip.querySelector(".mixed").textContent = this.second !== null ? this.told(this.shares)
      : this.first === null ? "Which expression do you see most? Its key." : `${this.words.get(this.first)}, and which other one? Its key.`;
    strip.querySelector("i").style.width = this.second === null ? "0" : `${this.tenths * 10}%`;
    strip.classList.toggle("both", this.second !== null);
  }
}
