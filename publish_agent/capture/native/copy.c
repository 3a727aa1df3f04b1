/* Events of which every one counts: the values at some paths, copied into columns on the caller's
 * thread.
 *
 * A column is laid out as those are that `mql/events/columns.c` writes (`mql.events.cells`): of each row
 * a kind, eight bytes of value, and where its text ends. Of a column of keys, which are few, the value
 * of a text is its number, and each text is there once, mostly. What is of no fixed size, or odd, is
 * handed on to `Intake.keep` as a whole event.
 *
 * A row is written in place, behind those that count already. To look into an event can run any code,
 * and so other threads: if another row was begun meanwhile, or all were taken, the event is kept
 * whole. */

#include <limits.h>
#include <string.h>

#include "event.h"

enum { MAX_FIELDS = 8, PATTERN = 64, MARKS_AT_ONCE = 16, COPIER_ITEMS = 11 };

enum { FIRST_ROOM = 256 };

enum { SLOTS = 1024, MOST_KEYS = SLOTS / 2, PROBES = 4 };

enum { KEYS_A_ROW = 2 }; /* at most; also rows that did not come to count leave keys */

enum { MOST_SPREAD = 1 << 24 }; /* what the texts of keys may take, in bytes, each in all its rows */

enum { MOST_LEARNED = 8 }; /* keys of events, for a field */

enum { MUCH = 1 << 18 }; /* so many bytes more, and it is asked whether there is room for them */

enum kind { NOTHING, TRUTH, INTEGER, DOUBLE, TEXT, ODD_KIND };

struct slot {
    intptr_t hash;
    int32_t number; /* of the text, from 1 on */
};

struct column {
    uint8_t *kinds;
    int64_t *values;
    int32_t *ends; /* of texts, from 1 on; the first is 0 */
    char *text;
    struct slot *slots; /* of keys: where their texts are; NULL in other columns */
    int32_t keys;       /* how many texts of keys there are; of other columns each row has one */
    size_t spread;      /* bytes that the texts of keys would take if each row had its own */
    size_t text_room;
    uint64_t seen; /* bit k is set if there are values of kind k */
    const PyTypeObject *type; /* of the last value, and which kind that is */
    enum kind kind;
};

struct mark {
    int64_t row, clock_ns;
};

struct columns {
    intptr_t width;
    intptr_t rows, room;
    size_t turns; /* how often a row was begun, or all were taken */
    int closed;   /* until they are taken, events are kept whole: to stay in order */
    intptr_t marked, marks_room;
    int granted; /* marks for which there is room without asking */
    long long granted_at; /* bytes that there were when those were granted */
    struct mark *marks; /* when some of the rows were published */
    struct column columns[MAX_FIELDS];
};

struct copier {
    PyObject *held;      /* the tuple that all of these are in */
    const char *pattern; /* says of each event of so many whether it is to be marked */
    PyObject *mark, *clock, *full, *accepted, *keep;
    struct columns *to;
    intptr_t limit; /* of rows */
    int in_order; /* so, behind one that is kept whole */
    size_t seen;
    intptr_t longest; /* text, in characters */
    intptr_t count;
    struct path fields[MAX_FIELDS];
    PyObject *keys[MAX_FIELDS][MOST_LEARNED];
};

/* ---- room ---- */

static intptr_t text_count(const struct columns *columns, const struct column *column) {
    return column->slots == NULL ? columns->rows : column->keys;
}

static int text_size(const struct columns *columns, const struct column *column) {
    return columns->room > 0 ? column->ends[text_count(columns, column)] : 0;
}

/* What all values so far take, in bytes. */
static long long bytes_of(const struct columns *columns) {
    long long bytes = 0;
    for (intptr_t i = 0; i < columns->width; i++) {
        const struct column *column = &columns->columns[i];
        bytes += columns->rows * (long long)(sizeof *column->kinds + sizeof *column->values);
        bytes += text_count(columns, column) * (long long)sizeof *column->ends;
        bytes += text_size(columns, column);
    }
    return bytes;
}

