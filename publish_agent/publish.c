/* What `publish` does on the caller's thread, compiled: it counts what nobody wants, copies values
 * where that is enough, and hands on the rest, to `Intake.keep`.
 *
 * It does what the Python functions do that `screen.py` makes and `mql explain --screen` prints. It
 * may let through too much, never too little: what is odd or raises is kept.
 *
 * The caller holds the GIL. To look into a dict can run any code, of a key that is no plain text, and
 * so other threads: what is borrowed from an event is used before that, or held. To look for a text
 * or a number in a dict of ours runs none. */

#define _GNU_SOURCE /* memmem */

#include <limits.h>
#include <string.h>

#include "stable_abi.h"

enum { MAX_FIELDS = 8 }; /* as MAX_PROPERTIES in columns.py */

enum kind { KEYS, ANY_KEYS, BOUND, KEYED_BOUND, TEXTS, SEARCH, TEST }; /* as in native.py */

enum answer { FAILED = -1, NO, MAYBE };

struct path {
    PyObject *first; /* step */
    PyObject *steps; /* a tuple of texts and integers */
    intptr_t count;
};

struct look {
    enum kind kind;
    int flag;               /* KEYS: the keys are texts; bounds: it is a least one */
    struct path path;       /* of the value that is looked at */
    struct path other;      /* ANY_KEYS: into an element; KEYED_BOUND: of the number */
    PyObject *first;        /* the index, the thresholds (doubles), texts, or what to call */
    PyObject *second;       /* the thresholds for integers, or the marks of keys */
    const uint8_t *marks;   /* KEYS, ANY_KEYS: a bit for each hash that a key has, modulo their number */
    uintptr_t mask;         /* their number less one; it is a power of two */
    double number;          /* BOUND: for doubles */
    long long whole;        /* BOUND: for integers */
};

struct gate {
    PyObject *held;     /* the tuple that all objects below are in */
    PyObject *rejected; /* an iterator that counts, and gives what is returned */
    PyObject *keep;
    intptr_t count;
    struct look looks[];
};

struct copier {
    PyObject *held;    /* the tuple that all of these are in */
    PyObject *pattern; /* a bytearray that says of each event of so many whether it is marked */
    PyObject *mark, *full, *values, *accepted, *keep;
    intptr_t seen;
    intptr_t longest; /* text, in characters */
    intptr_t count;
    struct path fields[MAX_FIELDS];
};

/* ---- values ---- */

static int is(const PyObject *value, const PyTypeObject *type) { return value->type == type; }

static int is_null(const PyObject *value) { return value == &_Py_NoneStruct; }

static int is_scalar(const PyObject *value) {
    return is(value, &PyUnicode_Type) || is(value, &PyLong_Type) || is(value, &PyFloat_Type) ||
           is(value, &PyBool_Type) || is_null(value);
}

/* What JSON knows. A value of any other type may be anything. */
static int is_known(const PyObject *value) {
    return is_scalar(value) || is(value, &PyDict_Type) || is(value, &PyList_Type);
}

/* What an exception means: it may pass; or, if it is none that an event raises, that this ends. */
static enum answer raised(void) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return FAILED;
    PyErr_Clear();
    return MAYBE;
}

static enum answer of_truth(int truth) { return truth < 0 ? raised() : truth ? MAYBE : NO; }

/* Whether all keys are texts: else one of another type may become the text that is missing. */
static int has_text_keys(PyObject *dict) {
    intptr_t at = 0;
    PyObject *key;
    while (PyDict_Next(dict, &at, &key, NULL))
        if (!is(key, &PyUnicode_Type)) return 0;
    return 1;
}

/* One step into a value, which its caller holds. Borrowed; NULL for null, and if nobody knows. */
static PyObject *step_into(PyObject *value, PyObject *step, enum answer *answer) {
    PyObject *found = NULL;
    if (is(value, &PyDict_Type)) {
        if (is(step, &PyUnicode_Type)) found = PyDict_GetItemWithError(value, step);
        if (found != NULL && !is_null(found)) return found;
        if (found == NULL && PyErr_Occurred() != NULL)
            *answer = raised();
        else if (!has_text_keys(value))
            *answer = MAYBE;
        return NULL;
    }
    if (is(value, &PyList_Type)) {
        if (!is(step, &PyLong_Type)) return NULL;
        intptr_t size = PyList_Size(value), at = PyLong_AsLong(step);
        if (at < 0) at += size;
        if (at >= 0 && at < size) found = PyList_GetItem(value, at);
        return found == NULL || is_null(found) ? NULL : found;
    }
    if (!is_known(value)) *answer = MAYBE;
    return NULL;
}

