/* Lines of JSON to columns, without an object for anything in between.
 *
 * What this file promises: if it takes a line, the line is JSON and the columns hold what it says;
 * what it does not take (anything odd), the caller reads in another way. It allocates nothing,
 * calls nothing, writes only to the arrays it is given, and reads only the text it is given: that
 * ends with a newline, which stops every scan, since JSON on one line has none inside.
 *
 * `mql/events/native.py` is the other side, and says how large the arrays are; it compares the constants
 * at the end of this file with its own before it calls anything.
 */

#include "blocks.h"

/* The first five are those of `mql.columnar.layout.Kind`. The values of the others are left as text in the
 * column: of a string, a double with more digits than are exact here, or JSON of any kind. */
enum { NOTHING, BOOL, INT, DOUBLE, STRING, ESCAPED, LONG_DOUBLE, JSON };

/* A key on the way to a column, and what is below it. Node 0 is the event itself. */
typedef struct {
    Text key;
    int32_t key_size;
    int32_t column;                     /* whose value is here, or -1 */
    int32_t first_child, children;      /* nodes */
    int32_t first_column, end_column;   /* all columns here and below */
    uint64_t key_sizes;                 /* of the children: bit n for size n, the last for all longer */
} Node;

typedef struct {
    uint8_t *kinds;     /* a row each; NOTHING at the start */
    uint64_t *values;   /* an integer, the bits of a double, 0 or 1 */
    int32_t *offsets;   /* into the text; one more than rows */
    uint8_t *text;      /* as long as all lines, and a block more */
    uint64_t seen;      /* bit k if there is a value of kind k; 0 at the start */
} Column;

/* Events of one stream look alike: what stood at some place of an object, from a key's opening
 * quote to its colon, probably stands there in the next event too. */
enum { GUESSES = 64, GUESSES_A_LEVEL = 24 };
typedef struct {
    uint8_t text[BLOCK];
    uint32_t mask;                      /* of the bytes that count */
    int32_t size;
    const Node *node;                   /* of the key, or NULL */
} Guess;

static const Guess NO_GUESS = {.text = {0}, .mask = 1};

typedef struct {
    Text start, end;
    const Node *nodes;
    Column *columns;
    int64_t row;
    Guess guesses[GUESSES];
} Reader;

enum { MAX_SKIPPED_DEPTH = 63 };        /* a bit each, of a word */
enum { MAX_DEPTH = 32 };                /* of a path that is asked for */
enum { LONGEST_KEY_SIZE = 63 };         /* all longer ones have its bit in `key_sizes` */

/* Small steps. Each returns where it stopped, or NULL for what is not taken. */

static inline Text skip_space(Text at) {
    if (likely(*at > ' ')) return at;
    while (*at == ' ' || *at == '\t' || *at == '\r') at++;
    return at;
}

/* Whether this character comes next, and where: most JSON has no spaces between its signs. */
static inline int comes(Text *at, uint8_t sign) {
    if (likely(**at == sign)) return 1;
    *at = skip_space(*at);
    return **at == sign;
}

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline int is_hex(uint8_t c) { return is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6; }

/* Four of them. */
static inline uint32_t read_hex(Text at) {
    uint32_t code = 0;
    for (Text stop = at + 4; at < stop; at++)
        code = code << 4 | (is_digit(*at) ? (uint32_t)(*at - '0') : (uint32_t)((*at | 0x20) - 'a' + 10));
    return code;
}

/* From the `u` of an escape to behind it, or behind both of a surrogate pair; half of one is not
 * taken. `code` gets the character. */
static inline Text skip_code(Text at, uint32_t *code) {
    for (int i = 1; i <= 4; i++)
        if (!is_hex(at[i])) return NULL;
    *code = read_hex(at + 1);
    at += 5;
    if (*code < 0xd800 || *code >= 0xe000) return at;
    if (*code >= 0xdc00 || at[0] != '\\' || at[1] != 'u') return NULL;
    for (int i = 2; i <= 5; i++)
        if (!is_hex(at[i])) return NULL;
    uint32_t low = read_hex(at + 2);
    if (low < 0xdc00 || low >= 0xe000) return NULL;
    *code = 0x10000 + ((*code - 0xd800) << 10 | (low - 0xdc00));
    return at + 6;
}

