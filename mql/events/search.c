/* Lines that may hold what a filter needs, found in raw text without reading JSON.
 *
 * Texts are told apart by the two of their bytes that are the rarest, 32 places at once; only where
 * both stand is the rest compared. It allocates nothing, calls nothing, and reads only the text it is
 * given. `mql/sources/search.py` is the other side.
 */

#include "blocks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

typedef struct {
    Text text;
    int32_t size;               /* 1 or more */
    int32_t first, second;      /* places of the two bytes */
} Needle;

/* A hash table of strings, open addressing; string i is the text from offsets[i] to offsets[i + 1]. */
typedef struct {
    Text text;
    const int32_t *offsets;
    int32_t *slots;             /* a string each, or -1; more than there are strings */
    uint32_t last_slot;         /* the slots are a power of two, this is one less */
} Strings;

/* One of some texts; with `values` one text, a key in its quotes, before one of these values. */
typedef struct {
    const Needle *needles;
    int64_t count;
    const Strings *values;
} Clause;

typedef struct {
    Text start, end;
    const Clause *clauses;
    int64_t clause_count;
    const Needle *escape;
} Search;

INLINE int is_same(Text a, Text b, int64_t size) {
    for (; size > 0; a++, b++, size--)
        if (*a != *b) return 0;
    return 1;
}

/* Sets of strings. */

/* FNV-1a. */
INLINE uint32_t hash(Text at, int64_t size) {
    uint32_t code = 2166136261u;
    for (Text stop = at + size; at < stop; at++) code = (code ^ *at) * 16777619u;
    return code ^ code >> 15;
}

/* The slot in which the string is, or could be put. */
INLINE int32_t *slot_of(const Strings *strings, Text text, int64_t size) {
    for (uint32_t slot = hash(text, size);; slot++) {
        int32_t *here = strings->slots + (slot & strings->last_slot);
        if (*here < 0) return here;
        int32_t start = strings->offsets[*here];
        if (strings->offsets[*here + 1] - start == size && is_same(strings->text + start, text, size)) return here;
    }
}

/* Clauses. */

INLINE int is_here(const Needle *needle, Text at, Text end) {
    return end - at >= needle->size && is_same(at, needle->text, needle->size);
}

INLINE Text skip_blanks(Text at, Text end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r')) at++;
    return at;
}

/* Whether a key ends here before one of the values; if that is spelled with a backslash it may be. */
INLINE int has_value(const Strings *values, Text at, Text end) {
    at = skip_blanks(at, end);
    if (at == end || *at != ':') return 0;
    at = skip_blanks(at + 1, end);
    if (at == end || *at != '"') return 0;
    Text from = ++at;
    while (at < end && *at != '"' && *at != '\\' && *at != '\n') at++;
    if (at == end || *at != '"') return at < end && *at == '\\';
    return *slot_of(values, from, at - from) >= 0;
}

INLINE int holds_here(const Clause *clause, Text at, Text end) {
    for (int64_t i = 0; i < clause->count; i++)
        if (is_here(clause->needles + i, at, end))
            return !clause->values || has_value(clause->values, at + clause->needles[i].size, end);
    return 0;
}

/* The two bytes of a needle, ready to be compared with those of 32 places. */
typedef struct {
    Block first, second;
    int32_t first_place, second_place;
} Probe;

enum { MOST_PROBES = 32 };

/* What a clause, or else the escape, begins with. */
typedef struct {
    Probe probes[MOST_PROBES];
    int64_t count;
    int64_t reach;              /* the size of the longest needle */
} Probes;

INLINE void add_probe(Probes *probes, const Needle *needle) {
    probes->probes[probes->count++] = (Probe){
        .first = block_of(needle->text[needle->first]),
        .second = block_of(needle->text[needle->second]),
        .first_place = needle->first,
        .second_place = needle->second,
    };
    if (needle->size > probes->reach) probes->reach = needle->size;
}

