// SPDX-License-Identifier: MIT
// The dynamic loader's functions, null in a static program. Weak, and by their version: a static
// program would find them by their plain name, with a linker's warning in every user's build for
// what never works there.
#pragma once

// glibc 2.34 moved them into libc.so, with this version on every architecture.
__asm__(".symver procpool_dlopen, dlopen@GLIBC_2.34");
__asm__(".symver procpool_dlsym, dlsym@GLIBC_2.34");
__asm__(".symver procpool_dlerror, dlerror@GLIBC_2.34");

extern "C" {
void* procpool_dlopen(const char* path, int flags) __attribute__((weak));
void* procpool_dlsym(void* library, const char* name) __attribute__((weak));
char* procpool_dlerror() __attribute__((weak));
}
