// How every page asks the server: each request has an end, and one that stays unanswered is sent again, later each time.
const LATER = [500, 1000, 2000, 3000]; // ms until the next try
const PATIENCE = 10000; // ms after which a request is given up: a line may be dead without a word
const LONG = 60000; // ms, where the server may have to go through the whole set
const SILENT = "The review server does not answer; is it still running?";

// { found }, or { trouble } in words; `again`: the server was silent or busy, which passes.
const reply = async (what, address, { sent, patience = PATIENCE } = {}) => {
  const post = sent && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(sent) };
  try {
    const response = await fetch(`/ferclean/${what}?${address}`, { ...post, signal: AbortSignal.timeout(patience) });
    const found = await (response.headers.get("content-type") === "application/octet-stream" ? response.arrayBuffer() : response.json());
    return response.ok ? { found } : { trouble: found.error, again: response.status === 503 };
  } catch { return { trouble: SILENT, again: true }; }
};

// What the server says, or null where it refused, or was still silent or busy after as many tries as LATER has. `say(kind,
// text, refused)` is told of each. `always`: it is asked until it answers, for without it there is no page. `over()`:
// nobody waits for it any longer.
const ask = async (what, address, { say, over, always = false, ...more }) => {
  for (let tries = 0; ; tries += 1) {
    const { found, trouble, again } = await reply(what, address, more);
    if (over()) return null;
    if (found) { if (tries) say("saved", "Connected again"); return found; }
    say("trouble", trouble, !again);
    if (!always && !(again && tries < LATER.length)) return null;
    await new Promise((done) => setTimeout(done, LATER[Math.min(tries, LATER.length - 1)]));
    if (over()) return null;
  }
};
