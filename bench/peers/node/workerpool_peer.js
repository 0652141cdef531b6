// SPDX-License-Identifier: MIT
// Node's workerpool with processes as workers.
'use strict';
const path = require('path');
const workerpool = require('workerpool');
const {version} = require('workerpool/package.json');

const {Rows} = require('./work.js');

function makePool(forkOpts = {}) {
  return workerpool.pool(path.join(__dirname, 'worker.js'),
                         {workerType: 'process', minWorkers: 2, maxWorkers: 2, forkOpts});
}

async function main() {
  const rows = new Rows('workerpool', `${version}, Node ${process.version}`);
  await rows.upDown(async () => {
    const one = makePool();
    await one.exec('increment', [1]);
    await one.terminate();
  });
  rows.absent('fresh', 'workerpool does not replace workers by tasks');

  const pool = makePool();
  const all = (method, xs) => Promise.all(xs.map((x) => pool.exec(method, [x])));
  await rows.apply((x) => pool.exec('increment', [x]));
  await rows.rate('apply_async', async (xs) => (await all('increment', xs)).at(-1));
  for (const work of ['map', 'imap', 'imap_1']) rows.absent(work, 'workerpool has no map');
  await rows.skewed((xs) => all('doze', xs));
  await pool.terminate();

  // As JSON, the default, a buffer would travel as a text of its numbers.
  const binary = makePool({serialization: 'advanced'});
  await rows.echo((blob) => binary.exec('same', [blob]));
  await binary.terminate();
}

main();