/* Where there are quotes, backslashes and control characters: bit i is byte i. */
static inline uint32_t specials(Text at) {
    Block some = load_block(at);
    return mask_of((some == '"') | (some == '\\') | (some < ' '));
}

/* The first of them. */
static inline Text find_special(Text at, Text end) {
    for (; end - at >= BLOCK; at += BLOCK) {
        uint32_t found = specials(at);
        if (found) return at + __builtin_ctz(found);
    }
    while (*at != '"' && *at != '\\' && *at >= ' ') at++;
    return at;
}

/* From behind the opening quote, or from somewhere in the string, to the closing quote. */
OUT_OF_LINE Text skip_long_string(Text at, Text end, int *escaped) {
    uint32_t code;
    for (;;) {
        at = find_special(at, end);
        if (*at == '"') return at;
        if (*at != '\\') return NULL;
        *escaped = 1;
        switch (at[1]) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            at += 2;
            break;
        case 'u':
            at = skip_code(at + 1, &code);
            if (!at) return NULL;
            break;
        default:
            return NULL;
        }
    }
}

/* The same; most strings are short and plain. */
static inline Text skip_string(Text at, Text end, int *escaped) {
    if (likely(end - at >= BLOCK)) {
        uint32_t found = specials(at);
        if (likely(found)) {
            at += __builtin_ctz(found);
            if (likely(*at == '"')) return at;
        } else {
            at += BLOCK;
        }
    }
    return skip_long_string(at, end, escaped);
}

static inline Text skip_word(Text at, const char *word) {
    for (; *word; word++, at++)
        if (*at != (uint8_t)*word) return NULL;
    return at;
}

/* How many of eight characters are digits, before the first that is none. */
static inline int leading_digits(uint64_t word) {
    uint64_t low = word ^ 0x3030303030303030u;
    uint64_t others = ((low + 0x7676767676767676u) | low) & 0x8080808080808080u;
    return others ? __builtin_ctzll(others) >> 3 : 8;
}

static inline uint64_t load_word(Text at) {
    uint64_t word;
    __builtin_memcpy(&word, at, 8);
    return word;
}

static inline Text skip_digits(Text at, Text end) {
    while (end - at >= 8) {
        int digits = leading_digits(load_word(at));
        at += digits;
        if (digits < 8) return at;
    }
    while (is_digit(*at)) at++;
    return at;
}

/* Digits before the point, or a power of ten, beyond which a number may be none of 64 bits. */
#define MOST_DIGITS 308

/* The grammar of a number: where its digits, its fraction and its exponent end. Not taken where it
 * may be too large for a double: such a line has to be written anew. */
static inline Text skip_number(Text at, Text end, Text *digits_end, Text *fraction_end) {
    at += *at == '-';
    Text digits = at;
    at = *digits_end = *fraction_end = skip_digits(at, end);
    if (at == digits || (at - digits > 1 && *digits == '0')) return NULL;
    int64_t size = at - digits;
    if (*at == '.') {
        Text fraction = ++at;
        at = *fraction_end = skip_digits(at, end);
        if (at == fraction) return NULL;
    }
    if ((*at | 0x20) == 'e') {
        at++;
        int below = *at == '-';
        at += below || *at == '+';
        Text exponent = at;
        at = skip_digits(at, end);
        if (at == exponent || at - exponent > 3) return NULL;
        for (int64_t power = 0; !below && exponent < at; exponent++) {
            power = power * 10 + (*exponent - '0');
            if (size + power > MOST_DIGITS) return NULL;
        }
    }
    return size > MOST_DIGITS ? NULL : at;
}

