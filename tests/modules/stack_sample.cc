// SPDX-License-Identifier: MIT
// A library with a function that nobody outside sees, for tests of stacks; built with debug
// information, without, and stripped.

namespace sample {

[[gnu::noinline]] static const char* return_address() {
  return static_cast<const char*>(__builtin_return_address(0));
}

// A place in this function, on the line that the_line says.
constexpr int the_line = __LINE__ + 2;
[[gnu::noinline]] static const char* inside() {
  const char* next = return_address();
  return next - 1;
}

}  // namespace sample

extern "C" {
__attribute__((visibility("default"))) const void* stack_sample_place() {
  const char* place = sample::inside();
  return place;
}
__attribute__((visibility("default"))) int stack_sample_line() { return sample::the_line; }
}