/* Give the array that a pointer points to room for so many elements; false if there is no memory. */
static int grown(void *pointer, intptr_t room, size_t element) {
    void *array;
    memcpy(&array, pointer, sizeof array);
    array = PyMem_Realloc(array, (size_t)room * element);
    if (array == NULL) return 0;
    memcpy(pointer, &array, sizeof array);
    return 1;
}

static int resized(struct columns *columns, intptr_t room) {
    for (intptr_t i = 0; i < columns->width; i++) {
        struct column *column = &columns->columns[i];
        if (!grown(&column->kinds, room, sizeof *column->kinds)) return 0;
        if (!grown(&column->values, room, sizeof *column->values)) return 0;
        intptr_t texts = column->slots == NULL ? room : KEYS_A_ROW * room;
        if (!grown(&column->ends, texts + 1, sizeof *column->ends)) return 0;
        column->ends[0] = 0;
    }
    columns->room = room;
    return 1;
}

/* Room for one more row, and for its mark. */
static int has_room(struct columns *columns) {
    intptr_t rows = columns->rows, marks = columns->marks_room;
    if (rows == columns->room && !resized(columns, rows > 0 ? 2 * rows : FIRST_ROOM)) return 0;
    if (columns->marked < marks) return 1;
    marks = marks > 0 ? 2 * marks : FIRST_ROOM;
    if (!grown(&columns->marks, marks, sizeof *columns->marks)) return 0;
    columns->marks_room = marks;
    return 1;
}

static int has_text_room(struct column *column, size_t size) {
    if (size > INT32_MAX) return 0;
    if (size <= column->text_room) return 1;
    size_t room = 2 * size + FIRST_ROOM;
    if (!grown(&column->text, (intptr_t)room, 1)) return 0;
    column->text_room = room;
    return 1;
}

/* ---- writing ---- */

/* What became of a value, or of an event. */
enum outcome { RAISED = -1, WRITTEN, ODD, NO_ROOM };

/* Write the text that follows so many. */
static enum outcome add_text(struct column *column, intptr_t before, const char *text,
                             size_t size) {
    int start = column->ends[before];
    if (!has_text_room(column, (size_t)start + size)) return NO_ROOM;
    if (size > 0) memcpy(column->text + start, text, size);
    column->ends[before + 1] = start + (int)size;
    return WRITTEN;
}

/* Write the number of a key's text. One for which no slot is found soon is added once more. */
static enum outcome write_key(const struct columns *to, struct column *column, intptr_t row,
                              intptr_t hash, const char *text, size_t size) {
    struct slot *slot = NULL;
    for (uintptr_t probe = 0; probe < PROBES; probe++) {
        slot = &column->slots[((uintptr_t)hash + probe) % SLOTS];
        if (slot->number == 0) break;
        if (slot->hash != hash) continue;
        int start = column->ends[slot->number - 1], end = column->ends[slot->number];
        if ((size_t)(end - start) != size) continue;
        if (size == 0 || memcmp(column->text + start, text, size) == 0) {
            column->values[row] = slot->number - 1;
            return WRITTEN;
        }
    }
    if (column->keys >= KEYS_A_ROW * to->room) return ODD;
    enum outcome outcome = add_text(column, column->keys, text, size);
    if (outcome != WRITTEN) return outcome;
    column->values[row] = column->keys++;
    if (slot->number == 0 && column->keys <= MOST_KEYS) *slot = (struct slot){hash, column->keys};
    return WRITTEN;
}

static enum outcome write_utf8(const struct columns *to, struct column *column, intptr_t row,
                               PyObject *found) {
    intptr_t size;
    size_t turn = to->turns;
    const char *text = PyUnicode_AsUTF8AndSize(found, &size);
    if (text == NULL) return raised() == FAILED ? RAISED : ODD; /* half a surrogate pair */
    if (to->turns != turn) return ODD; /* there was one, and somebody has replaced "strict" */
    if (column->slots == NULL) {
        column->values[row] = 0;
        return add_text(column, row, text, (size_t)size);
    }
    if (column->spread > MOST_SPREAD) return ODD;
    column->spread += (size_t)size;
    return write_key(to, column, row, PyObject_Hash(found), text, (size_t)size);
}