/* A value that is none of string, list, object. */
OUT_OF_LINE Text skip_plain(Text at, Text end) {
    Text digits_end, fraction_end;
    switch (*at) {
    case 't': return skip_word(at, "true");
    case 'f': return skip_word(at, "false");
    case 'n': return skip_word(at, "null");
    default: return skip_number(at, end, &digits_end, &fraction_end);
    }
}

/* A whole list or object. */
OUT_OF_LINE Text skip_nested(Text at, Text end) {
    uint64_t are_objects = 0;           /* a bit for each open bracket, the innermost last */
    int depth = 0, escaped;
    uint8_t closing;
opened:
    if (depth++ == MAX_SKIPPED_DEPTH) return NULL;
    are_objects = are_objects << 1 | (*at == '{');
    closing = *at++ == '{' ? '}' : ']';
    if (comes(&at, closing)) goto closed;
    for (;;) {
        if (closing == '}') {
            if (!comes(&at, '"')) return NULL;
            at = skip_string(at + 1, end, &escaped);
            if (!at) return NULL;
            at++;
            if (!comes(&at, ':')) return NULL;
            at++;
        }
        if (comes(&at, '"')) {
            at = skip_string(at + 1, end, &escaped);
            if (!at) return NULL;
            at++;
        } else {
            if (*at == '{' || *at == '[') goto opened;
            at = skip_plain(at, end);
            if (!at) return NULL;
        }
ended:
        if (!comes(&at, ',')) break;
        at++;
    }
    if (*at != closing) return NULL;
closed:
    at++;
    if (!--depth) return at;
    are_objects >>= 1;
    closing = are_objects & 1 ? '}' : ']';
    goto ended;
}

static inline Text skip_value(Text at, Text end) {
    if (comes(&at, '"')) {
        int escaped;
        at = skip_string(at + 1, end, &escaped);
        return at ? at + 1 : NULL;
    }
    return *at == '{' || *at == '[' ? skip_nested(at, end) : skip_plain(at, end);
}

/* Values of columns. A text is kept as its place until the row ends: a later key of the same name
 * may replace it. */

static inline void put(const Reader *reader, const Column *column, int kind, uint64_t value) {
    column->kinds[reader->row] = (uint8_t)kind;
    column->values[reader->row] = value;
}

static inline void put_text(const Reader *reader, const Column *column, int kind, Text from, Text to) {
    uint64_t start = (uint64_t)(from - reader->start);
    put(reader, column, kind, start << 32 | (uint64_t)(to - from));
}

