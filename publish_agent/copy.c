/* Events of which every one counts: the values at some paths, copied into columns on the caller's
 * thread.
 *
 * A column is laid out as those are that `mql/events/columns.c` writes (`mql.events.cells`): of each row
 * a kind, eight bytes of value, and where its text ends. Of a column of keys, which are few, the value
 * of a text is its number, and each text is there once, mostly. What is of no fixed size, or odd, is
 * handed on to `Intake.keep` as a whole event.
 *
 * A row is appended, and all rows are taken, while the GIL is held and no code of Python runs. */

#include <limits.h>
#include <string.h>

#include "event.h"

enum { MAX_FIELDS = 8 }; /* as MAX_PROPERTIES in columns.py */

enum { FIRST_ROOM = 256, PATTERN = 64 /* as in columns.py */ };

enum { SLOTS = 1024, MOST_KEYS = SLOTS / 2, PROBES = 4 };

enum kind { NOTHING, TRUTH, INTEGER, DOUBLE, TEXT }; /* as `Kind` in mql/batch.py */

struct value {
    enum kind kind;
    int64_t bits;
    PyObject *held; /* the text's owner */
    const char *text;
    intptr_t size; /* bytes */
};

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
    int32_t texts;      /* how many ends there are */
    size_t text_room;
    uint64_t seen; /* bit k is set if there are values of kind k */
};

struct mark {
    int64_t row, clock_ns;
};

struct columns {
    intptr_t width;
    intptr_t rows, room;
    intptr_t marked, marks_room;
    struct mark *marks; /* when some of the rows were published */
    struct column columns[MAX_FIELDS];
};

struct copier {
    PyObject *held;      /* the tuple that all of these are in */
    const char *pattern; /* says of each event of so many whether it is to be marked */
    PyObject *mark, *full, *accepted, *keep;
    struct columns *to;
    size_t seen;
    intptr_t longest; /* text, in characters */
    intptr_t count;
    struct path fields[MAX_FIELDS];
};

/* ---- the columns ---- */

static int text_size(const struct column *column) {
    return column->texts > 0 ? column->ends[column->texts] : 0;
}

