/* What `publish` does on the caller's thread, compiled: it counts what nobody wants, and hands on the
 * rest, to `Intake.keep`, or to what copies values (`copy.c`).
 *
 * It does what the Python functions do that `screen.py` makes and `mql explain --screen` prints. It
 * may let through too much, never too little: what is odd or raises is kept. */

#define _GNU_SOURCE /* memmem */

#include <string.h>

#include "event.h"

enum { EXACT_CHARACTERS_MAX = 15 };
enum kind { KEYS, ANY_KEYS, BOUND, KEYED_BOUND, TEXTS, SEARCH, TEST, READ_BOUND, KINDS };

/* Of the tuples that make them. */
enum { GATE_ITEMS = 3, LOOK_ITEMS = 6, SAMPLER_ITEMS = 5, BAR_ITEMS = 2 };

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

/* What events are handed to: how it is called, and its `self`. */
struct callee {
    PyCFunction function;
    PyObject *self;
};

struct gate {
    PyObject *held;     /* the tuple that all objects below are in */
    PyObject *rejected; /* an iterator that counts, and gives what is returned */
    struct callee keep;
    intptr_t count;
    struct look looks[];
};

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
    if (!is(number, &PyFloat_Type) || !is(whole, &PyLong_Type)) return MAYBE;
    double least = PyFloat_AsDouble(number);
    long long least_whole = whole_of(whole);
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

static int is_blank(char each) {
    return each == ' ' || each == '\t' || each == '\n' || each == '\r';
}

/* Whether the number that a text of JSON is may be in bounds. Of up to 15 digits the double is the
   nearest to it; longer texts, and those with an exponent, are for others to read. */
static enum answer text_in_bounds(const struct look *look, PyObject *value) {
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    intptr_t size;
    const char *at = PyUnicode_AsUTF8AndSize(value, &size);
    if (at == NULL) return raised(); /* half a surrogate pair */
    if (size > EXACT_CHARACTERS_MAX) return MAYBE;
    const char *end = at + size;
    while (at < end && is_blank(*at)) at++;
    while (end > at && is_blank(end[-1])) end--;
    int is_negative = at < end && *at == '-';
    at += is_negative;
    if (at == end) return NO;
    long long digits = 0;
    int places = 0, has_point = 0;
    for (; at < end; at++) {
        if (*at >= '0' && *at <= '9') {
            digits = digits * 10 + (*at - '0');
            places += has_point;
        } else if (*at == '.' && !has_point) {
            has_point = 1;
        } else {
            return *at == 'e' || *at == 'E' ? MAYBE : NO;
        }
    }
    double given = (double)digits / powers[places];
    if (is_negative) given = -given;
    return (look->flag ? given >= look->number : given <= look->number) ? MAYBE : NO;
}

/* The end of that of some texts which ends first, or NULL. */
static const char *after_any(const char *text, const char *end, PyObject *texts) {
    const char *first = NULL;
    for (intptr_t i = 0; i < PyTuple_Size(texts); i++) {
        PyObject *wanted = PyTuple_GetItem(texts, i);
        intptr_t length = PyBytes_Size(wanted);
        const char *found =
            find(text, (size_t)(end - text), PyBytes_AsString(wanted), (size_t)length);
        if (found != NULL && (first == NULL || found + length < first)) first = found + length;
    }
    return first;
}

/* Of each group of texts one has to be in it, one group after the other. */
static enum answer holds_texts(const struct look *look, PyObject *value) {
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
    return called(look->first, value);
}

/* What is found in a text, which is held: to look into it can run code, of codecs too. */
static enum answer held_text(enum answer (*found_in)(const struct look *, PyObject *),
                             const struct look *look, PyObject *value) {
    if (!is(value, &PyUnicode_Type)) return MAYBE;
    Py_IncRef(value);
    enum answer answer = found_in(look, value);
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
        case TEXTS: answer = held_text(holds_texts, look, value); break;
        case SEARCH: answer = held_text(searched, look, value); break;
        case READ_BOUND:
            answer = is(value, &PyUnicode_Type) ? held_text(text_in_bounds, look, value)
                                                : bound(look, value);
            break;
        case TEST: case KINDS: break;
    }
    let_go(held);
    return answer;
}