/* What a path leads to, from a value that its caller holds; NULL for null, and if nobody knows.
 * Borrowed, or if it lies deeper, held by `*held`. */
static PyObject *follow(PyObject *value, const struct path *path, enum answer *answer,
                        PyObject **held) {
    *held = NULL;
    if (path->count == 0) return is_null(value) ? NULL : value;
    PyObject *found = step_into(value, path->first, answer);
    for (intptr_t i = 1; i < path->count && found != NULL; i++) {
        PyObject *outer = found;
        if (i == 1) Py_IncRef(outer);
        found = step_into(outer, PyTuple_GetItem(path->steps, i), answer);
        if (found != NULL) Py_IncRef(found);
        Py_DecRef(outer);
        *held = found;
    }
    return found;
}

static void let_go(PyObject *held) {
    if (held != NULL) Py_DecRef(held);
}

/* ---- looks: each takes a value that is not null ---- */

/* Whether it may be in the index. The marks stay in the cache where an index of many keys does not. */
static int is_marked(const struct look *look, PyObject *value) {
    uintptr_t bit = (uintptr_t)PyObject_Hash(value) & look->mask;
    return look->marks[bit >> 3] >> (bit & 7) & 1;
}

static enum answer in_index(const struct look *look, PyObject *value) {
    if (is(value, &PyUnicode_Type) || (!look->flag && is_scalar(value)))
        return is_marked(look, value) ? of_truth(PyDict_Contains(look->first, value)) : NO;
    return is_known(value) ? NO : MAYBE;
}

static enum answer in_index_any(const struct look *look, PyObject *list) {
    if (!is(list, &PyList_Type)) return MAYBE;
    enum answer answer = NO;
    intptr_t size = PyList_Size(list);
    Py_IncRef(list);
    for (intptr_t i = 0; answer == NO && i < size; i++) {
        PyObject *held, *element = PyList_GetItem(list, i);
        if (element == NULL) { /* it has become shorter */
            answer = raised();
            break;
        }
        Py_IncRef(element);
        PyObject *value = follow(element, &look->other, &answer, &held);
        if (value != NULL) answer = in_index(look, value);
        let_go(held);
        Py_DecRef(element);
    }
    Py_DecRef(list);
    return answer;
}

static int in_bounds(PyObject *value, double number, long long whole, int is_least) {
    if (is(value, &PyFloat_Type)) {
        double given = PyFloat_AsDouble(value);
        return is_least ? given >= number : given <= number;
    }
    int beyond;
    long long given = PyLong_AsLongLongAndOverflow(value, &beyond);
    if (beyond != 0) return (beyond > 0) == is_least;
    return is_least ? given >= whole : given <= whole;
}

static int is_number(const PyObject *value) {
    return is(value, &PyLong_Type) || is(value, &PyFloat_Type);
}

static enum answer bound(const struct look *look, PyObject *value) {
    if (is_number(value)) return in_bounds(value, look->number, look->whole, look->flag);
    return is_known(value) ? NO : MAYBE;
}

/* A threshold for each key; in both dicts are the same keys. */
static enum answer keyed_bound(const struct look *look, PyObject *key, PyObject *event) {
    if (!is_scalar(key)) return is_known(key) ? NO : MAYBE;
    PyObject *number = PyDict_GetItemWithError(look->first, key);
    PyObject *whole = number == NULL ? NULL : PyDict_GetItemWithError(look->second, key);
    if (whole == NULL) return PyErr_Occurred() != NULL ? raised() : NO;
    double least = PyFloat_AsDouble(number);
    int beyond;
    long long least_whole = PyLong_AsLongLongAndOverflow(whole, &beyond);
    enum answer answer = NO;
    PyObject *held, *value = follow(event, &look->other, &answer, &held);
    if (value != NULL && is_number(value))
        answer = in_bounds(value, least, least_whole, look->flag);
    else if (value != NULL)
        answer = is_known(value) ? NO : MAYBE;
    let_go(held);
    return answer;
}

/* Where a text is in another, or NULL. Most are short, and have no first byte of it. */
static const char *find(const char *text, size_t size, const char *wanted, size_t length) {
    const char *end = text + size;
    if (length == 0) return text;
    for (int tries = 0; tries < 32; tries++) {
        if ((size_t)(end - text) < length) return NULL;
        text = memchr(text, wanted[0], (size_t)(end - text) - length + 1);
        if (text == NULL || memcmp(text, wanted, length) == 0) return text;
        text++;
    }
    return memmem(text, (size_t)(end - text), wanted, length);
}

