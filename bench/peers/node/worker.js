// SPDX-License-Identifier: MIT
// What runs in a worker process of workerpool; the work items are those of work.py.
'use strict';
const workerpool = require('workerpool');

const word = new Int32Array(new SharedArrayBuffer(4));

workerpool.worker({
  increment: (x) => x + 1,
  same: (blob) => blob,
  doze: (us) => {
    Atomics.wait(word, 0, 0, us / 1000);
    return us;
  },
});
