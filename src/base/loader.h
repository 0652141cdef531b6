// SPDX-License-Identifier: MIT
// The dynamic loader's functions, null in a static program. Weak, and by their version: a static
// program would find them by their plain name, with a linker's warning in every user's build for
// what never works there.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROCPOOL_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROCPOOL_SANITIZED
#endif
#endif

extern "C" {
#ifdef PROCPOOL_SANITIZED
// The sanitizer's own, which have no version; its programs are never static.
void* procpool_dlopen(const char* path, int flags) __asm__("dlopen") __attribute__((weak));
void* procpool_dlsym(void* library, const char* name) __asm__("dlsym") __attribute__((weak));
char* procpool_dlerror() __asm__("dlerror") __attribute__((weak));
#else
// glibc 2.34 moved them into libc.so, with this version on every architecture.
__asm__(".symver procpool_dlopen, dlopen@GLIBC_2.34");
__asm__(".symver procpool_dlsym, dlsym@GLIBC_2.34");
__asm__(".symver procpool_dlerror, dlerror@GLIBC_2.34");
void* procpool_dlopen(const char* path, int flags) __attribute__((weak));
void* procpool_dlsym(void* library, const char* name) __attribute__((weak));
char* procpool_dlerror() __attribute__((weak));
#endif
}

#undef PROCPOOL_SANITIZED
