// SPDX-License-Identifier: MIT
// What an exception is made of must be something that can be sent.
// EXPECT: procpool: an argument of PROCPOOL_EXCEPTION cannot be sent.*Write values over e
#include <procpool/procpool.h>

#include <stdexcept>

struct node_error : std::runtime_error {
  node_error(const std::string& what, void* at) : std::runtime_error(what), node(at) {}
  void* node;
};
PROCPOOL_EXCEPTION(node_error, e.what(), e.node);

int main() {}
