// SPDX-License-Identifier: MIT
// The work items of the Node peer and how they are measured: work.py in JavaScript.
'use strict';

const quick = process.argv.includes('--quick');
const target = quick ? 0.01 : 0.3;  // seconds that one repeat of a rate shall take
const most = quick ? 1_000 : 1_000_000;  // items in one repeat
const mib = 1 << 20;

// Microseconds: many short ones, some long ones, the longest last.
const skewedItems = [
  ...Array(200).fill(2_000),
  ...[20, 60, 25, 55, 30, 50, 35, 45].map((ms) => 1_000 * ms),
  300_000,
].map((us) => Math.floor(us / (quick ? 20 : 1)));

/** Seconds that two workers need who take the items in order, one at a time, at no cost. */
function greedy() {
  const busy = [0, 0];
  for (const us of skewedItems) busy[busy[0] <= busy[1] ? 0 : 1] += us;
  return Math.max(...busy) * 1e-6;
}

async function seconds(call, ...args) {
  const start = performance.now();
  await call(...args);
  return (performance.now() - start) / 1000;
}

/** What `once` returns, 3 times or for half a second, whichever is more; 50 at most. */
async function repeat(once) {
  const values = [await once()];
  const start = performance.now();
  while (!quick && values.length < 50 && (values.length < 3 || performance.now() - start < 500))
    values.push(await once());
  return values;
}

/** So large an n that call(n) takes about `target`. Finding it warms everything up. */
async function sized(call, limit) {
  let n = 4;
  let took;
  await call(n);  // workers that start only now would count
  while ((took = await seconds(call, n)) < target / 4 && n < limit) n = Math.min(4 * n, limit);
  return Math.max(1, Math.min(limit, Math.floor(n * target / took)));
}

class Rows {
  constructor(peer, version) {
    Object.assign(this, {peer, version});
  }

  say(what) {
    console.log(JSON.stringify({peer: this.peer, version: this.version, ...what}));
  }
  row(work, unit, values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = (values.length - 1) / 2;
    const value = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
    this.say({work, value, unit, n: values.length, all: values});
  }
  absent(work, reason) {
    this.say({work, skipped: reason});
  }

  async apply(call) {
    const some = async (n) => {
      const times = [];
      for (let x = 0; x < n; ++x) times.push(await seconds(call, x));
      return times.sort((a, b) => a - b);
    };
    const n = await sized(some, most / 10);
    const runs = await repeat(() => some(n));
    for (const [work, q] of [['apply_p50', 0.5], ['apply_p99', 0.99]])
      this.row(work, 's', runs.map((times) => times[Math.floor(q * (n - 1))]));
  }
  async rate(work, lastOf) {
    const some = async (n) => {
      const xs = Array.from({length: n}, (_, x) => x);
      const start = performance.now();
      const y = await lastOf(xs);
      const took = (performance.now() - start) / 1000;
      if (y !== n) throw new Error(`${work}: ${y} is not ${n}`);
      return n / took;
    };
    const n = await sized(some, most);
    this.row(work, 'items/s', await repeat(() => some(n)));
  }
  async echo(call) {
    for (const [work, size] of [['echo_1MiB', mib], ['echo_64MiB', (quick ? 4 : 64) * mib]]) {
      const blob = new Uint8Array(size).fill(1);
      const some = async (n) => {
        for (let i = 0; i < n; ++i)
          if ((await call(blob)).length !== size) throw new Error(work);
      };
      const n = await sized(some, 1000);
      // Each byte counts once on its way there and once on its way back.
      this.row(work, 'B/s', await repeat(async () => 2 * size * n / await seconds(some, n)));
    }
  }
  async skewed(call) {
    await call(skewedItems);
    this.row('skewed', 'ratio',
             await repeat(async () => await seconds(call, skewedItems) / greedy()));
  }
  async upDown(call) {
    await call();
    this.row('up_down', 's', await repeat(() => seconds(call)));
  }
}

module.exports = {Rows};