static enum outcome write_text(const struct columns *to, struct column *column, intptr_t row,
                               PyObject *found, intptr_t longest) {
    if (PyUnicode_GetLength(found) > longest) return ODD;
    column->kinds[row] = TEXT;
    column->seen |= 1u << TEXT;
    Py_IncRef(found);
    enum outcome outcome = write_utf8(to, column, row, found);
    Py_DecRef(found);
    return outcome;
}

/* What the values of a type are; ODD_KIND if they may be anything. */
static enum kind kind_of(const PyTypeObject *type) {
    if (type == &PyUnicode_Type) return TEXT;
    if (type == &PyFloat_Type) return DOUBLE;
    if (type == &PyLong_Type) return INTEGER;
    return type == &PyBool_Type ? TRUTH : ODD_KIND;
}

/* The kind of a value, which is probably of the same type as the one before. What to do then depends
 * on the column alone: nobody waits for a value that has left the cache, to look for the next one. */
static inline enum kind kind_in(struct column *column, const PyObject *found) {
    if (found == NULL) return NOTHING;
    if (unlikely(found->type != column->type)) {
        column->type = found->type;
        column->kind = kind_of(column->type);
    }
    return column->kind;
}

/* Write a value, if it is of a known size, and the same as it would be after JSON. */
static enum outcome write_value(const struct columns *to, struct column *column, intptr_t row,
                                PyObject *found, intptr_t longest) {
    enum kind kind = kind_in(column, found);
    int64_t bits = 0;
    int beyond = 0;
    if (kind == TEXT) return write_text(to, column, row, found, longest);
    if (kind == DOUBLE) {
        double number = PyFloat_AsDouble(found);
        memcpy(&bits, &number, sizeof number);
        if (number - number != 0) { /* it is not finite, and so null */
            kind = NOTHING;
            bits = 0;
        }
    } else if (kind != NOTHING) {
        if (kind == ODD_KIND) return ODD;
        bits = PyLong_AsLongLongAndOverflow(found, &beyond);
        if (beyond != 0 || bits == LLONG_MIN) return ODD;
    }
    column->kinds[row] = (uint8_t)kind;
    column->seen |= 1u << kind;
    column->values[row] = bits;
    if (column->slots == NULL) column->ends[row + 1] = column->ends[row];
    return WRITTEN;
}

/* What capsules of columns are called, so that no other is taken for one. */
static const char *const COLUMNS = "publish_agent.capture.value_columns";

static void free_columns(PyObject *self) {
    struct columns *columns = PyCapsule_GetPointer(self, COLUMNS);
    for (intptr_t i = 0; i < columns->width; i++) {
        struct column *column = &columns->columns[i];
        PyMem_Free(column->kinds);
        PyMem_Free(column->values);
        PyMem_Free(column->ends);
        PyMem_Free(column->text);
        PyMem_Free(column->slots);
    }
    PyMem_Free(columns->marks);
    PyMem_Free(columns);
}

/* Columns without rows, at most MAX_FIELDS; `keys` says of each whether it is one of keys. */
PyObject *make_columns(PyObject *keys) {
    if (!is_tuple(keys) || PyTuple_Size(keys) > MAX_FIELDS)
        return refuse("columns are made of a tuple of at most MAX_FIELDS truths");
    for (intptr_t i = 0; i < PyTuple_Size(keys); i++)
        if (!is(PyTuple_GetItem(keys, i), &PyBool_Type)) return refuse("that is no truth");
    struct columns *columns = PyMem_Calloc(1, sizeof *columns);
    if (columns == NULL) return PyErr_NoMemory();
    PyObject *self = PyCapsule_New(columns, COLUMNS, free_columns);
    if (self == NULL) {
        PyMem_Free(columns);
        return NULL;
    }
    columns->width = PyTuple_Size(keys);
    for (intptr_t i = 0; i < columns->width; i++) {
        if (!PyObject_IsTrue(PyTuple_GetItem(keys, i))) continue;
        struct column *column = &columns->columns[i];
        column->slots = PyMem_Calloc(SLOTS, sizeof *column->slots);
        if (column->slots != NULL) continue;
        Py_DecRef(self);
        return PyErr_NoMemory();
    }
    return self;
}