/* The end of that of some texts which ends first, or NULL. */
static const char *after_any(const char *text, const char *end, PyObject *texts) {
    const char *first = NULL;
    for (intptr_t i = 0; i < PyTuple_Size(texts); i++) {
        char *wanted;
        intptr_t length;
        PyBytes_AsStringAndSize(PyTuple_GetItem(texts, i), &wanted, &length);
        const char *found = find(text, (size_t)(end - text), wanted, (size_t)length);
        if (found != NULL && (first == NULL || found + length < first)) first = found + length;
    }
    return first;
}

/* Of each group of texts one has to be in it, one group behind the other. */
static enum answer holds_texts(const struct look *look, PyObject *value) {
    if (!is(value, &PyUnicode_Type)) return MAYBE;
    intptr_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == NULL) return raised(); /* half a surrogate pair */
    const char *end = text + size;
    for (intptr_t i = 0; text != NULL && i < PyTuple_Size(look->first); i++)
        text = after_any(text, end, PyTuple_GetItem(look->first, i));
    return text == NULL ? NO : MAYBE;
}

static enum answer called(PyObject *function, PyObject *argument) {
    PyObject *found = PyObject_CallFunctionObjArgs(function, argument, NULL);
    if (found == NULL) return raised();
    enum answer answer = of_truth(PyObject_IsTrue(found));
    Py_DecRef(found);
    return answer;
}

static enum answer searched(const struct look *look, PyObject *value) {
    if (!is(value, &PyUnicode_Type)) return MAYBE;
    Py_IncRef(value);
    enum answer answer = called(look->first, value);
    Py_DecRef(value);
    return answer;
}

static enum answer look_at(const struct look *look, PyObject *event) {
    if (look->kind == TEST) return called(look->first, event);
    enum answer answer = NO;
    PyObject *held, *value = follow(event, &look->path, &answer, &held);
    if (value == NULL) return answer;
    switch (look->kind) {
        case KEYS: answer = in_index(look, value); break;
        case ANY_KEYS: answer = in_index_any(look, value); break;
        case BOUND: answer = bound(look, value); break;
        case KEYED_BOUND: answer = keyed_bound(look, value, event); break;
        case TEXTS: answer = holds_texts(look, value); break;
        case SEARCH: answer = searched(look, value); break;
        case TEST: break;
    }
    let_go(held);
    return answer;
}

/* ---- the gate ---- */

static PyObject *offer(PyObject *self, PyObject *event) {
    const struct gate *gate = PyCapsule_GetPointer(self, NULL);
    enum answer answer = is(event, &PyDict_Type) ? NO : MAYBE;
    for (intptr_t i = 0; answer == NO && i < gate->count; i++)
        answer = look_at(&gate->looks[i], event);
    if (answer == FAILED) return NULL;
    if (answer == NO) return PyIter_Next(gate->rejected);
    return PyObject_CallFunctionObjArgs(gate->keep, event, NULL);
}

static PyMethodDef OFFER = {"offer", offer, METH_O, NULL};

static void free_gate(PyObject *self) {
    struct gate *gate = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(gate->held);
    PyMem_Free(gate);
}

/* A function with a capsule as its `self`. That takes over what is allocated, and the reference to
 * what it holds. */
static PyObject *function_of(PyMethodDef *definition, void *made, PyObject *held,
                             void (*free)(PyObject *)) {
    PyObject *self = PyCapsule_New(made, NULL, free);
    if (self == NULL) {
        Py_DecRef(held);
        PyMem_Free(made);
        return NULL;
    }
    PyObject *function = PyCFunction_NewEx(definition, self, NULL);
    Py_DecRef(self);
    return function;
}

static struct path path_of(PyObject *steps) {
    intptr_t count = PyTuple_Size(steps);
    return (struct path){count > 0 ? PyTuple_GetItem(steps, 0) : NULL, steps, count};
}

/* A gate. `held` is (looks, rejected, keep), each look (kind, flag, path, other path, first,
 * second). */
