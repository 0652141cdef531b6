// SPDX-License-Identifier: MIT
// A function pointer goes as an argument or a state of bind; in a closure it is one more address.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  int (*f)(int) = [](int x) { return x; };
  pool.map([f](int x) { return f(x); }, xs);
}
