const MOST = 100; // answers that go out together
const BYTES = 40000; // of them, well below the 64 KB that a browser sends of a page that is closed

// Answers that are not known to be recorded, in the browser's storage, where other tabs and the next one see them, too.
// Where a browser keeps nothing (it is full, or forbidden), this page does, and says so.
class Outbox {
  constructor(prefix) { Object.assign(this, { prefix, here: new Map(), last: 0, tab: Math.random().toString(36).slice(2, 10) }); }
  name() { // in the order of the keys also where a clock is set back
    this.last = Math.max(Date.now(), this.last + 1);
    return `${String(this.last).padStart(15, "0")}-${this.tab}`;
  }
  put(answer) {
    try {
      localStorage.setItem(this.prefix + answer.answer_id, JSON.stringify(answer));
      return true;
    } catch {
      this.here.set(answer.answer_id, answer);
      return false;
    }
  }
  drop(id) {
    this.here.delete(id);
    try { localStorage.removeItem(this.prefix + id); } catch { /* nothing is kept there */ }
  }
  all() { // the oldest first
    const found = [...this.here.values()];
    try {
      for (const key of Object.keys(localStorage).filter((one) => one.startsWith(this.prefix))) {
        try { found.push(JSON.parse(localStorage.getItem(key))); } catch { localStorage.removeItem(key); } // no answer of ours
      }
    } catch { /* nothing is kept there */ }
    return found.filter(Boolean).sort((one, other) => (one.answer_id < other.answer_id ? -1 : 1));
  }
  first() { // what goes out together: of one address, and not more than a browser sends of a page that is closed
    const [first, ...rest] = this.all();
    if (!first) return [];
    const going = [first];
    let size = JSON.stringify(first).length;
    for (const one of rest) {
      size += JSON.stringify(one).length;
      if (one.address !== first.address || going.length >= MOST || size > BYTES) break;
      going.push(one);
    }
    return going;
  }
}
