/* Bytes, 32 at a time: clang's vectors, which become what the processor has. */

#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline))
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

typedef const uint8_t *Text;

enum { BLOCK = 32 };
typedef uint8_t Block __attribute__((ext_vector_type(BLOCK)));
typedef char Truths __attribute__((ext_vector_type(BLOCK)));  /* of a comparison: -1 or 0 each */
typedef bool Bits __attribute__((ext_vector_type(BLOCK)));

/* The 32 bytes from `at`: all of them have to be there. */
INLINE Block load_block(Text at) {
    Block block;
    __builtin_memcpy(&block, at, BLOCK);
    return block;
}

/* Bit i says whether it is true of byte i. */
INLINE uint32_t mask_of(Truths truths) {
    Bits bits = __builtin_convertvector(truths, Bits);
    uint32_t mask;
    __builtin_memcpy(&mask, &bits, sizeof mask);
    return mask;
}

#endif
