/* A name that Python knows too, and what it stands for in C: `compiled.py` compares both. */

#ifndef MQL_CONSTANT_H
#define MQL_CONSTANT_H

#include <stdint.h>

struct constant {
    const char *name;
    int64_t value;
};

#define CONSTANT(name) {#name, name}

#endif