static PyObject *call(PyObject *target, PyObject *event) {
    return PyObject_CallFunctionObjArgs(target, event, NULL);
}

/* A function of ours is called as it is, any other as Python does. Borrowed. */
static struct callee callee_of(PyObject *target) {
    if (!is(target, &PyCFunction_Type) || PyCFunction_GetFlags(target) != METH_O)
        return (struct callee){call, target};
    return (struct callee){PyCFunction_GetFunction(target), PyCFunction_GetSelf(target)};
}

/* ---- the gate ---- */

static PyObject *pass_gate(PyObject *self, PyObject *event) {
    const struct gate *gate = PyCapsule_GetPointer(self, NULL);
    enum answer answer = is(event, &PyDict_Type) ? NO : MAYBE;
    for (intptr_t i = 0; answer == NO && i < gate->count; i++)
        answer = look_at(&gate->looks[i], event);
    if (answer == FAILED) return NULL;
    if (answer == NO) return PyIter_Next(gate->rejected);
    return gate->keep.function(gate->keep.self, event);
}

static PyMethodDef GATE = {"gate", pass_gate, METH_O, NULL};

static void free_gate(PyObject *self) {
    struct gate *gate = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(gate->held);
    PyMem_Free(gate);
}

/* Tuples of texts, as UTF-8. */
static int are_texts(PyObject *groups) {
    if (!is_tuple(groups)) return 0;
    for (intptr_t i = 0; i < PyTuple_Size(groups); i++) {
        PyObject *texts = PyTuple_GetItem(groups, i);
        if (!is_tuple(texts)) return 0;
        for (intptr_t text = 0; text < PyTuple_Size(texts); text++)
            if (!is(PyTuple_GetItem(texts, text), &PyBytes_Type)) return 0;
    }
    return 1;
}

/* A dict, and the marks of its keys. */
static int read_index(struct look *look) {
    if (!is(look->first, &PyDict_Type) || !is(look->second, &PyByteArray_Type)) return 0;
    uintptr_t size = (uintptr_t)PyByteArray_Size(look->second);
    look->marks = (const uint8_t *)PyByteArray_AsString(look->second);
    look->mask = size * 8 - 1;
    return size > 0 && (size & (size - 1)) == 0;
}

static int read_bound(struct look *look) {
    if (!is(look->first, &PyFloat_Type) || !is(look->second, &PyLong_Type)) return 0;
    look->number = PyFloat_AsDouble(look->first);
    look->whole = whole_of(look->second);
    return 1;
}

/* Read (kind, flag, path, other path, first, second); false if it is none. */
static int read_look(struct look *look, PyObject *given) {
    if (!is_tuple_of(given, LOOK_ITEMS)) return 0;
    PyObject *kind = PyTuple_GetItem(given, 0), *flag = PyTuple_GetItem(given, 1);
    PyObject *path = PyTuple_GetItem(given, 2), *other = PyTuple_GetItem(given, 3);
    if (!is_whole_in(kind, 0, KINDS - 1) || !is(flag, &PyBool_Type)) return 0;
    if (!is_path(path) || !is_path(other)) return 0;
    look->kind = (enum kind)whole_of(kind);
    look->flag = PyObject_IsTrue(flag);
    look->path = path_of(path);
    look->other = path_of(other);
    look->first = PyTuple_GetItem(given, 4);
    look->second = PyTuple_GetItem(given, 5);
    switch (look->kind) {
        case KEYS: case ANY_KEYS: return read_index(look);
        case BOUND: case READ_BOUND: return read_bound(look);
        case KEYED_BOUND: return is(look->first, &PyDict_Type) && is(look->second, &PyDict_Type);
        case TEXTS: return are_texts(look->first);
        case SEARCH: case TEST: case KINDS: break;
    }
    return 1;
}