PyObject *make_gate(PyObject *held) {
    PyObject *looks = PyTuple_GetItem(held, 0);
    intptr_t count = PyTuple_Size(looks);
    struct gate *gate = PyMem_Calloc(1, sizeof *gate + (size_t)count * sizeof gate->looks[0]);
    if (gate == NULL) return PyErr_NoMemory();
    for (intptr_t i = 0; i < count; i++) {
        PyObject *given = PyTuple_GetItem(looks, i);
        struct look *look = &gate->looks[i];
        look->kind = (enum kind)PyLong_AsLong(PyTuple_GetItem(given, 0));
        look->flag = PyObject_IsTrue(PyTuple_GetItem(given, 1));
        look->path = path_of(PyTuple_GetItem(given, 2));
        look->other = path_of(PyTuple_GetItem(given, 3));
        look->first = PyTuple_GetItem(given, 4);
        look->second = PyTuple_GetItem(given, 5);
        if (look->kind == BOUND) {
            int beyond;
            look->number = PyFloat_AsDouble(look->first);
            look->whole = PyLong_AsLongLongAndOverflow(look->second, &beyond);
        } else if (look->kind == KEYS || look->kind == ANY_KEYS) {
            look->marks = (const uint8_t *)PyByteArray_AsString(look->second);
            look->mask = (uintptr_t)PyByteArray_Size(look->second) * 8 - 1;
        }
    }
    gate->rejected = PyTuple_GetItem(held, 1);
    gate->keep = PyTuple_GetItem(held, 2);
    gate->count = count;
    Py_IncRef(gate->held = held);
    return function_of(&OFFER, gate, held, free_gate);
}

/* ---- sampling, where all that is left of the gate wants every event ---- */

struct sampler {
    PyObject *held;     /* the tuple that all of these are in */
    PyObject *throws;   /* an iterator that says of each event whether it is kept */
    PyObject *left_out; /* an iterator that counts, and gives what is returned */
    PyObject *keep;
};

static PyObject *sample(PyObject *self, PyObject *event) {
    const struct sampler *sampler = PyCapsule_GetPointer(self, NULL);
    PyObject *thrown = PyIter_Next(sampler->throws);
    if (thrown == NULL) return NULL;
    int is_kept = PyObject_IsTrue(thrown);
    Py_DecRef(thrown);
    if (!is_kept) return PyIter_Next(sampler->left_out);
    return PyObject_CallFunctionObjArgs(sampler->keep, event, NULL);
}

static PyMethodDef SAMPLE = {"offer", sample, METH_O, NULL};

static void free_sampler(PyObject *self) {
    struct sampler *sampler = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(sampler->held);
    PyMem_Free(sampler);
}

/* What keeps some events. `held` is (throws, left_out, keep). */
PyObject *make_sampler(PyObject *held) {
    struct sampler *sampler = PyMem_Calloc(1, sizeof *sampler);
    if (sampler == NULL) return PyErr_NoMemory();
    sampler->throws = PyTuple_GetItem(held, 0);
    sampler->left_out = PyTuple_GetItem(held, 1);
    sampler->keep = PyTuple_GetItem(held, 2);
    Py_IncRef(sampler->held = held);
    return function_of(&SAMPLE, sampler, held, free_sampler);
}

/* ---- the copying of values ---- */

/* Whether a value is of a known size, and the same as it would be after JSON. */
static int is_plain(PyObject *value, intptr_t longest) {
    if (is(value, &PyUnicode_Type)) return PyUnicode_GetLength(value) <= longest;
    if (is(value, &PyLong_Type)) {
        int beyond;
        return PyLong_AsLongLongAndOverflow(value, &beyond) != LLONG_MIN && beyond == 0;
    }
    return is(value, &PyFloat_Type) || is(value, &PyBool_Type);
}

/* The values of an event, as new references; returns how many are to be let go. */
static intptr_t read_row(const struct copier *to, PyObject *event, PyObject **row,
                         enum answer *answer) {
    *answer = is(event, &PyDict_Type) ? NO : MAYBE;
    intptr_t read = 0;
    while (*answer == NO && read < to->count) {
        PyObject *held, *value = follow(event, &to->fields[read], answer, &held);
        if (value == NULL)
            value = &_Py_NoneStruct;
        else if (!is_plain(value, to->longest))
            *answer = MAYBE;
        if (held == NULL) Py_IncRef(value);
        row[read++] = value;
    }
    return read;
}

/* Append all or none of them; no other thread sees a part. False if there is no memory. */
static int append_row(const struct copier *to, PyObject **row) {
    intptr_t before = PyList_Size(to->values);
    int failed = to->count == 0 && PyList_Append(to->values, &_Py_NoneStruct);
    for (intptr_t i = 0; !failed && i < to->count; i++)
        failed = PyList_Append(to->values, row[i]);
    if (!failed) return 1;
    PyErr_Clear();
    PyList_SetSlice(to->values, before, PyList_Size(to->values), NULL);
    PyErr_NoMemory();
    return 0;
}