static const double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The number that eight digits are, the first of them in the lowest byte; zeros count as digits. */
static inline uint64_t eight_digits(uint64_t digits) {
    digits = (digits & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
    digits = (digits & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
    return (digits & 0x0000ffff0000ffffu) * 42949672960001u >> 32;
}

/* `number` with these digits behind it; more than 19 in all are not asked for. */
static inline uint64_t read_digits(Text at, Text to, Text end, uint64_t number) {
    static const uint32_t POWERS[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    for (; to - at >= 8; at += 8) number = number * 100000000 + eight_digits(load_word(at));
    int64_t left = to - at;
    if (left && end - at >= 8)
        return number * POWERS[left] + eight_digits(load_word(at) << (64 - 8 * left));
    for (; at < to; at++) number = number * 10 + (*at - '0');
    return number;
}

/* Exact where Clinger's fast path is: both the digits and the power of ten are exact doubles. */
static inline Text read_number(const Reader *reader, Text at, const Column *column) {
    Text from = at, digits_end, fraction_end;
    at = skip_number(at, reader->end, &digits_end, &fraction_end);
    if (!at) return NULL;
    int negative = *from == '-';
    Text digits = from + negative;
    int64_t size = fraction_end - digits;
    if (at == digits_end) {
        uint64_t number = size <= 19 ? read_digits(digits, digits_end, reader->end, 0) : 0;
        int fits = size <= 19 && number <= INT64_MAX && !(negative && number == 0);
        if (fits) put(reader, column, INT, negative ? 0 - number : number);
        else put_text(reader, column, JSON, from, at);
        return at;
    }
    int64_t power = 0;
    if (at > fraction_end) {
        Text exponent = fraction_end + 1;
        int below = *exponent == '-';
        exponent += below || *exponent == '+';
        power = (int64_t)read_digits(exponent, at, reader->end, 0);
        if (below) power = -power;
    }
    if (power < -250 || power > 250 || size > 40) {
        put_text(reader, column, JSON, from, at);
        return at;
    }
    if (size > 19) {
        put_text(reader, column, LONG_DOUBLE, from, at);
        return at;
    }
    uint64_t number = read_digits(digits, digits_end, reader->end, 0);
    if (fraction_end > digits_end) {
        number = read_digits(digits_end + 1, fraction_end, reader->end, number);
        power -= fraction_end - digits_end - 1;
    }
    if (number > (uint64_t)1 << 53 || power < -22 || power > 22) {
        put_text(reader, column, LONG_DOUBLE, from, at);
        return at;
    }
    double value = (double)number;
    value = power < 0 ? value / POWERS_OF_TEN[-power] : value * POWERS_OF_TEN[power];
    if (negative) value = -value;
    uint64_t bits;
    __builtin_memcpy(&bits, &value, 8);
    put(reader, column, DOUBLE, bits);
    return at;
}

static Text read_object(Reader *reader, Text at, const Node *node, int depth);

static inline Text read_value(Reader *reader, Text at, const Node *node, int depth) {
    at = skip_space(at);
    for (int32_t i = node->first_column; i < node->end_column; i++)
        reader->columns[i].kinds[reader->row] = NOTHING;
    const Column *column = node->column < 0 ? NULL : reader->columns + node->column;
    Text from = at, end = reader->end;
    int escaped = 0;
    if (*at == '{' && node->children) {
        at = depth < MAX_DEPTH ? read_object(reader, at, node, depth + 1) : NULL;
        if (at && column) put_text(reader, column, JSON, from, at);
        return at;
    }
    if (!column) return skip_value(at, end);
    switch (*at) {
    case '"':
        at = skip_string(at + 1, end, &escaped);
        if (!at) return NULL;
        put_text(reader, column, escaped ? ESCAPED : STRING, from + 1, at);
        return at + 1;
    case '{': case '[':
        at = skip_nested(at, end);
        if (at) put_text(reader, column, JSON, from, at);
        return at;
    case 't': put(reader, column, BOOL, 1); return skip_word(at, "true");
    case 'f': put(reader, column, BOOL, 0); return skip_word(at, "false");
    case 'n': return skip_word(at, "null");
    default: return read_number(reader, at, column);
    }
}

/* Keys. */

static inline const Node *find_child(const Reader *reader, const Node *node, Text key, int64_t size) {
    if (!(node->key_sizes >> (size < LONGEST_KEY_SIZE ? size : LONGEST_KEY_SIZE) & 1)) return NULL;
    const Node *child = reader->nodes + node->first_child, *stop = child + node->children;
    for (; child < stop; child++) {
        if (child->key_size != size) continue;
        int64_t same = 0;
        while (same < size && child->key[same] == key[same]) same++;
        if (same == size) return child;
    }
    return NULL;
}

static inline int is_guessed(const Guess *guess, Text at, Text end) {
    if (unlikely(end - at < BLOCK)) return 0;
    return !(~mask_of(load_block(at) == load_block(guess->text)) & guess->mask);
}

/* From a key's opening quote past its colon; the guess becomes what stands there, its node that of
 * the key. Keys with escapes in them are not taken. */
OUT_OF_LINE Text read_new_key(const Reader *reader, Text at, const Node *node, Guess *guess) {
    Text end = reader->end;
    int escaped = 0;
    *guess = NO_GUESS;
    if (!comes(&at, '"')) return NULL;
    Text from = at;
    at = skip_string(at + 1, end, &escaped);
    if (!at || escaped) return NULL;
    guess->node = find_child(reader, node, from + 1, at - from - 1);
    int64_t size = at + 2 - from;
    if (size <= BLOCK && at[1] == ':' && end - from >= BLOCK) {
        __builtin_memcpy(guess->text, from, BLOCK);
        guess->mask = (uint32_t)(((uint64_t)1 << size) - 1);
        guess->size = (int32_t)size;
    }
    at++;
    return comes(&at, ':') ? at + 1 : NULL;
}

/* `depth` is at most that of the deepest path that is asked for. */
static Text read_object(Reader *reader, Text at, const Node *node, int depth) {
    at++;
    if (comes(&at, '}')) return at + 1;
    for (uint32_t place = (uint32_t)depth * GUESSES_A_LEVEL;; place++) {
        Guess *guess = reader->guesses + place % GUESSES;
        if (likely(is_guessed(guess, at, reader->end))) at += guess->size;
        else if (!(at = read_new_key(reader, at, node, guess))) return NULL;
        const Node *child = guess->node;
        at = child ? read_value(reader, at, child, depth) : skip_value(at, reader->end);
        if (unlikely(!at)) return NULL;
        if (!comes(&at, ',')) return *at == '}' ? at + 1 : NULL;
        at++;
    }
}

/* Texts. */

static inline uint8_t *write_utf8(uint8_t *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (uint8_t)code;
    } else if (code < 0x800) {
        *out++ = (uint8_t)(0xc0 | code >> 6);
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (uint8_t)(0xe0 | code >> 12);
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | code >> 18);
        *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return out;
}

/* What a string with escapes stands for, never longer than they are. The escapes have been checked. */
static uint8_t *unescape(uint8_t *out, Text at, Text to) {
    uint32_t code;
    while (at < to) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        uint8_t letter = at[1];
        at += 2;
        switch (letter) {
        case 'b': *out++ = '\b'; break;
        case 'f': *out++ = '\f'; break;
        case 'n': *out++ = '\n'; break;
        case 'r': *out++ = '\r'; break;
        case 't': *out++ = '\t'; break;
        case 'u':
            at = skip_code(at - 1, &code);
            out = write_utf8(out, code);
            break;
        default: *out++ = letter;
        }
    }
    return out;
}

/* Writes up to a block behind the copy. */
static inline uint8_t *copy(uint8_t *out, Text at, Text to, Text end) {
    for (; at < to && end - at >= BLOCK; at += BLOCK, out += BLOCK) {
        Block some = load_block(at);
        __builtin_memcpy(out, &some, BLOCK);
    }
    if (at >= to) return out - (at - to);
    while (at < to) *out++ = *at++;
    return out;
}

/* Copy the row's text, if it has one, behind the texts of the rows before. */
static inline void end_row(const Reader *reader, Column *column) {
    int64_t row = reader->row;
    uint8_t *from = column->text + column->offsets[row], *to = from;
    uint8_t *kind = column->kinds + row;
    if (*kind >= STRING) {
        Text at = reader->start + (column->values[row] >> 32), stop = at + (uint32_t)column->values[row];
        to = *kind == ESCAPED ? unescape(to, at, stop) : copy(to, at, stop, reader->end);
        if (*kind == ESCAPED) *kind = STRING;
    }
    column->offsets[row + 1] = (int32_t)(to - column->text);
    column->seen |= (uint64_t)1 << *kind;
}

/* Up to the first byte that is not ASCII, or not far before it; counts the newlines. */
static inline Text count_ascii(Text at, Text end, int64_t *lines) {
    while (end - at >= BLOCK) {
        Block counts = {0};
        int round = 0;                  /* a byte counts to 255 */
        for (; round < 255 && end - at >= BLOCK; round++, at += BLOCK) {
            Block some = load_block(at);
            if (mask_of(some > 0x7f)) break;
            counts -= (Block)(some == '\n');
        }
        for (int i = 0; i < BLOCK; i++) *lines += counts[i];
        if (round < 255) break;
    }
    for (; at < end && *at < 0x80; at++) *lines += *at == '\n';
    return at;
}

/* One character of more than one byte, if it is one that Unicode has, in its shortest form. */
static inline Text skip_character(Text at, Text end) {
    uint8_t first = *at;
    int more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (first < 0xc2 || first > 0xf4 || end - at <= more) return NULL;
    uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most) return NULL;
    for (int i = 2; i <= more; i++)
        if ((at[i] & 0xc0) != 0x80) return NULL;
    return at + more + 1;
}