/* ---- taking them ---- */

static PyObject *bytes_at(const void *from, size_t size) {
    return PyBytes_FromStringAndSize(size > 0 ? from : "", (intptr_t)size);
}

enum { PARTS = 5, MOST_PARTS = 2 + PARTS * MAX_FIELDS };

/* All rows: their number, their marks, and of each column a copy of each array, then `seen`. Not one
 * of them is looked at by the collector of garbage, which may run anything. 0 if there is no memory. */
static int copied(const struct columns *columns, PyObject **parts) {
    size_t rows = (size_t)columns->rows;
    *parts++ = PyLong_FromLongLong(columns->rows);
    *parts++ = bytes_at(columns->marks, (size_t)columns->marked * sizeof *columns->marks);
    int all = parts[-2] != NULL && parts[-1] != NULL;
    for (intptr_t i = 0; all && i < columns->width; i++, parts += PARTS) {
        const struct column *column = &columns->columns[i];
        size_t ends = rows > 0 ? (size_t)text_count(columns, column) + 1 : 0;
        parts[0] = bytes_at(column->kinds, rows * sizeof *column->kinds);
        parts[1] = bytes_at(column->values, rows * sizeof *column->values);
        parts[2] = bytes_at(column->ends, ends * sizeof *column->ends);
        parts[3] = bytes_at(column->text, (size_t)text_size(columns, column));
        parts[4] = PyLong_FromLongLong((long long)column->seen);
        for (int part = 0; part < PARTS; part++) all = all && parts[part] != NULL;
    }
    return all;
}

static void forget_texts(struct columns *columns, struct column *column) {
    size_t size = (size_t)text_size(columns, column) + FIRST_ROOM;
    if (column->text_room > 8 * size && grown(&column->text, (intptr_t)size, 1))
        column->text_room = size;
    column->keys = 0;
    column->spread = 0;
    column->seen = 0;
    if (column->slots != NULL) memset(column->slots, 0, SLOTS * sizeof *column->slots);
}

static void forget_rows(struct columns *columns) {
    intptr_t rows = columns->rows;
    for (intptr_t i = 0; i < columns->width; i++) forget_texts(columns, &columns->columns[i]);
    columns->rows = columns->marked = 0;
    columns->granted = columns->closed = 0;
    columns->turns++;
    if (columns->room > 8 * (rows + FIRST_ROOM)) {
        columns->room /= 2; /* if it fails, an array is longer than that */
        resized(columns, columns->room);
    }
}

/* All rows: their number, their marks, and of each column kinds, values, ends, texts and what kinds
 * there are. None are left, unless there is no memory. */
PyObject *take_columns(PyObject *self) {
    struct columns *columns = PyCapsule_GetPointer(self, COLUMNS);
    if (columns == NULL) return NULL;
    PyObject *parts[MOST_PARTS] = {NULL};
    intptr_t size = 2 + PARTS * columns->width;
    PyObject *taken = PyTuple_New(size); /* anything may run */
    if (taken == NULL) return NULL;
    int all = copied(columns, parts); /* nothing may, from here on */
    if (all) forget_rows(columns);
    for (intptr_t i = 0; i < size; i++)
        if (parts[i] != NULL) PyTuple_SetItem(taken, i, parts[i]);
    if (all) return taken;
    Py_DecRef(taken);
    return PyErr_NoMemory();
}

/* ---- copying ---- */

/* The very text that an event has for a key, borrowed; NULL if it has none. Runs no code of others. */
static PyObject *key_in(PyObject *event, PyObject *wanted) {
    intptr_t at = 0;
    PyObject *key;
    while (PyDict_Next(event, &at, &key, NULL))
        if (is(key, &PyUnicode_Type) && PyUnicode_Compare(key, wanted) == 0) return key;
    return NULL;
}

/* Look for a field by the key that an event has for it: the next events probably have the same one,
 * and keys that are identical need not be compared. Those of before are held: they may be in use. */