INLINE Probes probes_of(const Clause *clause, const Needle *escape) {
    Probes probes;              /* all of it made zero would take longer than a line */
    probes.count = probes.reach = 0;
    add_probe(&probes, escape);
    for (int64_t i = 0; i < clause->count; i++) add_probe(&probes, clause->needles + i);
    return probes;
}

/* Where something may begin: bit i is the place i from here. A block and `reach` more bytes have to
 * be there. */
INLINE uint32_t candidates(const Probe *probes, int64_t count, Text at) {
    Truths found = {0};
    for (int64_t i = 0; i < count; i++) {
        const Probe *probe = probes + i;
        Block first = load_block(at + probe->first_place), second = load_block(at + probe->second_place);
        found |= (first == probe->first) & (second == probe->second);
    }
    return mask_of(found);
}

INLINE int is_candidate(const Search *search, const Clause *clause, Text at, Text end) {
    return holds_here(clause, at, end) || is_here(search->escape, at, end);
}

/* Whether the line holds something of the clause, or the escape. */
static int holds(const Search *search, const Clause *clause, Text at, Text end) {
    Probes probes = probes_of(clause, search->escape);
    while (at < end && search->end - at >= BLOCK + probes.reach) {
        for (uint32_t found = candidates(probes.probes, probes.count, at); found; found &= found - 1)
            if (is_candidate(search, clause, at + __builtin_ctz(found), end)) return 1;
        at += BLOCK;
    }
    for (; at < end; at++)
        if (is_candidate(search, clause, at, end)) return 1;
    return 0;
}

/* Whether a line may pass in which the first clause or the escape stands. */
static int may_pass(const Search *search, Text here, Text start, Text end) {
    if (is_here(search->escape, here, end)) return 1;
    for (int64_t i = 1; i < search->clause_count; i++)
        if (!holds(search, search->clauses + i, start, end)) return 0;
    return 1;
}

/* Lines. */

/* Behind the newline, or the end. */
INLINE Text line_end(Text at, Text end) {
    for (; end - at >= BLOCK; at += BLOCK) {
        uint32_t found = mask_of(load_block(at) == '\n');
        if (found) return at + __builtin_ctz(found) + 1;
    }
    while (at < end)
        if (*at++ == '\n') break;
    return at;
}

/* What has been found so far. */
typedef struct {
    uint8_t *text;              /* of the lines, one behind the other */
    int64_t size, room;
    int64_t *numbers;           /* of the lines, from 0 */
    int64_t count, most;
    Text decided;               /* the lines before this */
} Found;

/* Decide the line of a candidate, in front of which there are so many newlines. False if there is no
 * room for it. */
OUT_OF_LINE int decide(const Search *search, Found *found, Text at, int64_t newlines) {
    if (at < found->decided || !is_candidate(search, search->clauses, at, search->end)) return 1;
    Text start = at, end = line_end(at, search->end);
    while (start > found->decided && start[-1] != '\n') start--;
    found->decided = end;
    if (!may_pass(search, at, start, end)) return 1;
    if (found->count == found->most || end - start > found->room - found->size) return 0;
    found->numbers[found->count++] = newlines;
    for (uint8_t *out = found->text + found->size; start < end; found->size++) *out++ = *start++;
    return 1;
}

/* Go through the text. Returns how many lines there are, -1 if too many are found. */
INLINE int64_t find(const Search *search, Found *found) {
    Probes probes = probes_of(search->clauses, search->escape);
    Text at = search->start, end = search->end;
    int64_t newlines = 0;
    for (int64_t blocks = (end - at - probes.reach) / BLOCK; blocks > 0; blocks--, at += BLOCK) {
        uint32_t ends = mask_of(load_block(at) == '\n');
        uint32_t places = probes.count == 2 ? candidates(probes.probes, 2, at)
                                            : candidates(probes.probes, probes.count, at);
        for (; unlikely(places); places &= places - 1) {
            int place = __builtin_ctz(places);
            int64_t before = newlines + __builtin_popcount(ends & (((uint32_t)1 << place) - 1));
            if (!decide(search, found, at + place, before)) return -1;
        }
        newlines += __builtin_popcount(ends);
    }
    for (; at < end; at++) {
        if (!decide(search, found, at, newlines)) return -1;
        newlines += *at == '\n';
    }
    return newlines + (end > search->start && end[-1] != '\n');
}