/* A gate. `held` is (looks, rejected, keep). */
PyObject *make_gate(PyObject *held) {
    if (!is_tuple_of(held, GATE_ITEMS)) return refuse("a gate is made of (looks, rejected, keep)");
    PyObject *looks = PyTuple_GetItem(held, 0);
    if (!is_tuple(looks)) return refuse("the looks of a gate are a tuple");
    if (!PyIter_Check(PyTuple_GetItem(held, 1))) return refuse("what counts is no iterator");
    intptr_t count = PyTuple_Size(looks);
    struct gate *gate = PyMem_Calloc(1, sizeof *gate + (size_t)count * sizeof gate->looks[0]);
    if (gate == NULL) return PyErr_NoMemory();
    for (intptr_t i = 0; i < count; i++) {
        if (read_look(&gate->looks[i], PyTuple_GetItem(looks, i))) continue;
        PyMem_Free(gate);
        return refuse("there is no such look");
    }
    gate->rejected = PyTuple_GetItem(held, 1);
    gate->keep = callee_of(PyTuple_GetItem(held, 2));
    gate->count = count;
    Py_IncRef(gate->held = held);
    return function_of(&GATE, gate, held, free_gate);
}

/* ---- bars: numbers beyond them are kept, whatever the dice say ---- */

struct bar {
    struct path path;
    double limit;
};

struct bars {
    PyObject *held; /* the tuple that all of these are in */
    intptr_t count;
    struct bar bars[];
};

static int is_beyond(PyObject *value, double limit) {
    double number = 0;
    if (is(value, &PyLong_Type)) {
        number = PyLong_AsDouble(value);
        if (number == -1 && PyErr_Occurred() != NULL) { /* it is beyond any double */
            PyErr_Clear();
            return 1;
        }
    } else if (is(value, &PyFloat_Type) || PyType_IsSubtype(value->type, &PyFloat_Type)) {
        number = PyFloat_AsDouble(value);
    }
    return number > limit || number < -limit;
}

/* Whether an event has a number beyond one of the bars; nobody knows is no. -1 if this ends. */
static int is_over(const struct bars *bars, PyObject *event) {
    if (!is(event, &PyDict_Type)) return 0;
    int over = 0;
    for (intptr_t i = 0; !over && i < bars->count; i++) {
        enum answer answer = NO;
        PyObject *held, *value = follow(event, &bars->bars[i].path, &answer, &held);
        if (answer == FAILED) return -1;
        if (value != NULL) over = is_beyond(value, bars->bars[i].limit);
        let_go(held);
    }
    return over;
}

static PyObject *test_bars(PyObject *self, PyObject *event) {
    int over = is_over(PyCapsule_GetPointer(self, NULL), event);
    return over < 0 ? NULL : PyBool_FromLong(over);
}

static PyMethodDef BARS = {"test", test_bars, METH_O, NULL};

static int are_bars(PyObject *test) {
    return is(test, &PyCFunction_Type) && PyCFunction_GetFunction(test) == test_bars;
}

static void free_bars(PyObject *self) {
    struct bars *bars = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(bars->held);
    PyMem_Free(bars);
}

/* Read (path, limit); false if it is none. */
static int read_bar(struct bar *bar, PyObject *given) {
    if (!is_tuple_of(given, BAR_ITEMS)) return 0;
    PyObject *path = PyTuple_GetItem(given, 0), *limit = PyTuple_GetItem(given, 1);
    if (!is_path(path) || !is(limit, &PyFloat_Type)) return 0;
    bar->path = path_of(path);
    bar->limit = PyFloat_AsDouble(limit);
    return 1;
}

/* What tells whether an event has a number beyond a bar. `held` are paths and limits, in pairs. */
PyObject *make_bars(PyObject *held) {
    if (!is_tuple(held)) return refuse("bars are made of a tuple");
    intptr_t count = PyTuple_Size(held);
    struct bars *bars = PyMem_Calloc(1, sizeof *bars + (size_t)count * sizeof bars->bars[0]);
    if (bars == NULL) return PyErr_NoMemory();
    bars->count = count;
    for (intptr_t i = 0; i < count; i++) {
        if (read_bar(&bars->bars[i], PyTuple_GetItem(held, i))) continue;
        PyMem_Free(bars);
        return refuse("a bar is made of (path, limit)");
    }
    Py_IncRef(bars->held = held);
    return function_of(&BARS, bars, held, free_bars);
}

/* ---- sampling, where all that is left of the gate wants every event ---- */

