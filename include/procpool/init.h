// SPDX-License-Identifier: MIT
// For start_method::forkserver and spawn, whose workers are fresh executions of this program:
//
//     int main(int argc, char** argv) {
//       procpool::init(argc, argv);
//       ...
#pragma once

namespace procpool {

/// The first statement of main(). In the program as its user started it: notes that it can be
/// executed again, and returns. In an execution that a pool made, it never returns: there it is a
/// worker until the pool needs it no more, and what stands behind it in main() never runs; static
/// objects are constructed and never destroyed. Without it, making such a pool throws
/// std::logic_error. Throws std::invalid_argument when that is not what main() was given.
void init(int argc, const char* const* argv);

}  // namespace procpool