/* The same code for processors that have vectors of 32 bytes. */
#if defined(__x86_64__)
__attribute__((target("avx2,bmi,bmi2,popcnt")))
static int64_t find_wide(const Search *search, Found *found) { return find(search, found); }

/* Whether this processor has AVX2, BMI and POPCNT, and the system keeps the wide registers. */
static int is_wide(void) {
    uint32_t a, b, c, d, saved, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_POPCNT)) return 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if ((saved & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    return (b & bit_AVX2) && (b & bit_BMI) && (b & bit_BMI2);
}
#else
#define find_wide find
static int is_wide(void) { return 0; }
#endif

/* What is called. */

static int is_needle(const Needle *needle) {
    return needle->text && needle->size > 0 && needle->first >= 0 && needle->first < needle->size
        && needle->second >= 0 && needle->second < needle->size;
}

/* Whether a table has a slot that stays empty, where each search ends. */
static int has_room(const Strings *strings, int64_t count) {
    uint32_t last = strings->last_slot;
    return strings->slots && strings->offsets && (last & (last + 1)) == 0 && count >= 0 && count <= last;
}

static int is_clause(const Clause *clause) {
    if (clause->count < 1 || clause->count >= MOST_PROBES || !clause->needles) return 0;
    for (int64_t i = 0; i < clause->count; i++)
        if (!is_needle(clause->needles + i)) return 0;
    return !clause->values || has_room(clause->values, 0);
}

/* Put strings into the slots of their table, all of them empty; equal ones once. False if it has not
 * more slots than there are strings. */
int32_t fill_slots(const Strings *strings, int64_t count) {
    if (!has_room(strings, count)) return 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t start = strings->offsets[i];
        int32_t *slot = slot_of(strings, strings->text + start, strings->offsets[i + 1] - start);
        if (*slot < 0) *slot = (int32_t)i;
    }
    return 1;
}

/* The lines that hold something of each clause, or the escape, in order: their text and their numbers.
 * Returns how many lines there are; -1 if too many are found, if a clause has more texts than are
 * looked for, or if there is nothing to look for. The last line may lack its newline. */
int64_t find_lines(Text data, int64_t size, const Clause *clauses, int64_t clause_count, const Needle *escape,
                   Found *found) {
    static int wide = -1;
    if (wide < 0) wide = is_wide();
    if (!data || size < 0 || !clauses || clause_count < 1 || !escape || !is_needle(escape) || !found) return -1;
    for (int64_t i = 0; i < clause_count; i++)
        if (!is_clause(clauses + i)) return -1;
    if (!found->text || found->size < 0 || found->size > found->room) return -1;
    if (!found->numbers || found->count < 0 || found->count > found->most) return -1;
    Search search = {data, data + size, clauses, clause_count, escape};
    found->decided = data;
    return (wide ? find_wide : find)(&search, found);
}

/* What Python compares before it uses any of this. */

const Constant *constants_of_search(void) {
    static const Constant constants[] = {
        SIZE(Needle), PLACE(Needle, text), PLACE(Needle, size), PLACE(Needle, first), PLACE(Needle, second),
        SIZE(Strings), PLACE(Strings, text), PLACE(Strings, offsets), PLACE(Strings, slots),
        PLACE(Strings, last_slot),
        SIZE(Clause), PLACE(Clause, needles), PLACE(Clause, count), PLACE(Clause, values),
        SIZE(Found), PLACE(Found, text), PLACE(Found, size), PLACE(Found, room), PLACE(Found, numbers),
        PLACE(Found, count), PLACE(Found, most), PLACE(Found, decided),
        {NULL, 0},
    };
    return constants;
}
