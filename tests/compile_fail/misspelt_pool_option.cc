// SPDX-License-Identifier: MIT
// A misspelt option of a pool is no option.
// EXPECT: worker|no matching (function|constructor)
#include <procpool/procpool.h>

int main() { procpool::pool pool{{.worker = 4}}; }