/* What all values so far take, in bytes. */
static long long bytes_of(const struct columns *columns) {
    long long bytes = 0;
    for (intptr_t i = 0; i < columns->width; i++) {
        const struct column *column = &columns->columns[i];
        bytes += columns->rows * (long long)(sizeof *column->kinds + sizeof *column->values);
        bytes += column->texts * (long long)sizeof *column->ends + text_size(column);
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
        if (!grown(&column->ends, room + 1, sizeof *column->ends)) return 0;
        column->ends[0] = 0;
    }
    columns->room = room;
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

/* Room for a row with these values, and for its mark. */
static int has_room(struct columns *columns, const struct value *row) {
    intptr_t rows = columns->rows, marks = columns->marks_room;
    if (rows == columns->room && !resized(columns, rows > 0 ? 2 * rows : FIRST_ROOM)) return 0;
    if (columns->marked == marks) {
        marks = marks > 0 ? 2 * marks : FIRST_ROOM;
        if (!grown(&columns->marks, marks, sizeof *columns->marks)) return 0;
        columns->marks_room = marks;
    }
    for (intptr_t i = 0; i < columns->width; i++) {
        if (row[i].kind != TEXT) continue;
        struct column *column = &columns->columns[i];
        size_t size = (size_t)text_size(column) + (size_t)row[i].size;
        if (!has_text_room(column, size)) return 0;
    }
    return 1;
}

static void add_text(struct column *column, const struct value *value) {
    int end = text_size(column);
    if (value->kind == TEXT) {
        memcpy(column->text + end, value->text, (size_t)value->size);
        end += (int)value->size;
    }
    column->ends[++column->texts] = end;
}

/* The number of a key's text, from 0 on. One for which no slot is found soon is added once more. */
static int64_t number_of(struct column *column, const struct value *value) {
    intptr_t hash = PyObject_Hash(value->held);
    struct slot *slot = NULL;
    for (uintptr_t probe = 0; probe < PROBES; probe++) {
        slot = &column->slots[((uintptr_t)hash + probe) % SLOTS];
        if (slot->number == 0) break;
        if (slot->hash != hash) continue;
        int start = column->ends[slot->number - 1], end = column->ends[slot->number];
        if (end - start == value->size && !memcmp(column->text + start, value->text, (size_t)value->size))
            return slot->number - 1;
    }
    add_text(column, value);
    if (slot->number == 0 && column->texts <= MOST_KEYS) *slot = (struct slot){hash, column->texts};
    return column->texts - 1;
}

static void append(struct columns *columns, const struct value *row) {
    intptr_t at = columns->rows;
    for (intptr_t i = 0; i < columns->width; i++) {
        struct column *column = &columns->columns[i];
        column->kinds[at] = (uint8_t)row[i].kind;
        column->values[at] = row[i].bits;
        column->seen |= 1u << row[i].kind;
        if (column->slots == NULL)
            add_text(column, &row[i]);
        else if (row[i].kind == TEXT)
            column->values[at] = number_of(column, &row[i]);
    }
    columns->rows = at + 1;
}

static void free_columns(PyObject *self) {
    struct columns *columns = PyCapsule_GetPointer(self, NULL);
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
    struct columns *columns = PyMem_Calloc(1, sizeof *columns);
    if (columns == NULL) return PyErr_NoMemory();
    PyObject *self = PyCapsule_New(columns, NULL, free_columns);
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

/* A copy of each array of a column, then `seen`; 0 if there is no memory. Not one of them is
 * looked at by the collector of garbage, which may run anything. */
static int copied(const struct columns *columns, const struct column *column, PyObject **parts) {
    size_t rows = (size_t)columns->rows;
    parts[0] = bytes_at(column->kinds, rows * sizeof *column->kinds);
    parts[1] = bytes_at(column->values, rows * sizeof *column->values);
    parts[2] = bytes_at(column->ends, rows > 0 ? (size_t)(column->texts + 1) * sizeof *column->ends : 0);
    parts[3] = bytes_at(column->text, (size_t)text_size(column));
    parts[4] = PyLong_FromLongLong((long long)column->seen);
    for (int i = 0; i < 5; i++)
        if (parts[i] == NULL) return 0;
    return 1;
}

static void forget(struct column *column) {
    size_t size = (size_t)text_size(column) + FIRST_ROOM;
    if (column->text_room > 8 * size && grown(&column->text, (intptr_t)size, 1))
        column->text_room = size;
    column->texts = 0;
    column->seen = 0;
    if (column->slots != NULL) memset(column->slots, 0, SLOTS * sizeof *column->slots);
}

static void forget_rows(struct columns *columns) {
    intptr_t rows = columns->rows;
    columns->rows = columns->marked = 0;
    for (intptr_t i = 0; i < columns->width; i++) forget(&columns->columns[i]);
    if (columns->room > 8 * (rows + FIRST_ROOM)) {
        columns->room /= 2; /* if it fails, an array is longer than that */
        resized(columns, columns->room);
    }
}

static PyObject *tuple_of(PyObject **parts, intptr_t size) {
    PyObject *tuple = PyTuple_New(size);
    for (intptr_t i = 0; i < size; i++) {
        if (tuple != NULL)
            PyTuple_SetItem(tuple, i, parts[i]);
        else
            let_go(parts[i]);
    }
    return tuple;
}

/* All rows: their number, their marks, and of each column kinds, values, ends, texts and what kinds
 * there are. None are left. */
PyObject *take_columns(PyObject *self) {
    struct columns *columns = PyCapsule_GetPointer(self, NULL);
    PyObject *parts[MAX_FIELDS][5] = {{NULL}}, *made[MAX_FIELDS + 2] = {NULL};
    made[0] = PyLong_FromLongLong(columns->rows);
    made[1] = bytes_at(columns->marks, (size_t)columns->marked * sizeof *columns->marks);
    int all = made[0] != NULL && made[1] != NULL;
    for (intptr_t i = 0; all && i < columns->width; i++)
        all = copied(columns, &columns->columns[i], parts[i]);
    if (!all) {
        let_go(made[0]);
        let_go(made[1]);
        for (intptr_t i = 0; i < columns->width; i++)
            for (int part = 0; part < 5; part++) let_go(parts[i][part]);
        return PyErr_NoMemory();
    }
    forget_rows(columns);
    intptr_t width = columns->width; /* from here on anything may run */
    for (intptr_t i = 0; i < width; i++) made[2 + i] = tuple_of(parts[i], 5);
    for (intptr_t i = 0; i < width; i++) all = all && made[2 + i] != NULL;
    if (all) return tuple_of(made, 2 + width);
    for (intptr_t i = 0; i < 2 + width; i++) let_go(made[i]);
    return NULL;
}

/* ---- copying ---- */

/* A value that is not null, if it is of a known size, and the same as it would be after JSON. */
static enum answer read_value(PyObject *found, intptr_t longest, struct value *value) {
    if (is(found, &PyUnicode_Type)) {
        if (PyUnicode_GetLength(found) > longest) return MAYBE;
        value->text = PyUnicode_AsUTF8AndSize(found, &value->size);
        if (value->text == NULL) return raised(); /* half a surrogate pair */
        value->kind = TEXT;
        return NO;
    }
    if (is(found, &PyFloat_Type)) {
        double number = PyFloat_AsDouble(found);
        if (number - number == 0) { /* it is finite; else it is null */
            value->kind = DOUBLE;
            memcpy(&value->bits, &number, sizeof number);
        }
        return NO;
    }
    int beyond = 0;
    if (is(found, &PyLong_Type))
        value->kind = INTEGER;
    else if (is(found, &PyBool_Type))
        value->kind = TRUTH;
    else
        return MAYBE;
    value->bits = PyLong_AsLongLongAndOverflow(found, &beyond);
    return beyond != 0 || value->bits == LLONG_MIN ? MAYBE : NO;
}

/* The values of an event; returns how many may hold something. */
static intptr_t read_row(const struct copier *copier, PyObject *event, struct value *row,
                         enum answer *answer) {
    *answer = is(event, &PyDict_Type) ? NO : MAYBE;
    intptr_t read = 0;
    while (*answer == NO && read < copier->count) {
        PyObject *held, *found = follow(event, &copier->fields[read], answer, &held);
        struct value *value = &row[read++];
        *value = (struct value){NOTHING, 0, held, NULL, 0};
        if (found == NULL || *answer != NO) continue;
        *answer = read_value(found, copier->longest, value);
        if (value->kind == TEXT && held == NULL) Py_IncRef(value->held = found);
    }
    return read;
}

/* Append a row, if there is room, and if it is its turn, its mark: NO where that is done. */
static enum answer keep_row(struct copier *copier, const struct value *row) {
    struct columns *to = copier->to;
    int64_t clock_ns = 0;
    int is_marked = copier->pattern[copier->seen++ % PATTERN];
    if (is_marked) {
        PyObject *rows = PyLong_FromLongLong(to->rows), *bytes = PyLong_FromLongLong(bytes_of(to));
        PyObject *time = NULL;
        if (rows != NULL && bytes != NULL)
            time = PyObject_CallFunctionObjArgs(copier->mark, rows, bytes, NULL);
        let_go(rows);
        let_go(bytes);
        if (time == NULL) return FAILED;
        int has_time = is(time, &PyLong_Type);
        if (has_time) clock_ns = PyLong_AsLongLong(time);
        Py_DecRef(time);
        if (!has_time) return MAYBE;
    }
    if (!has_room(to, row)) return MAYBE;
    if (is_marked) to->marks[to->marked++] = (struct mark){to->rows, clock_ns};
    append(to, row);
    return NO;
}

static PyObject *copy(PyObject *self, PyObject *event) {
    struct copier *copier = PyCapsule_GetPointer(self, NULL);
    struct value row[MAX_FIELDS];
    PyObject *status = NULL;
    enum answer is_odd, is_full = FAILED;
    intptr_t read = read_row(copier, event, row, &is_odd);
    if (is_odd == NO) is_full = keep_row(copier, row);
    while (read > 0) let_go(row[--read].held);
    if (is_full == NO)
        Py_IncRef(status = copier->accepted);
    else if (is_full == MAYBE)
        status = PyObject_CallFunctionObjArgs(copier->full, NULL);
    else if (is_odd == MAYBE)
        status = PyObject_CallFunctionObjArgs(copier->keep, event, NULL);
    return status;
}

static PyMethodDef COPY = {"offer", copy, METH_O, NULL};

static void free_copier(PyObject *self) {
    struct copier *copier = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(copier->held);
    PyMem_Free(copier);
}

/* What copies the values at some paths. `held` is (paths, longest, pattern, mark, full, columns,
 * accepted, keep). */
PyObject *make_copier(PyObject *held) {
    struct copier *copier = PyMem_Calloc(1, sizeof *copier);
    if (copier == NULL) return PyErr_NoMemory();
    PyObject *paths = PyTuple_GetItem(held, 0);
    copier->count = PyTuple_Size(paths);
    for (intptr_t i = 0; i < copier->count && i < MAX_FIELDS; i++)
        copier->fields[i] = path_of(PyTuple_GetItem(paths, i));
    copier->longest = PyLong_AsLong(PyTuple_GetItem(held, 1));
    copier->pattern = PyByteArray_AsString(PyTuple_GetItem(held, 2));
    copier->mark = PyTuple_GetItem(held, 3);
    copier->full = PyTuple_GetItem(held, 4);
    copier->to = PyCapsule_GetPointer(PyTuple_GetItem(held, 5), NULL);
    copier->accepted = PyTuple_GetItem(held, 6);
    copier->keep = PyTuple_GetItem(held, 7);
    Py_IncRef(copier->held = held);
    return function_of(&COPY, copier, held, free_copier);
}