static PyObject *copied(struct copier *to, PyObject **row) {
    if (PyByteArray_AsString(to->pattern)[to->seen++ % PyByteArray_Size(to->pattern)]) {
        PyObject *marked = PyObject_CallFunctionObjArgs(to->mark, NULL);
        if (marked == NULL) return NULL;
        int has_room = PyObject_IsTrue(marked);
        Py_DecRef(marked);
        if (has_room < 0) return NULL;
        if (!has_room) return PyObject_CallFunctionObjArgs(to->full, NULL);
    }
    if (!append_row(to, row)) return NULL;
    Py_IncRef(to->accepted);
    return to->accepted;
}

static PyObject *copy(PyObject *self, PyObject *event) {
    struct copier *to = PyCapsule_GetPointer(self, NULL);
    PyObject *row[MAX_FIELDS], *status = NULL;
    enum answer answer;
    intptr_t read = read_row(to, event, row, &answer);
    if (answer == NO)
        status = copied(to, row);
    else if (answer == MAYBE)
        status = PyObject_CallFunctionObjArgs(to->keep, event, NULL);
    while (read > 0) Py_DecRef(row[--read]);
    return status;
}

static PyMethodDef COPY = {"offer", copy, METH_O, NULL};

static void free_copier(PyObject *self) {
    struct copier *to = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(to->held);
    PyMem_Free(to);
}

/* What copies the values at some paths. `held` is (paths, longest, pattern, mark, full, values,
 * accepted, keep). */
PyObject *make_copier(PyObject *held) {
    struct copier *to = PyMem_Calloc(1, sizeof *to);
    if (to == NULL) return PyErr_NoMemory();
    PyObject *paths = PyTuple_GetItem(held, 0);
    to->count = PyTuple_Size(paths);
    for (intptr_t i = 0; i < to->count && i < MAX_FIELDS; i++)
        to->fields[i] = path_of(PyTuple_GetItem(paths, i));
    to->longest = PyLong_AsLong(PyTuple_GetItem(held, 1));
    PyObject **const others[] = {&to->pattern, &to->mark,     &to->full,
                                 &to->values, &to->accepted, &to->keep};
    for (intptr_t i = 0; i < 6; i++) *others[i] = PyTuple_GetItem(held, 2 + i);
    Py_IncRef(to->held = held);
    return function_of(&COPY, to, held, free_copier);
}

/* ---- publish: one function for as long as its stream lives; what it does is exchanged ---- */

struct stream {
    PyObject *offer; /* what events are handed to now */
    PyCFunction function;
    PyObject *self;
};

static PyObject *publish(PyObject *self, PyObject *event) {
    const struct stream *stream = PyCapsule_GetPointer(self, NULL);
    PyObject *offer = stream->offer; /* another thread may exchange it meanwhile */
    Py_IncRef(offer);
    PyObject *status = stream->function(stream->self, event);
    Py_DecRef(offer);
    return status;
}

static PyMethodDef PUBLISH = {
    "publish", publish, METH_O,
    "publish($self, event, /)\n--\n\n"
    "Offer an event to the queries that run now. Never blocks or raises."};

static PyObject *call(PyObject *offer, PyObject *event) {
    return PyObject_CallFunctionObjArgs(offer, event, NULL);
}

static void set_offer(struct stream *stream, PyObject *offer) {
    PyObject *before = stream->offer;
    int is_builtin = is(offer, &PyCFunction_Type) && PyCFunction_GetFlags(offer) == METH_O;
    Py_IncRef(offer);
    stream->offer = offer;
    stream->function = is_builtin ? PyCFunction_GetFunction(offer) : call;
    stream->self = is_builtin ? PyCFunction_GetSelf(offer) : offer;
    if (before != NULL) Py_DecRef(before);
}

static void free_stream(PyObject *self) {
    struct stream *stream = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(stream->offer);
    PyMem_Free(stream);
}

/* A `publish` that hands its events to something. */
PyObject *make_publish(PyObject *offer) {
    struct stream *stream = PyMem_Calloc(1, sizeof *stream);
    if (stream == NULL) return PyErr_NoMemory();
    set_offer(stream, offer);
    return function_of(&PUBLISH, stream, offer, free_stream);
}

/* Let a `publish` hand its events to something else. */
void exchange(PyObject *publish_function, PyObject *offer) {
    set_offer(PyCapsule_GetPointer(PyCFunction_GetSelf(publish_function), NULL), offer);
}

static PyObject *give(PyObject *self, PyObject *event) {
    (void)event;
    Py_IncRef(self);
    return self;
}

static PyMethodDef GIVE = {"offer", give, METH_O, NULL};

/* What gives the same status for every event. */
PyObject *make_giver(PyObject *status) { return PyCFunction_NewEx(&GIVE, status, NULL); }