/* What is called. */

/* How many newlines there are in valid UTF-8; -1 if it is not valid. */
int64_t count_lines(Text data, int64_t size) {
    int64_t lines = 0;
    if (!data || size < 0) return -1;
    for (Text at = data, end = data + size; at < end;) {
        at = count_ascii(at, end, &lines);
        if (at < end) at = skip_character(at, end);
        if (!at) return -1;
    }
    return lines;
}

/* Whether all nodes point to nodes after them, and to columns that there are. */
static int are_nodes(const Node *nodes, int32_t node_count, int64_t column_count) {
    for (int32_t i = 0; i < node_count; i++) {
        const Node *node = nodes + i;
        int32_t first = node->first_child, children = node->children;
        if (children < 0 || (children && (first <= i || first > node_count - children))) return 0;
        if (node->column < -1 || node->column >= column_count) return 0;
        if (node->first_column < 0 || node->end_column > column_count) return 0;
        if (node->key_size < 0 || (node->key_size && !node->key)) return 0;
    }
    return 1;
}

/* Read lines that are an object each, from `{` to `}` without a space around it. Returns how many
 * lines were taken; the next one, if any is left, has to be read in another way. There is room for so
 * many rows in each array; `line_ends` gets the places of their newlines. -1 if the text does not end
 * with a newline, is too long for the places, or if there are no such nodes. */
