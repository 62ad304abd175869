const MOST = 100; // answers that go out together
const GATHER = 800; // ms in which answers go out together
const BYTES = 40000; // of them, well below the 64 KB that a browser sends of a page that is closed

const whose = (answer) => new URLSearchParams(answer.address).get("reviewer") || "";

// Answers that are not known to be recorded, in the browser's storage, where other tabs and the next one see them, too.
// Where a browser keeps nothing (it is full, or forbidden), this page does, and says so.
class Outbox {
  constructor(prefix, reviewer) { Object.assign(this, { prefix, reviewer, here: new Map(), last: 0, tab: Math.random().toString(36).slice(2, 10) }); }
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
  own() { return this.all().filter((one) => whose(one) === this.reviewer); }
  others() { return this.all().filter((one) => whose(one) !== this.reviewer).map(whose); }
  first() { // what goes out together: this reviewer's first; of one address, not more than a browser sends of a page that is closed
    const own = this.own(), [first, ...rest] = own.length ? own : this.all();
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

// Sends what waits in an outbox, in order, and again until the server says that it is recorded. Who writes the answers
// hears of it: `say(kind, text)`, `count()` when what waits has changed, `taken(found, answers)` with the server's reply.
class Post {
  constructor(outbox, writer) {
    Object.assign(this, { outbox, writer, tries: 0, timer: null, sending: null });
    this.online = () => this.flush();
    // whoever closes the tab has decided: what waits goes out with it, and where it does not, with the next tab
    this.hide = () => {
      const answers = this.outbox.first();
      if (document.visibilityState === "hidden" && answers.length) {
        navigator.sendBeacon(`/ferclean/answers?${answers[0].address}`, new Blob([JSON.stringify(answers)], { type: "application/json" }));
      }
    };
    window.addEventListener("online", this.online);
    document.addEventListener("visibilitychange", this.hide);
  }
  leave() {
    window.removeEventListener("online", this.online);
    document.removeEventListener("visibilitychange", this.hide);
  }
  gather() { if (!this.timer) this.soon(GATHER); } // the first of those that go together says when
  soon(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.timer = null; this.flush(); }, wait);
  }
  async flush() {
    if (this.sending) return this.sending;
    this.sending = this.out();
    try { await this.sending; } finally { this.sending = null; }
    const waits = this.outbox.all().length;
    this.writer.count();
    if (waits) this.soon(this.tries ? LATER[Math.min(this.tries, LATER.length) - 1] : waits < MOST ? GATHER : 0);
  }
  async out() {
    const answers = this.outbox.first();
    if (!answers.length) return;
    const { found, trouble } = await reply("answers", answers[0].address, { sent: answers });
    if (!found) {
      this.tries += 1;
      const who = whose(answers[0]);
      this.writer.say("trouble", `Answers ${who === this.outbox.reviewer ? "" : `of ${who} `}wait in this browser and are sent again: ${trouble}`);
      return;
    }
    if (this.tries) this.writer.say("saved", "Connected again: all answers are recorded");
    this.tries = 0;
    for (const one of found.taken) this.outbox.drop(one.answer_id);
    this.writer.taken(found, answers);
  }
}
