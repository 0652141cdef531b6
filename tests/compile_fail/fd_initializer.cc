// SPDX-License-Identifier: MIT
// What an initializer is given is kept for workers to come, as bytes.
// EXPECT: procpool: an fd can be an argument of a call, and nothing else
#include <procpool/procpool.h>

int main() {
  procpool::fd file;
  procpool::pool pool{{.initializer = procpool::task([](const procpool::fd&) {}, file)}};
}