int64_t read_columns(Text data, int64_t size, const Node *nodes, int32_t node_count, Column *columns,
                     int64_t column_count, int64_t rows, int32_t *line_ends) {
    if (!data || size < 1 || size > INT32_MAX || data[size - 1] != '\n') return -1;
    if (!nodes || node_count < 1 || column_count < 0 || (column_count && !columns)) return -1;
    if (rows < 0 || (rows && !line_ends)) return -1;
    if (!are_nodes(nodes, node_count, column_count)) return -1;
    Reader reader = {.start = data, .end = data + size, .nodes = nodes, .columns = columns};
    for (int i = 0; i < GUESSES; i++) reader.guesses[i] = NO_GUESS;
    for (int64_t i = 0; i < column_count; i++) columns[i].offsets[0] = 0;
    for (Text at = data; at < reader.end && reader.row < rows; at++) {
        if (*at != '{') break;
        at = read_object(&reader, at, nodes, 0);
        if (!at || *at != '\n') break;
        for (int64_t i = 0; i < column_count; i++) end_row(&reader, columns + i);
        line_ends[reader.row++] = (int32_t)(at - data);
    }
    return reader.row;
}

/* What Python compares before it uses any of this. */

const Constant *constants_of_columns(void) {
    static const Constant constants[] = {
        CONSTANT(NOTHING), CONSTANT(BOOL), CONSTANT(INT), CONSTANT(DOUBLE), CONSTANT(STRING),
        CONSTANT(LONG_DOUBLE), CONSTANT(JSON), CONSTANT(BLOCK), CONSTANT(MAX_DEPTH), CONSTANT(LONGEST_KEY_SIZE),
        SIZE(Node), PLACE(Node, key), PLACE(Node, key_size), PLACE(Node, column), PLACE(Node, first_child),
        PLACE(Node, children), PLACE(Node, first_column), PLACE(Node, end_column), PLACE(Node, key_sizes),
        SIZE(Column), PLACE(Column, kinds), PLACE(Column, values), PLACE(Column, offsets), PLACE(Column, text),
        PLACE(Column, seen),
        {NULL, 0},
    };
    return constants;
}