static void learn_key(struct copier *copier, intptr_t i, PyObject *event) {
    struct path *path = &copier->fields[i];
    PyObject **keys = copier->keys[i];
    if (path->count == 0 || !is(path->first, &PyUnicode_Type)) return;
    PyObject *key = key_in(event, path->first);
    int known = 0;
    while (known < MOST_LEARNED && keys[known] != NULL && keys[known] != key) known++;
    if (key == NULL || known == MOST_LEARNED) return;
    if (keys[known] == NULL) Py_IncRef(keys[known] = key);
    path->first = key;
}

/* Write the values of an event into the row behind those that count. */
static enum outcome write_row(struct copier *copier, PyObject *event) {
    struct columns *to = copier->to;
    intptr_t row = to->rows;
    for (intptr_t i = 0; row == 0 && i < copier->count; i++) learn_key(copier, i, event);
    size_t turn = ++to->turns;
    enum outcome outcome = WRITTEN;
    for (intptr_t i = 0; outcome == WRITTEN && i < copier->count; i++) {
        enum answer answer = NO;
        PyObject *held, *found = follow(event, &copier->fields[i], &answer, &held);
        if (answer == FAILED)
            outcome = RAISED;
        else if (answer == MAYBE || to->turns != turn)
            outcome = ODD;
        else
            outcome = write_value(to, &to->columns[i], row, found, copier->longest);
        let_go(held);
    }
    return outcome;
}

/* The time of the row that was written, or None if there is no room for it. */
static PyObject *time_of_row(const struct copier *copier) {
    struct columns *to = copier->to;
    long long size = bytes_of(to);
    if (to->granted > 0 && size - to->granted_at < MUCH) {
        to->granted--;
        return PyObject_CallFunctionObjArgs(copier->clock, NULL);
    }
    PyObject *rows = PyLong_FromLongLong(to->rows), *bytes = PyLong_FromLongLong(size);
    PyObject *time = NULL;
    if (rows != NULL && bytes != NULL)
        time = PyObject_CallFunctionObjArgs(copier->mark, rows, bytes, NULL);
    let_go(rows);
    let_go(bytes);
    if (time != NULL && is(time, &PyLong_Type)) {
        to->granted = MARKS_AT_ONCE - 1;
        to->granted_at = size;
    }
    return time;
}

/* Let the row that was written count, with its time, if there is room for it. */
static enum outcome mark_row(const struct copier *copier) {
    struct columns *to = copier->to;
    size_t turn = to->turns;
    PyObject *time = time_of_row(copier);
    if (time == NULL) return raised() == FAILED ? RAISED : NO_ROOM;
    enum outcome outcome = is(time, &PyLong_Type) ? WRITTEN : NO_ROOM;
    if (outcome == WRITTEN && to->turns != turn) outcome = ODD;
    if (outcome == WRITTEN)
        to->marks[to->marked++] = (struct mark){to->rows++, PyLong_AsLongLong(time)};
    Py_DecRef(time);
    return outcome;
}

static enum outcome copy_row(struct copier *copier, PyObject *event) {
    if (copier->to->closed || !is(event, &PyDict_Type)) return ODD;
    if (copier->to->rows >= copier->limit || !has_room(copier->to)) return NO_ROOM;
    enum outcome outcome = write_row(copier, event);
    if (outcome != WRITTEN) return outcome;
    if (copier->pattern[copier->seen++ % PATTERN]) return mark_row(copier);
    copier->to->rows++;
    return WRITTEN;
}

static PyObject *copy(PyObject *self, PyObject *event) {
    struct copier *copier = PyCapsule_GetPointer(self, NULL);
    switch (copy_row(copier, event)) {
        case WRITTEN: Py_IncRef(copier->accepted); return copier->accepted;
        case ODD:
            copier->to->closed |= copier->in_order;
            return PyObject_CallFunctionObjArgs(copier->keep, event, NULL);
        case NO_ROOM: return PyObject_CallFunctionObjArgs(copier->full, NULL);
        case RAISED: break;
    }
    return NULL;
}

static PyMethodDef COPY = {"copy", copy, METH_O, NULL};