struct sampler {
    PyObject *held;     /* the tuple that all of these are in */
    PyObject *throws;   /* an iterator that says of each event whether it is kept */
    PyObject *left_out; /* an iterator that counts, and gives what is returned */
    PyObject *keep;
    const struct bars *bars; /* or NULL */
    PyObject *keep_large;    /* takes what the dice said, and an event beyond a bar */
};

static PyObject *sample(PyObject *self, PyObject *event) {
    const struct sampler *sampler = PyCapsule_GetPointer(self, NULL);
    PyObject *kept = NULL, *thrown = PyIter_Next(sampler->throws);
    if (thrown == NULL) return NULL;
    int is_large = sampler->bars == NULL ? 0 : is_over(sampler->bars, event);
    if (is_large > 0)
        kept = PyObject_CallFunctionObjArgs(sampler->keep_large, thrown, event, NULL);
    else if (is_large == 0 && !PyObject_IsTrue(thrown))
        kept = PyIter_Next(sampler->left_out);
    else if (is_large == 0)
        kept = PyObject_CallFunctionObjArgs(sampler->keep, event, NULL);
    Py_DecRef(thrown);
    return kept;
}

static PyMethodDef SAMPLE = {"sample", sample, METH_O, NULL};

static void free_sampler(PyObject *self) {
    struct sampler *sampler = PyCapsule_GetPointer(self, NULL);
    Py_DecRef(sampler->held);
    PyMem_Free(sampler);
}

/* What keeps some events. `held` is (throws, left_out, keep, bars or None, keep_large). */
PyObject *make_sampler(PyObject *held) {
    if (!is_tuple_of(held, SAMPLER_ITEMS))
        return refuse("a sampler is made of (throws, left_out, keep, bars, keep_large)");
    if (!PyIter_Check(PyTuple_GetItem(held, 0)) || !PyIter_Check(PyTuple_GetItem(held, 1)))
        return refuse("what throws and what counts are iterators");
    PyObject *bars = PyTuple_GetItem(held, 3);
    if (!is_null(bars) && !are_bars(bars)) return refuse("those are no bars");
    struct sampler *sampler = PyMem_Calloc(1, sizeof *sampler);
    if (sampler == NULL) return PyErr_NoMemory();
    sampler->throws = PyTuple_GetItem(held, 0);
    sampler->left_out = PyTuple_GetItem(held, 1);
    sampler->keep = PyTuple_GetItem(held, 2);
    if (!is_null(bars)) sampler->bars = PyCapsule_GetPointer(PyCFunction_GetSelf(bars), NULL);
    sampler->keep_large = PyTuple_GetItem(held, 4);
    Py_IncRef(sampler->held = held);
    return function_of(&SAMPLE, sampler, held, free_sampler);
}

/* ---- publish: one function for as long as its stream lives; what it does is exchanged ---- */

/* So many epochs are remembered. Who is under way for longer is no longer waited for. */
enum { EPOCHS = 64 };

/* A span of time, and the calls of `publish` that began in it and have not returned. */
struct epoch {
    unsigned long long number, inside;
};

struct stream {
    PyObject *target; /* what events are handed to now; NULL while nobody asks */
    struct callee callee;
    PyObject *idle;              /* what is returned meanwhile */
    unsigned long long skipped;  /* how often */
    struct epoch *entered;       /* where calls are counted: in the present epoch, or not at all */
    struct epoch *present;
    struct epoch epochs[EPOCHS]; /* each in the place of its number */
    struct epoch unwatched;
};

static PyObject *publish(PyObject *self, PyObject *event) {
    struct stream *stream = PyCapsule_GetPointer(self, NULL);
    PyObject *target = stream->target; /* another thread may exchange it meanwhile */
    if (target == NULL) {
        stream->skipped++;
        Py_IncRef(stream->idle);
        return stream->idle;
    }
    Py_IncRef(target);
    struct epoch *epoch = stream->entered;
    unsigned long long number = epoch->number;
    epoch->inside++;
    PyObject *status = stream->callee.function(stream->callee.self, event);
    epoch->inside -= epoch->number == number; /* else another one has its place */
    Py_DecRef(target);
    return status != NULL ? status : unreadable_or_raised();
}

static PyMethodDef PUBLISH = {
    "publish", publish, METH_O,
    "publish($self, event, /)\n--\n\n"
    "Offer an event to the queries that run now. Never blocks or raises."};

