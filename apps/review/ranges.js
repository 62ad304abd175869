// Places of a list that are chosen, as ranges [start, end): choosing all of a million is one of them.
class Ranges {
  constructor() { this.list = []; }
  get size() { return this.list.reduce((sum, [start, end]) => sum + end - start, 0); }
  has(at) { return this.list.some(([start, end]) => start <= at && at < end); }
  clear() { this.list = []; }
  set(start, end, on) {
    const kept = [];
    for (const [from, to] of this.list) {
      if (from < start) kept.push([from, Math.min(to, start)]);
      if (to > end) kept.push([Math.max(from, end), to]);
    }
    if (on) kept.push([start, end]);
    kept.sort((one, other) => one[0] - other[0]);
    this.list = [];
    for (const [from, to] of kept) {
      const last = this.list[this.list.length - 1];
      if (last && last[1] >= from) last[1] = Math.max(last[1], to);
      else this.list.push([from, to]);
    }
  }
}
