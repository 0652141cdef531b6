// SPDX-License-Identifier: MIT
// Empty: the target that compiles it owns the precompiled headers all tests share.