static void free_stream(PyObject *self) {
    struct stream *stream = PyCapsule_GetPointer(self, NULL);
    let_go(stream->target);
    Py_DecRef(stream->idle);
    PyMem_Free(stream);
}

/* A `publish` that counts events, and returns the status `idle` for each. */
PyObject *make_publish(PyObject *idle) {
    struct stream *stream = PyMem_Calloc(1, sizeof *stream);
    if (stream == NULL) return PyErr_NoMemory();
    stream->present = stream->entered = stream->epochs;
    Py_IncRef(stream->idle = idle);
    return function_of(&PUBLISH, stream, idle, free_stream);
}

/* The stream of a `publish` that was made here, else NULL. */
static struct stream *stream_of(PyObject *function) {
    if (!is(function, &PyCFunction_Type) || PyCFunction_GetFunction(function) != publish) {
        refuse("that is no `publish` of a stream");
        return NULL;
    }
    return PyCapsule_GetPointer(PyCFunction_GetSelf(function), NULL);
}

/* Let a `publish` hand its events to something else; None: count them. `is_watched` says whether it is
 * under way meanwhile. */
void exchange(PyObject *function, PyObject *target, PyObject *is_watched) {
    struct stream *stream = stream_of(function);
    if (stream == NULL) return;
    PyObject *before = stream->target;
    stream->entered = is_watched == &_Py_TrueStruct ? stream->present : &stream->unwatched;
    if (is_null(target)) {
        stream->target = NULL;
    } else {
        Py_IncRef(stream->target = target);
        stream->callee = callee_of(target);
    }
    let_go(before); /* that may run anything */
}

/* How many events a `publish` has counted so far. */
PyObject *skipped(PyObject *function) {
    struct stream *stream = stream_of(function);
    return stream == NULL ? NULL : PyLong_FromUnsignedLongLong(stream->skipped);
}

/* Begin an epoch of a `publish`, in the place of the oldest one. */
void begin_epoch(PyObject *function) {
    struct stream *stream = stream_of(function);
    if (stream == NULL) return;
    unsigned long long number = stream->present->number + 1;
    int is_watched = stream->entered == stream->present;
    stream->present = &stream->epochs[number % EPOCHS];
    *stream->present = (struct epoch){number, 0};
    if (is_watched) stream->entered = stream->present;
}

/* How many calls are under way of each epoch, the present one first (uint64); empty if none is. */
PyObject *under_way(PyObject *function) {
    struct stream *stream = stream_of(function);
    if (stream == NULL) return NULL;
    unsigned long long inside[EPOCHS], all = 0, number = stream->present->number;
    for (unsigned age = 0; age < EPOCHS; age++)
        all |= inside[age] = stream->epochs[(number - age) % EPOCHS].inside;
    return PyBytes_FromStringAndSize((const char *)inside, all == 0 ? 0 : (intptr_t)sizeof inside);
}

static PyObject *give(PyObject *self, PyObject *event) {
    (void)event;
    Py_IncRef(self);
    return self;
}

static PyMethodDef GIVE = {"give", give, METH_O, NULL};

/* What gives the same status for every event. */
PyObject *make_giver(PyObject *status) { return PyCFunction_NewEx(&GIVE, status, NULL); }

/* ---- what Python compares before it uses any of this ---- */

enum { COUNT_BYTES = sizeof ((struct epoch *)NULL)->inside };

const struct constant *constants_of_publish(void) {
    static struct constant constants[] = {
        {"READS_OBJECTS", 0},
        CONSTANT(KEYS), CONSTANT(ANY_KEYS), CONSTANT(BOUND), CONSTANT(KEYED_BOUND), CONSTANT(TEXTS),
        CONSTANT(SEARCH), CONSTANT(TEST), CONSTANT(READ_BOUND), CONSTANT(KINDS),
        CONSTANT(EXACT_CHARACTERS_MAX),
        CONSTANT(GATE_ITEMS), CONSTANT(LOOK_ITEMS), CONSTANT(SAMPLER_ITEMS), CONSTANT(BAR_ITEMS),
        CONSTANT(EPOCHS), CONSTANT(COUNT_BYTES),
        {NULL, 0},
    };
    constants[0].value = reads_objects();
    return constants;
}
