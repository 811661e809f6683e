/* compiler.h - what the compiler is told about the usual way through the code. */
#ifndef STROBE_MAP_COMPILER_H
#define STROBE_MAP_COMPILER_H

#define INLINE             __attribute__((always_inline)) static inline
#define NOT_INLINE         __attribute__((noinline))
#define USUAL(condition)   __builtin_expect(!!(condition), 1)
#define UNUSUAL(condition) __builtin_expect(!!(condition), 0)

#endif