static void free_copier(PyObject *self) {
    struct copier *copier = PyCapsule_GetPointer(self, NULL);
    for (intptr_t i = 0; i < MAX_FIELDS; i++)
        for (int known = 0; known < MOST_LEARNED; known++) let_go(copier->keys[i][known]);
    Py_DecRef(copier->held);
    PyMem_Free(copier);
}

static int are_paths(PyObject *paths, intptr_t count) {
    if (!is_tuple_of(paths, count)) return 0;
    for (intptr_t i = 0; i < count; i++)
        if (!is_path(PyTuple_GetItem(paths, i))) return 0;
    return 1;
}

static int is_pattern(PyObject *value) {
    return is(value, &PyByteArray_Type) && PyByteArray_Size(value) == PATTERN;
}

/* What copies the values at some paths. `held` is (paths, longest, limit, in_order, pattern, mark,
 * clock, full, columns, accepted, keep). */
PyObject *make_copier(PyObject *held) {
    if (!is_tuple_of(held, COPIER_ITEMS)) return refuse("a copier is made of COPIER_ITEMS");
    PyObject *paths = PyTuple_GetItem(held, 0), *longest = PyTuple_GetItem(held, 1);
    PyObject *limit = PyTuple_GetItem(held, 2), *in_order = PyTuple_GetItem(held, 3);
    struct columns *to = PyCapsule_GetPointer(PyTuple_GetItem(held, 8), COLUMNS);
    if (to == NULL) return NULL;
    if (!are_paths(paths, to->width)) return refuse("there is to be a path for each column");
    if (!is_whole_in(longest, 0, INT64_MAX) || !is_whole_in(limit, 0, INT64_MAX))
        return refuse("a limit is an integer, and not negative");
    if (!is(in_order, &PyBool_Type)) return refuse("whether it is in order is a truth");
    if (!is_pattern(PyTuple_GetItem(held, 4))) return refuse("a pattern is of PATTERN bytes");
    struct copier *copier = PyMem_Calloc(1, sizeof *copier);
    if (copier == NULL) return PyErr_NoMemory();
    copier->count = to->width;
    for (intptr_t i = 0; i < copier->count; i++)
        copier->fields[i] = path_of(PyTuple_GetItem(paths, i));
    copier->longest = (intptr_t)whole_of(longest);
    copier->limit = (intptr_t)whole_of(limit);
    copier->in_order = PyObject_IsTrue(in_order);
    copier->pattern = PyByteArray_AsString(PyTuple_GetItem(held, 4));
    copier->mark = PyTuple_GetItem(held, 5);
    copier->clock = PyTuple_GetItem(held, 6);
    copier->full = PyTuple_GetItem(held, 7);
    copier->to = to;
    copier->accepted = PyTuple_GetItem(held, 9);
    copier->keep = PyTuple_GetItem(held, 10);
    Py_IncRef(copier->held = held);
    return function_of(&COPY, copier, held, free_copier);
}

/* ---- what Python compares before it uses any of this ---- */

enum { MARK_BYTES = sizeof(struct mark), MARK_CLOCK_AT = offsetof(struct mark, clock_ns) };

enum {
    KIND_BYTES = sizeof *((struct column *)NULL)->kinds,
    VALUE_BYTES = sizeof *((struct column *)NULL)->values,
    END_BYTES = sizeof *((struct column *)NULL)->ends,
};

const struct constant *constants_of_copy(void) {
    static const struct constant constants[] = {
        CONSTANT(MAX_FIELDS), CONSTANT(PATTERN), CONSTANT(MARKS_AT_ONCE), CONSTANT(COPIER_ITEMS),
        CONSTANT(PARTS), CONSTANT(MARK_BYTES), CONSTANT(MARK_CLOCK_AT),
        CONSTANT(KIND_BYTES), CONSTANT(VALUE_BYTES), CONSTANT(END_BYTES),
        CONSTANT(NOTHING), CONSTANT(TRUTH), CONSTANT(INTEGER), CONSTANT(DOUBLE), CONSTANT(TEXT),
        {NULL, 0},
    };
    return constants;
}
