// What is beside a face when a person asks for it: H its history, in a window; G the guidelines, which stay open while
// the keys go on. The server says what may be told; here nothing is kept.
class Asides {
  constructor(deck) {
    this.deck = deck;
    this.window = deck.find(".fc-deck-history");
    this.panel = deck.find(".fc-deck-guide");
    this.panel.querySelector("button").onclick = () => this.guide();
    this.keys = { h: () => this.history(), g: () => this.guide() };
    for (const button of deck.root.querySelectorAll("[data-aside]")) {
      button.onclick = (event) => { if (event.detail) button.blur(); this.keys[button.dataset.aside](); };
    }
  }
  closes(key) { // the key that opened a window closes it, too
    if (key !== "h" || !this.window.open) return false;
    this.window.close();
    return true;
  }
  async guide() { // beside the face, whose keys go on
    if (!this.panel.hidden) { this.panel.hidden = true; return; }
    const found = await this.deck.ask("guidelines", {});
    if (!found || this.deck.gone) return;
    this.panel.querySelector("div").innerHTML = found.html;
    this.panel.hidden = false;
  }
  async history() {
    const { deck } = this, { card } = deck;
    if (!card || this.window.open) return;
    if (deck.outbox.own().length) await deck.post.flush(); // the answer before may be what it asks for
    const found = await deck.ask("history", { sample: card.id });
    if (!found || deck.card !== card || deck.gone) return;
    this.window.querySelector("h2").textContent = found.title;
    this.window.querySelector("div").innerHTML = found.html;
    this.window.showModal();
  }
}
