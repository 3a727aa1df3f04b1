/* Bytes, 32 at a time: vectors, which become what the processor has. The library is built by clang;
 * gcc, whose vectors have no truths of a bit, builds it for its sanitizers. */

#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../host/constant.h"

#define INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline))
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

typedef const uint8_t *Text;

enum { BLOCK = 32 };
#if defined(__clang__)
typedef uint8_t Block __attribute__((ext_vector_type(BLOCK)));
typedef char Truths __attribute__((ext_vector_type(BLOCK)));  /* of a comparison: -1 or 0 each */
typedef bool Bits __attribute__((ext_vector_type(BLOCK)));
#else
typedef uint8_t Block __attribute__((vector_size(BLOCK)));
typedef signed char Truths __attribute__((vector_size(BLOCK)));
#endif

/* The 32 bytes from `at`: all of them have to be there. */
INLINE Block load_block(Text at) {
    Block block;
    __builtin_memcpy(&block, at, BLOCK);
    return block;
}

/* The same byte 32 times. */
INLINE Block block_of(uint8_t byte) { return (Block){0} + byte; }

/* Bit i says whether it is true of byte i. */
INLINE uint32_t mask_of(Truths truths) {
    uint32_t mask = 0;
#if defined(__clang__)
    Bits bits = __builtin_convertvector(truths, Bits);
    __builtin_memcpy(&mask, &bits, sizeof mask);
#else
    for (int i = 0; i < BLOCK; i++) mask |= (uint32_t)(truths[i] & 1) << i;
#endif
    return mask;
}

typedef struct constant Constant;

#define SIZE(type) {#type, sizeof(type)}
#define PLACE(type, field) {#type "." #field, offsetof(type, field)}

#endif
